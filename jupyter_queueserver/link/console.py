"""The worker's console: one file of text that only grows, read by byte offset.

The file is what the worker's standard output and error point to, so that the last words of a crashing process are there too.
Its head is given back to the disk as a hole when it grows too big: offsets stay true.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

#: Bytes of text that are kept on the disk at least; twice as much at most.
KEPT_BYTES = 16 * 1024 * 1024

_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01


class ConsoleReader:
    """Reads console text; the file need not exist yet and no worker need live."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Offset of the end of the text, bytes."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """Return (offset where the text begins, at most ``limit`` bytes of it).

        The returned offset is ``offset`` itself unless that part is no longer kept; then it is where the kept text begins.
        Text may begin and end within a character: join the pieces before decoding.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return offset, b""
        try:
            start = _first_data(fd, max(0, offset))
            return start, os.pread(fd, limit, start)
        finally:
            os.close(fd)


def _first_data(fd: int, offset: int) -> int:
    if not hasattr(os, "SEEK_DATA"):
        return offset
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as err:
        if err.errno == errno.ENXIO:  # at or beyond the end
            return offset
        raise


def punch_head(fd: int, punched: int, *, kept: int = KEPT_BYTES) -> int:
    """Give the head back to the disk once the text is twice as long as ``kept`` bytes; returns where the kept text begins now.

    ``punched`` is the result of the last call, 0 at first.  ``fd`` must be open for writing.  Where the file system cannot do it
    the file stays whole.
    """
    size = os.fstat(fd).st_size
    if size - punched <= 2 * kept:
        return punched
    begin = (size - kept) // 4096 * 4096
    libc = ctypes.CDLL(None, use_errno=True)
    fallocate = getattr(libc, "fallocate", None)
    if fallocate is None:
        return size
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if fallocate(fd, _PUNCH_HOLE_KEEP_SIZE, 0, begin) != 0:
        return size  # not supported here: do not try again before the next `kept` bytes
    return begin
