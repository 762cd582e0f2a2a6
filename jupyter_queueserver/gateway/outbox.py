"""What waits for one browser: bounded, so that a slow one costs nobody anything.

Pure: it neither sends nor receives.
"""

from __future__ import annotations

from collections import deque

#: Bounds of one browser's backlog: messages and bytes.
MAX_MESSAGES = 1000
MAX_BYTES = 4 << 20


class Outbox:
    """A queue of messages that empties itself when it is overfull.

    One message is always taken, however big: a snapshot of a long queue must arrive.

    Attributes
    ----------
    overflowed
        Whether messages were dropped: the reader needs a fresh start, nothing is taken before `restart`.
    """

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self.overflowed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, text: bytes) -> None:
        """Add a message, or drop all."""
        if self.overflowed:
            return
        too_many = len(self._waiting) >= self._max_messages
        too_big = self._waiting and self._bytes + len(text) > self._max_bytes
        if too_many or too_big:
            self._waiting.clear()
            self._bytes = 0
            self.overflowed = True
            return
        self._waiting.append(text)
        self._bytes += len(text)

    def take(self) -> bytes:
        """Remove and return the oldest; raises ``IndexError`` when there is none."""
        text = self._waiting.popleft()
        self._bytes -= len(text)
        return text

    def restart(self) -> None:
        """Take messages again."""
        self.overflowed = False
