"""Log lines that cannot steer a terminal: names and notes in them come from anybody who may send a request."""

from __future__ import annotations

import logging
import re

#: All control characters but tabulator and line feed; with those of C1, which some terminals obey too.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class PlainFormatter(logging.Formatter):
    """Writes control characters as ``\\xNN``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with traceback if there is one."""
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", super().format(record))
