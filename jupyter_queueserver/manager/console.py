"""Console text of the worker, from its file to those who listen."""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import Callable
from typing import Any

from ..link.console import ConsoleReader

#: Bytes that are sent in one message at most.
_PIECE = 64 * 1024
#: Bytes that are read in one turn at most; others are served before the next.
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
        self._text = _Decoder(0)
        self._next_turn: asyncio.Handle | None = None

    def follow(self, environment_id: str, reader: ConsoleReader, *, from_end: bool) -> None:
        """Follow another environment, after the last words of the one before; ``from_end`` for one that was adopted."""
        if environment_id == self._environment_id:
            return
        self.finish()
        self._environment_id = environment_id
        self._reader = reader
        self._text = _Decoder(reader.size if from_end else 0)

    def look(self) -> None:
        """Send what is new; if that is much, the rest after others had their turn."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if self._read(_TURN // _PIECE):
            self._next_turn = asyncio.get_running_loop().call_soon(self.look)

    def finish(self) -> None:
        """Send all that is there: the worker is dead."""
        while self._read(1):
            pass

    def _read(self, pieces: int) -> bool:
        """Send that many pieces; returns whether there may be more."""
        if self._reader is None:
            return False
        for _ in range(pieces):
            offset, data = self._reader.read(self._text.read, _PIECE)
            if not data:
                return False
            self._say(self._text.decode(offset, data), self._tell)
        return True

    def tail(self, offset: int | None, limit: int) -> list[dict[str, Any]]:
        """Return messages that bring a new subscriber up to date: from its offset, or the last ``limit`` bytes."""
        messages: list[dict[str, Any]] = []
        end = self._text.told
        text = _Decoder(max(0, end - limit) if offset is None else offset)
        while self._reader is not None and text.read < end:
            begin, data = self._reader.read(text.read, min(_PIECE, end - text.read))
            if not data:
                break
            self._say(text.decode(begin, data), messages.append)
        return messages

    def _say(self, piece: tuple[int, int, str], tell: Callable[[dict[str, Any]], None]) -> None:
        offset, end, text = piece
        if text:
            tell(
                {
                    "kind": "console",
                    "environment_id": self._environment_id,
                    "offset": offset,
                    "end": end,
                    "text": text,
                    "time": time.time(),
                }
            )


class _Decoder:
    """Makes text of bytes that begin and end anywhere, and knows which bytes a text stands for.

    Attributes
    ----------
    read
        Offset behind the last byte that was taken.
    told
        Offset behind the last byte that is part of a text; a character that is not whole yet waits between the two.
    """

    def __init__(self, offset: int) -> None:
        self.read = self.told = offset
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def decode(self, offset: int, data: bytes) -> tuple[int, int, str]:
        """Take bytes that begin at an offset; returns (offset, end, text) of what is whole."""
        if offset != self.read:  # what was in between is not kept any more
            self._decoder.reset()
            self.told = offset
        begin = self.told
        text = self._decoder.decode(data)
        self.read = offset + len(data)
        self.told = self.read - len(self._decoder.getstate()[0])
        return begin, self.told, text
