"""Bells: Unix datagram sockets that say "look", never what there is to see.

A bell may be lost without harm: whoever listens also looks by himself now and then.  Ringing never blocks and never raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

#: There is a new report.
REPORTS = b"r"
#: There is new console text.
CONSOLE = b"c"


class Bell:
    """The button: one socket, used by any thread."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ring(self, byte: bytes) -> bool:
        """Ring; returns whether somebody's bell took it."""
        try:
            self._socket.sendto(byte, self._path)
        except OSError:
            return False
        return True

    def aim(self, path: str | os.PathLike[str]) -> None:
        """Ring another bell from now on."""
        self._path = os.fspath(path)

    def close(self) -> None:
        """Release the socket; later rings are silent."""
        self._socket.close()


def ring(path: str | os.PathLike[str], byte: bytes) -> bool:
    """Ring once, for callers that ring rarely."""
    bell = Bell(path)
    try:
        return bell.ring(byte)
    finally:
        bell.close()


class BellListener:
    """The gong: binds the socket (a stale one is replaced) and calls back in the running event loop.

    Parameters
    ----------
    path
        Where to bind; its directory must be private.
    callback
        Called with the set of bytes that arrived since the last call, e.g. ``{b"r", b"c"}``.
    """

    def __init__(self, path: str | os.PathLike[str], callback: Callable[[set[bytes]], None]) -> None:
        self._path = Path(path)
        self._callback = callback
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        self._inode = self._path.stat().st_ino
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        rung: set[bytes] = set()
        with contextlib.suppress(BlockingIOError):
            for _ in range(1000):
                rung.add(self._socket.recv(16))
        if rung:
            self._callback(rung)

    def close(self) -> None:
        """Stop listening and take the socket file away, unless a successor has bound its own there."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
