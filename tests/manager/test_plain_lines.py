from __future__ import annotations

import logging

from jupyter_queueserver.manager.plain_lines import PlainFormatter


def test_names_from_requests_cannot_steer_a_terminal() -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "locked by %s", ("\x1b[2J\x07\x9bmé\tx\ny\r",), None)
    assert PlainFormatter().format(record) == "locked by \\x1b[2J\\x07\\x9bmé\tx\ny\\x0d"
