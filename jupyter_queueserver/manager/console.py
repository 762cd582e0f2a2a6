"""Console text of the worker, from its file to those who listen."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from typing import Any

from ..link.console import ConsoleReader

#: Bytes that are sent in one message at most.
_PIECE = 64 * 1024
#: Bytes that are read on one ring at most; the rest follows on the next.
_TURN = 1024 * 1024


class Console:
    """Follows the console of the present environment.

    Parameters
    ----------
    tell
        Called with each event message (``kind`` console).
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._reader: ConsoleReader | None = None
        self._environment_id = ""
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def follow(self, environment_id: str, reader: ConsoleReader, *, from_end: bool) -> None:
        """Follow another environment; ``from_end`` for one that was adopted."""
        if environment_id == self._environment_id:
            return
        self._environment_id = environment_id
        self._reader = reader
        self._offset = reader.size if from_end else 0
        self._decoder.reset()

    def look(self) -> None:
        """Send what is new."""
        if self._reader is None:
            return
        for _ in range(_TURN // _PIECE):
            offset, data = self._reader.read(self._offset, _PIECE)
            if not data:
                return
            self._offset = offset + len(data)
            text = self._decoder.decode(data)
            if text:
                self._tell(self._message(offset, text))

    def tail(self, offset: int | None, limit: int) -> list[dict[str, Any]]:
        """Return messages that bring a new subscriber up to date: from its offset, or the last ``limit`` bytes."""
        if self._reader is None:
            return []
        start = max(0, self._offset - limit) if offset is None else offset
        messages = []
        while start < self._offset:
            begin, data = self._reader.read(start, min(_PIECE, self._offset - start))
            if not data:
                break
            start = begin + len(data)
            messages.append(self._message(begin, data.decode("utf-8", "replace")))
        return messages

    def _message(self, offset: int, text: str) -> dict[str, Any]:
        return {
            "kind": "console",
            "environment_id": self._environment_id,
            "offset": offset,
            "text": text,
            "time": time.time(),
        }
