"""A real manager with a played worker, for what needs no real one: it opens an environment at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from line_real import TalkServer

_MANAGER = Path(__file__).with_name("played_manager.py")


@contextlib.contextmanager
def played_server(*options: str) -> Iterator[TalkServer]:
    """A started server; nothing of it is left afterwards."""
    server = TalkServer("--manager-program", str(_MANAGER), *options)
    try:
        server.start()
        yield server
    finally:
        server.end()
