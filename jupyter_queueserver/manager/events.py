"""The event stream: a snapshot, then numbered changes, console text and live documents, to everybody who subscribed.

A subscriber says what it has and gets what is missing.  One that reads too slowly is left alone and gets a fresh snapshot
later: nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import zmq
import zmq.asyncio

from ..core import codec
from ..core.changes import AnyChange
from ..core.history import TAIL_ENTRIES
from ..core.mirror import public, snapshot
from ..core.state import State
from ..instance.secrecy import close_socket
from .crowd import guard
from .sending import send_now

_log = logging.getLogger(__name__)

#: Seconds of silence after which a subscriber is forgotten; they speak every 2 s.
FORGET_AFTER = 10.0
#: Changes that are kept for those who come back.
_KEPT_CHANGES = 5000
#: Bytes of their texts at most.
_KEPT_BYTES = 8 * 1024 * 1024
#: Messages that wait for one subscriber before it counts as slow.
_HIGH_WATER = 2000
#: Bytes of console text that a new subscriber gets.
_CONSOLE_TAIL = 64 * 1024

Text = msgspec.Raw


class Subscribe(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscriber wants and has; see the module."""

    topics: tuple[str, ...] = ("state",)
    epoch: str | None = None
    since: int = 0
    console: int | None = None
    history: int = TAIL_ENTRIES


class _Request(msgspec.Struct, frozen=True):
    subscribe: Subscribe


class _Kept(NamedTuple):
    """A change as it is sent."""

    seq: int
    text: Text
    user: str | None


class _Subscriber(msgspec.Struct):
    topics: frozenset[str]
    heard: float
    lagging: bool = False


class EventStream:
    """The events socket and who listens to it.

    Parameters
    ----------
    address
        0MQ address to bind.
    epoch
        Identity of this life of the manager.
    status
        Gives the status dictionary of the present state as JSON text.
    state
        Gives the present state.
    console
        Called with (offset or None for the tail): messages that bring a new subscriber up to date.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        address: str,
        epoch: str,
        *,
        state: Callable[[], State],
        status: Callable[[], bytes],
        console: Callable[[int | None, int], list[dict[str, Any]]],
    ) -> None:
        self._epoch = epoch
        self._state = state
        self._status = status
        self._console = console
        self._subscribers: dict[bytes, _Subscriber] = {}
        self._changes: deque[_Kept] = deque()
        self._kept_bytes = 0
        self._socket = context.socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, 200)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.set(zmq.SNDHWM, _HIGH_WATER)
        self._socket.set(zmq.MAXMSGSIZE, 65536)
        guard(self._socket)
        self._socket.bind(address)
        close_socket(address)

    async def run(self) -> None:
        """Hear subscribers until cancelled."""
        while True:
            try:
                frames = await self._socket.recv_multipart()
            except zmq.ZMQError as err:
                if err.errno in (zmq.ETERM, zmq.ENOTSOCK):
                    return
                _log.warning("Hearing a subscriber failed: %s", err)
                continue
            try:
                request = codec.typed_from_json(frames[-1], _Request).subscribe
            except (ValueError, RecursionError) as err:
                _log.info("A subscription that cannot be read was ignored: %s", err)
                continue
            try:
                self._hear(frames[0], request)
            except Exception:  # noqa: BLE001 - boundary of one subscriber: the others, and the queue, must not suffer
                _log.exception("A subscriber could not be answered, by a fault of the server.")

    def _hear(self, peer: bytes, request: Subscribe) -> None:
        known = self._subscribers.get(peer)
        subscriber = _Subscriber(frozenset(request.topics), time.monotonic())
        self._subscribers[peer] = subscriber
        if known is None and "console" in request.topics:
            for message in self._console(request.console, _CONSOLE_TAIL):
                self._send(peer, codec.to_json(message))
        if "state" not in request.topics:
            self._send(peer, codec.to_json({"kind": "alive", "epoch": self._epoch, "seq": self._state().seq}))
        elif known is None or known.lagging or request.epoch != self._epoch:
            self._catch_up(peer, request)
        else:
            self._send(peer, codec.to_json({"kind": "alive", "epoch": self._epoch, "seq": self._state().seq}))

    def _catch_up(self, peer: bytes, request: Subscribe) -> None:
        oldest = self._changes[0].seq if self._changes else self._state().seq + 1
        if request.epoch == self._epoch and request.since + 1 >= oldest:
            missed = [entry for entry in self._changes if entry.seq > request.since]
            self._send(peer, self._changes_text(missed))
            return
        state = self._state()
        message = {
            "kind": "snapshot",
            "epoch": self._epoch,
            "seq": state.seq,
            "time": state.time,
            "snapshot": snapshot(state, max(0, request.history)),
            "status": Text(self._status()),
        }
        self._send(peer, codec.to_json(message))

    def _changes_text(self, entries: Sequence[_Kept]) -> bytes:
        state = self._state()
        return codec.to_json(
            {
                "kind": "changes",
                "epoch": self._epoch,
                "seq": entries[-1].seq if entries else state.seq,
                "time": state.time,
                "changes": [(entry.seq, entry.text) for entry in entries],
                "users": {str(entry.seq): entry.user for entry in entries if entry.user is not None},
                "status": Text(self._status()),
            }
        )

    def publish(self, changes: Sequence[AnyChange], first_seq: int, state: State, user: str | None = None) -> None:
        """Send committed changes; called after `state` has become the present one.  ``user``: who asked for them, if known."""
        texts = (Text(codec.to_json(public(change))) for change in changes)
        entries = [_Kept(first_seq + place, text, user) for place, text in enumerate(texts)]
        self._keep(entries)
        if any("state" in subscriber.topics for subscriber in self._subscribers.values()):
            self._broadcast("state", self._changes_text(entries))

    def _keep(self, entries: Sequence[_Kept]) -> None:
        self._changes.extend(entries)
        self._kept_bytes += sum(len(bytes(entry.text)) for entry in entries)
        while self._changes and (len(self._changes) > _KEPT_CHANGES or self._kept_bytes > _KEPT_BYTES):
            self._kept_bytes -= len(bytes(self._changes.popleft().text))

    def tell(self, topic: str, message: dict[str, Any]) -> None:
        """Send a message of the topic ``console`` or ``documents``."""
        if any(topic in subscriber.topics for subscriber in self._subscribers.values()):
            self._broadcast(topic, codec.to_json(message))

    def tell_text(self, topic: str, text: bytes) -> None:
        """`tell` for a message that is JSON text already."""
        self._broadcast(topic, text)

    def _broadcast(self, topic: str, text: bytes) -> None:
        now = time.monotonic()
        for peer, subscriber in list(self._subscribers.items()):
            if now - subscriber.heard > FORGET_AFTER:
                del self._subscribers[peer]
            elif topic in subscriber.topics and not subscriber.lagging:
                self._send(peer, text)

    def _send(self, peer: bytes, text: bytes) -> None:
        try:
            send_now(self._socket, [peer, text])
        except zmq.Again:
            if peer in self._subscribers:
                self._subscribers[peer].lagging = True
        except zmq.ZMQError:
            self._subscribers.pop(peer, None)

    async def close(self, reason: str) -> None:
        """Say goodbye and close."""
        bye = codec.to_json({"kind": "bye", "reason": reason})
        for peer in list(self._subscribers):
            self._send(peer, bye)
        await asyncio.sleep(0)
        self._socket.close()
