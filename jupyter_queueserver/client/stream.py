"""A subscription over 0MQ: reconnects by itself, goes on where it was, gets a snapshot when it cannot.

It keeps nothing for a consumer that does not ask: who is slow gets a fresh snapshot later from the manager.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from .errors import EventsUnavailable
from .events import Event, Feed, LostEvent
from .target import Target

#: Seconds between two keep-alives; the manager forgets a subscriber after 10 s of silence.
KEEP_ALIVE = 2.0
#: Seconds without any message after which the manager counts as lost and a new connection is tried.
SILENCE = 6.0
#: Messages that are taken from the socket at once.
_AT_ONCE = 100


class EventStream:
    """The events of one manager, one after another: ``async for event in stream``.

    Made by `AsyncClient.subscribe`.  A consumer that pauses misses nothing that matters: when it comes back it gets the missing
    changes, or a snapshot.

    Parameters
    ----------
    context
        Of the client.
    find
        Gives the target; called again for each new connection.
    feed
        The bookkeeping.
    on_close
        Called once with the stream when it is closed.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        find: Callable[[], Target],
        feed: Feed,
        on_close: Callable[[EventStream], Any],
    ) -> None:
        self._context = context
        self._find = find
        self._feed = feed
        self._on_close = on_close
        self._socket: zmq.asyncio.Socket | None = None
        self._monitor: zmq.asyncio.Socket | None = None
        self._poller = zmq.asyncio.Poller()
        self._events: deque[Event] = deque()
        self._asked = 0.0
        self._waiting_since: float | None = None  # when the oldest unanswered message went out
        self._is_lost = False
        self._closed = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            if self._socket is not None:
                self._take(self._socket)  # before silence is judged: the consumer may have been away
            if not self._events:
                self._keep_up()
                await self._receive()
        return self._events.popleft()

    def forget(self) -> None:
        """Ask for a snapshot: the consumer cannot use what it has."""
        self._feed.forget()

    async def aclose(self) -> None:
        """End the subscription; an iteration that waits ends too."""
        if not self._closed:
            self._on_close(self)
        self._closed = True
        self._disconnect()

    async def __aenter__(self) -> EventStream:
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self.aclose()

    def _keep_up(self) -> None:
        """Connect, ask, or give up a connection, as it is due."""
        now = time.monotonic()
        if self._waiting_since is not None and now - self._waiting_since >= SILENCE:
            self._lose(now - self._waiting_since)
        if self._socket is None:
            self._connect(now)
        elif self._feed.must_ask or now - self._asked >= KEEP_ALIVE:
            self._ask(now)

    def _lose(self, silence: float) -> None:
        self._disconnect()
        self._waiting_since = None
        if not self._is_lost:
            self._is_lost = True
            self._events.append(LostEvent(silence=round(silence, 1)))

    def _connect(self, now: float) -> None:
        target = self._find()
        if target.events is None:
            raise EventsUnavailable(
                f"{target.control} ({target.origin}) has no known event stream. Name the instance (data directory) whose"
                " manager it is: its runtime.json tells the address."
            )
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # keep-alives do not pile up for a manager that is away
        self._monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        socket.connect(target.events)
        self._socket = socket
        for each in (socket, self._monitor):
            self._poller.register(each, zmq.POLLIN)
        self._asked = self._waiting_since = now

    def _disconnect(self) -> None:
        socket, monitor, self._socket, self._monitor = self._socket, self._monitor, None, None
        for each in (socket, monitor):
            if each is not None:
                self._poller.unregister(each)
        if socket is not None and not socket.closed:
            socket.disable_monitor()
            socket.close(0)
        if monitor is not None:
            monitor.close(0)

    def _ask(self, now: float) -> None:
        self._asked = now
        if self._waiting_since is None:
            self._waiting_since = now
        if self._socket is None:
            return
        # suppressed when not connected: the handshake asks
        with contextlib.suppress(zmq.Again):
            zmq.Socket.send(self._socket, self._feed.request(), zmq.NOBLOCK)

    async def _receive(self) -> None:
        socket, monitor = self._socket, self._monitor
        if socket is None or monitor is None or self._events:
            return
        due = min(self._asked + KEEP_ALIVE, (self._waiting_since or self._asked) + SILENCE) - time.monotonic()
        try:
            ready = dict(await self._poller.poll(max(1, round(due * 1000))))
            if monitor in ready:
                await recv_monitor_message(monitor)
                self._ask(time.monotonic())
        except (asyncio.CancelledError, zmq.ZMQError):
            # Closing the sockets cancels what waits for them; that is no cancellation of the consumer.
            task = asyncio.current_task()
            if not self._closed or (task is not None and task.cancelling()):
                raise

    def _take(self, socket: zmq.asyncio.Socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                frame = zmq.Socket.recv(socket, zmq.NOBLOCK)
            except zmq.Again:
                return
            self._waiting_since = None
            self._is_lost = False
            event = self._feed.receive(frame)
            if event is not None:
                self._events.append(event)
