"""One subscription to the manager's event stream, as text for browsers.

It knows how far it is, keeps itself alive, and comes back where it was after a break.  Messages are looked at only as far as
needed for that; mirrors are the subscriber's matter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
import zmq
import zmq.asyncio

from ..core.history import TAIL_ENTRIES
from .strict import rewritten

#: Seconds from one sign of life to the next; the manager forgets who is silent for 10 s.
KEEP_ALIVE = 2.0
#: Seconds without any message after which the manager counts as lost.
LOST_AFTER = 6.0
#: Seconds to the next attempt while there is no connection: first, and at most.
_FIRST_RETRY, _LAST_RETRY = 0.01, 0.25
#: Messages that may wait in the socket; the manager keeps the rest, and a snapshot for who is too slow.
_HIGH_WATER = 1000

TOPICS = ("state", "console", "documents")
LOST = b'{"kind":"lost"}'


class Position(msgspec.Struct, kw_only=True):
    """How far a subscriber is.

    Attributes
    ----------
    epoch, since
        Life of the manager and number of its last change that was received; None and 0: nothing yet.
    console
        Offset in bytes of the next console text; None: nothing yet, the newest part is wanted.
    history
        How many history entries a snapshot shall hold, `TAIL_ENTRIES` at most.
    """

    topics: tuple[str, ...] = TOPICS
    epoch: str | None = None
    since: int = 0
    console: int | None = None
    history: int = TAIL_ENTRIES


class Message(NamedTuple):
    """A message of the manager.

    Attributes
    ----------
    text
        Strict JSON (UTF-8).
    status
        The status in it (JSON text) or None.
    epoch, first, seq
        Of a snapshot or of changes: life of the manager, number of the first change in it (None: there is none) and of the last.
    place
        Of console text: environment, and offset in bytes of its end.
    """

    kind: str
    text: bytes
    status: bytes | None = None
    epoch: str | None = None
    first: int | None = None
    seq: int = 0
    place: tuple[str, int] | None = None


class _Head(msgspec.Struct):
    """The part of a message that tells the position."""

    kind: str
    epoch: str | None = None
    seq: int | None = None
    environment_id: str = ""
    offset: int = 0
    end: int | None = None
    text: msgspec.Raw = msgspec.Raw(b'""')
    changes: list[tuple[int, msgspec.Raw]] = []
    status: msgspec.Raw = msgspec.Raw()


_HEAD = msgspec.json.Decoder(_Head)
_log = logging.getLogger(__name__)


def strict_json(data: bytes) -> tuple[bytes, _Head]:
    """Return a message as strict JSON and its head; raises ``ValueError`` or ``RecursionError``.

    NaN and Infinity become null; half a surrogate pair, which is no character, becomes U+FFFD.
    """
    try:
        data.decode()
        return data, _HEAD.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        data = rewritten(data)
        try:
            return data, _HEAD.decode(data)
        except msgspec.MsgspecError as err:
            raise ValueError(f"not a message of the event stream: {err}") from err


class Subscription:
    """A subscription with its socket.

    Parameters
    ----------
    address
        0MQ address of the event stream.
    position
        What the subscriber wants and has; it is kept up to date.
    """

    def __init__(self, context: zmq.asyncio.Context, address: str, position: Position) -> None:
        self.position = position
        self._context = context
        self._address = address
        self._socket: zmq.asyncio.Socket | None = None
        self._waits_for_snapshot = False
        self._wants_fresh_start = False

    async def messages(self) -> AsyncIterator[Message]:
        """Yield messages for ever, `LOST` among them once in each silence of the manager; `close` ends it."""
        loop = asyncio.get_running_loop()
        heard, say_at, lost, retry = loop.time(), 0.0, False, _FIRST_RETRY
        while True:
            if self._wants_fresh_start:
                self._forget()
                say_at = 0.0
            socket = self._socket or self._open()
            if loop.time() >= say_at:
                retry = KEEP_ALIVE if await self._speak(socket) else min(2 * retry, _LAST_RETRY)
                say_at = loop.time() + retry
                retry = _FIRST_RETRY if retry == KEEP_ALIVE else retry
            wait = max(0.0, say_at - loop.time())
            if not await socket.poll(int(wait * 1000) + 1):
                if not lost and loop.time() - heard > LOST_AFTER:
                    lost = True
                    yield Message("lost", LOST)
                continue
            heard, lost = loop.time(), False
            message = self._take(await socket.recv())
            if message is not None:
                yield message

    async def _speak(self, socket: zmq.asyncio.Socket) -> bool:
        """Say what is wanted and how far it is; False: nobody is connected now."""
        try:
            await socket.send(msgspec.json.encode({"subscribe": self.position}), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def start_afresh(self) -> None:
        """Forget the position: a snapshot comes next, whatever is on its way is dropped.

        It takes effect with the next message or sign of life, because the socket may be in use just now.
        """
        self._wants_fresh_start = True

    def _forget(self) -> None:
        self._wants_fresh_start = False
        self.position.epoch = None
        self.position.since = 0
        self.position.console = None
        self._waits_for_snapshot = "state" in self.position.topics
        self.close()

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None

    def _open(self) -> zmq.asyncio.Socket:
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # signs of life for a manager that is away must not pile up
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        socket.connect(self._address)
        self._socket = socket
        return socket

    def _take(self, data: bytes) -> Message | None:
        """Follow the position; None: the message is of no use."""
        try:
            text, head = strict_json(data)
        except (ValueError, RecursionError) as err:
            _log.error("A message of the manager (%d bytes) cannot be passed on; a snapshot is asked for: %s", len(data), err)
            # Of a snapshot that is itself at fault the next comes with the next sign of life, not at once and for ever.
            if not self._waits_for_snapshot:
                self.start_afresh()
            return None
        if self._wants_fresh_start or (self._waits_for_snapshot and head.kind == "changes"):
            return None
        if not self._follow(head):
            self.start_afresh()
            return None
        first = head.changes[0][0] if head.changes else None
        place = (head.environment_id, _end_of(head)) if head.kind == "console" else None
        return Message(head.kind, text, bytes(head.status) or None, head.epoch, first, head.seq or 0, place)

    def _follow(self, head: _Head) -> bool:
        """Note how far it is; False: something is missing in between."""
        position = self.position
        if head.kind == "snapshot":
            self._waits_for_snapshot = False
            position.epoch, position.since = head.epoch, head.seq or 0
        elif head.kind == "changes":
            if head.epoch != position.epoch or (head.changes and head.changes[0][0] > position.since + 1):
                return False
            position.since = max(position.since, head.seq or 0)
        elif head.kind == "console":
            position.console = _end_of(head)
        return True


def _end_of(head: _Head) -> int:
    """Offset behind the text of a console message; one of an older manager does not tell it."""
    return head.offset + len(msgspec.json.decode(head.text, type=str).encode()) if head.end is None else head.end
