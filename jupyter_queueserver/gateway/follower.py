"""What one browser gets of the event stream: first what it misses, then what everybody gets.

It begins with messages of its own (a snapshot, or the changes that it has not seen) while it holds what is said to all, then goes
over to that, without a gap and without a change twice.  Pure: it neither sends nor receives.
"""

from __future__ import annotations

from collections import deque

from .outbox import MAX_BYTES, MAX_MESSAGES, Outbox
from .subscription import Message, Position

_TOPIC = {"snapshot": "state", "changes": "state", "console": "console", "log": "console", "document": "documents"}
#: Messages after which the manager has told all that was missing.
_LAST = ("snapshot", "changes", "alive")


class Follower:
    """One browser.

    Parameters
    ----------
    position
        What it wants and has.

    Attributes
    ----------
    outbox
        What waits for it.
    is_behind
        Whether it needs messages of its own: see `hear_own`.
    starts
        How often it has started afresh: what was asked for before that is of no use.
    """

    def __init__(self, position: Position) -> None:
        self.position = position
        self.outbox = Outbox()
        self.is_behind = True
        self.starts = 0
        self._held: deque[Message] = deque()
        self._held_bytes = 0
        self._console: tuple[str, int] | None = None
        self._all: tuple[str | None, int] = None, 0

    def hear(self, message: Message) -> None:
        """Take a message that is said to all."""
        topic = _TOPIC.get(message.kind)
        if topic is not None and topic not in self.position.topics:
            return
        if message.kind in _LAST:
            self._all = message.epoch, message.seq
        if message.kind == "snapshot":  # another life of the manager, or changes that the gateway itself has missed
            self._fall_behind()
        elif not self.is_behind:
            self._pass(message)
        elif topic is not None:
            self._hold(message)
        elif message.kind != "alive":
            self.outbox.put(message.text)

    def hear_own(self, message: Message) -> None:
        """Take a message of its own; after the last one it is with all the others, or still behind."""
        if message.kind in ("lost", "bye", "document", "log"):  # these are said to all
            return
        if message.kind == "changes" and message.epoch != self.position.epoch:  # asked for before it started afresh
            return
        if message.kind in ("snapshot", "changes"):
            self.position.epoch, self.position.since = message.epoch, message.seq
        self._note_console(message)
        self.outbox.put(message.text)
        if message.kind in _LAST:
            self._join()

    def start_afresh(self) -> None:
        """Forget what it has, because too much waited for it; a snapshot comes next."""
        self.starts += 1
        self.position.epoch, self.position.since, self.position.console = None, 0, None
        self.outbox.restart()
        self._fall_behind()

    def _fall_behind(self) -> None:
        self.is_behind = True
        self._held.clear()
        self._held_bytes = 0

    def _hold(self, message: Message) -> None:
        self._held.append(message)
        self._held_bytes += len(message.text)
        while len(self._held) > MAX_MESSAGES or self._held_bytes > MAX_BYTES:  # the gap will be seen
            self._held_bytes -= len(self._held.popleft().text)

    def _join(self) -> None:
        """Go over to what is said to all."""
        held, place = [*self._held], self._console
        self._fall_behind()
        self.is_behind = False
        for message in held:
            is_known = message.place is not None and place is not None and _is_reached(message.place, place)
            if not self.is_behind and not is_known:
                self._pass(message)
        if "state" in self.position.topics and not self._is_with(self._all):
            self._fall_behind()

    def _is_with(self, place: tuple[str | None, int]) -> bool:
        """Whether it has what all have heard by now; of another life nobody knows which is the later one."""
        return place[0] is None or (place[0] == self.position.epoch and place[1] <= self.position.since)

    def _pass(self, message: Message) -> None:
        """Hand on one of all, but for changes that it has; where some are missing it falls behind."""
        position = self.position
        if message.kind == "changes":
            if message.epoch != position.epoch or (message.first or 0) > position.since + 1:
                self._fall_behind()
                return
            if message.first is not None and message.seq <= position.since:
                return
            position.since = max(position.since, message.seq)
        self._note_console(message)
        self.outbox.put(message.text)

    def _note_console(self, message: Message) -> None:
        if message.place is not None:
            self._console = message.place
            self.position.console = message.place[1]


def _is_reached(place: tuple[str, int], by: tuple[str, int]) -> bool:
    """Whether console text up to one place is part of that up to another."""
    return place[0] == by[0] and place[1] <= by[1]
