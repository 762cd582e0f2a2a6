"""What manager and watchdog write into their logs, handed out as it comes: part of the console text that clients show.

The text is read from the files, because the watchdog is another process; this process's own lines ring, so that they are seen
at once.  Nothing here may log: it would hear itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from .logtail import LogTail

#: Seconds after which the files are looked at though nothing rang.
_PERIOD = 1.0
#: Pieces of a file that are handed out in one turn.
_PIECES = 8


class LogLines:
    """Follows some files.

    Parameters
    ----------
    paths
        The files; what is in them already is passed over.
    on_text
        Called in the loop with each piece of text.
    """

    def __init__(self, paths: Sequence[Path], on_text: Callable[[str], None]) -> None:
        self._logs = [LogTail(path) for path in paths]
        self._on_text = on_text
        self._rung = asyncio.Event()

    async def run(self) -> None:
        """Hand out what comes, until cancelled."""
        handler = _Ringer(self._rung.set)
        logging.getLogger().addHandler(handler)
        try:
            while True:
                self._rung.clear()
                self.look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PERIOD):  # not wait_for, which may swallow that this is cancelled
                        await self._rung.wait()
        finally:
            logging.getLogger().removeHandler(handler)

    def look(self) -> None:
        """Hand out what has come since the last look."""
        for log in self._logs:
            for _ in range(_PIECES):
                text = log.new_text()
                if not text:
                    break
                self._on_text(text)


class _Ringer(logging.Handler):
    """Rings, in the loop, for each line of this process's log."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._ring = ring

    def emit(self, record: logging.LogRecord) -> None:
        """Ring; any thread may log."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._ring)
