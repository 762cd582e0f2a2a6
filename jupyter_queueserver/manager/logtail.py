"""Follow a growing text file: hand out what is appended, and quote its end when a start fails.

Reads only; never waits.
"""

from __future__ import annotations

import codecs
from pathlib import Path

_PIECE = 1 << 16
_QUOTED = 4000


class LogTail:
    """Reader of one growing file.

    Parameters
    ----------
    path
        The file; it need not exist yet.
    begin
        Offset in bytes of what is handed out first; None: from where the file ends now.
    """

    def __init__(self, path: Path, begin: int | None = None) -> None:
        self._path = path
        self._start = self._size()
        self._offset = self._start if begin is None else begin
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def mark_start(self) -> None:
        """Remember that another manager is being started: `last_lines` begins here."""
        self._start = self._size()

    def new_text(self) -> str:
        """Return what was appended since the last call, at most 64 KiB at once; a file that was moved
        aside is read anew."""
        size = self._size()
        if size < self._offset:
            self._offset = 0
            self._decoder.reset()
        data = b""
        while self._offset < size and not data:
            piece = self._read(self._offset, _PIECE)
            if not piece:
                return ""
            self._offset += len(piece)
            data = piece.lstrip(b"\0")  # the hole where old text was dropped
        return self._decoder.decode(data)

    def last_lines(self, count: int = 15) -> str:
        """Return the last lines that were written since `mark_start`."""
        size = self._size()
        begin = max(self._start if self._start <= size else 0, size - _QUOTED)
        lines = self._read(begin, _QUOTED).decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-count:])

    def _read(self, offset: int, limit: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(offset)
                return file.read(limit)
        except OSError:
            return b""
