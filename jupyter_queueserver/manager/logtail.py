"""Follow the manager's log file: show what is appended, and quote its end when a start fails.

Reads only; never waits.
"""

from __future__ import annotations

from pathlib import Path

_PIECE = 1 << 16
_QUOTED = 4000


class LogTail:
    """Reader of one growing file, from where it is now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = self._start = self._size()

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
        if size == self._offset:
            return ""
        data = self._read(self._offset, _PIECE)
        self._offset += len(data)
        return data.decode("utf-8", "replace")

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
