"""What a subscriber receives, and the bookkeeping of a subscription: what it has, what it must ask for.

Sans-I/O: frames go in, events come out; clock and sockets belong to `jupyter_queueserver.client.stream`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from ..core import codec

_log = logging.getLogger(__name__)

#: What can be subscribed to.
TOPICS = ("state", "console", "documents")


class SnapshotEvent(msgspec.Struct, frozen=True, tag_field="kind", tag="snapshot"):
    """The whole public state: at the beginning, after a restart of the manager, and after missed changes.

    Attributes
    ----------
    epoch
        Identity of this life of the manager.
    seq
        Number of the last change that is in it.
    time
        Seconds since the epoch.
    snapshot
        Plain form of `jupyter_queueserver.core.mirror.Snapshot`.
    status
        The status dictionary of the same moment.
    """

    epoch: str
    seq: int
    time: float
    snapshot: dict[str, Any]
    status: dict[str, Any] = {}


class ChangesEvent(msgspec.Struct, frozen=True, tag_field="kind", tag="changes"):
    """Changes that follow without a gap on what came before: ``[(seq, change), ...]``; ``seq`` is the last one's.

    Attributes
    ----------
    users
        Who asked for a change, by its number as text; of a change for which nobody asked, or whose asker is not known, nothing.
    """

    epoch: str
    seq: int
    time: float
    changes: tuple[tuple[int, dict[str, Any]], ...]
    status: dict[str, Any] = {}
    users: dict[str, str] = {}


class ConsoleEvent(msgspec.Struct, frozen=True, tag_field="kind", tag="console"):
    """Console text of an environment.

    Attributes
    ----------
    offset, end
        Where the bytes begin and end that it stands for.  They need not be those of the text, in which bytes that are no UTF-8
        are replaced.  ``end`` None: an older manager did not tell it.
    """

    environment_id: str | None
    offset: int
    text: str
    time: float = 0.0
    end: int | None = None


class DocumentEvent(msgspec.Struct, frozen=True, tag_field="kind", tag="document"):
    """A document of a run, thinned when they come fast: for live plots, not for keeping."""

    environment_id: str | None
    seq: int
    name: str
    doc: dict[str, Any]


class AliveEvent(msgspec.Struct, frozen=True, tag_field="kind", tag="alive"):
    """Answer to a keep-alive; never handed to subscribers."""

    epoch: str
    seq: int


class ByeEvent(msgspec.Struct, frozen=True, tag_field="kind", tag="bye"):
    """Orderly end of the manager; the subscription goes on waiting for the next one."""

    reason: str = ""


class LostEvent(msgspec.Struct, frozen=True, tag_field="kind", tag="lost"):
    """Made by the client: nothing was heard for ``silence`` seconds.  It goes on trying; any other event ends it."""

    silence: float


Event = SnapshotEvent | ChangesEvent | ConsoleEvent | DocumentEvent | ByeEvent | LostEvent
_Received = SnapshotEvent | ChangesEvent | ConsoleEvent | DocumentEvent | AliveEvent | ByeEvent


class Feed:
    """The bookkeeping of one subscription.

    Parameters
    ----------
    topics
        Of `TOPICS`.
    console
        Byte offset of the console text that is there already; None: begin with the last 64 kB.
    history
        How many history entries a snapshot holds, 200 at most.
    epoch, since
        Where to go on: identity of the manager's life and number of the last change that is there already.  None and 0:
        begin with a snapshot.
    """

    def __init__(
        self,
        topics: Sequence[str] = ("state",),
        *,
        console: int | None = None,
        history: int = 200,
        epoch: str | None = None,
        since: int = 0,
    ) -> None:
        unknown = [topic for topic in topics if topic not in TOPICS]
        if unknown or isinstance(topics, str):
            raise ValueError(f"topics must be a sequence out of {TOPICS}, not {topics!r}")
        self.topics = tuple(topics)
        self.console = console
        self.history = history
        self.epoch = epoch
        self.seq = since
        self.environment_id: str | None = None
        #: Whether a request must go out now: something was missed.
        self.must_ask = False

    def request(self) -> bytes:
        """Make the message that subscribes, asks for what is missing, and keeps alive: all the same."""
        self.must_ask = False
        return codec.to_json(
            {
                "subscribe": {
                    "topics": self.topics,
                    "epoch": self.epoch,
                    "since": self.seq if self.epoch else 0,
                    "console": self.console,
                    "history": self.history,
                }
            }
        )

    def forget(self) -> None:
        """Ask for a snapshot next: what is there cannot be used."""
        self.epoch, self.seq, self.must_ask = None, 0, True

    def receive(self, frame: bytes) -> Event | None:
        """Take a message; None: nothing for the subscriber in it.

        A message of an unknown kind, of a newer manager, is passed over; so is one that cannot be read.
        """
        try:
            event = codec.convert(codec.from_json(frame), _Received)  # type: ignore[arg-type]
        except ValueError as err:
            _log.debug("a message of the event stream was passed over: %s", err)
            return None
        if isinstance(event, SnapshotEvent):
            self.epoch, self.seq = event.epoch, event.seq
            return event
        if isinstance(event, ChangesEvent):
            return self._new_changes(event)
        if isinstance(event, ConsoleEvent):
            return self._new_text(event)
        if isinstance(event, AliveEvent):
            is_waiting = self.epoch is None  # for a snapshot that was asked for
            if "state" in self.topics and not is_waiting and (event.epoch != self.epoch or event.seq > self.seq):
                self.forget()
            return None
        return event

    def _new_changes(self, event: ChangesEvent) -> ChangesEvent | None:
        if self.epoch is None:  # a snapshot is on its way
            return None
        new = tuple((seq, change) for seq, change in event.changes if seq > self.seq)
        if event.epoch != self.epoch or (new and new[0][0] != self.seq + 1):
            self.forget()
            return None
        if not new:
            return None
        self.seq = new[-1][0]
        return event if len(new) == len(event.changes) else msgspec.structs.replace(event, changes=new)

    def _new_text(self, event: ConsoleEvent) -> ConsoleEvent | None:
        data = event.text.encode("utf-8", "replace")
        known = self.console if event.environment_id == self.environment_id and self.console is not None else 0
        self.environment_id = event.environment_id
        end = event.offset + len(data) if event.end is None else event.end
        if end <= known:
            return None
        self.console = end
        if event.offset >= known:
            return event
        rest = data[known - event.offset :].decode("utf-8", "replace")
        return msgspec.structs.replace(event, offset=known, text=rest)
