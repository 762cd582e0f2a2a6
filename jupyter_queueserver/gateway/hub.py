"""The event stream for all browsers: one subscription to the manager, however many pages are open.

What everybody gets is received, read and kept once; a slow browser costs its place in it, not a copy.  What only one browser
needs (the snapshot at its beginning, what it missed) it gets from the manager by a short subscription of its own, so that
nothing of the queue's state is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

import zmq.asyncio
from msgspec.structs import replace

from .follower import Follower
from .subscription import Message, Position, Subscription

_log = logging.getLogger(__name__)

#: Seconds until another try after a fault.
_PAUSE = 1.0

Listener = Callable[[Message], None]


class Hub:
    """The common subscription; it is there as long as somebody listens.

    Parameters
    ----------
    address
        0MQ address of the manager's event stream.
    """

    def __init__(self, context: zmq.asyncio.Context, address: str) -> None:
        self._context = context
        self._address = address
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._is_in_step = asyncio.Event()

    @contextlib.contextmanager
    def listen(self, listener: Listener) -> Iterator[None]:
        """Have it called with each message that is said to all."""
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._task.cancel()
                self._task = None

    async def catch_up(self, follower: Follower) -> None:
        """Tell a follower what it misses, until it is with the others or starts afresh; it must listen already."""
        await self._is_in_step.wait()  # what comes from now on is heard by all: nothing can fall in between
        starts = follower.starts
        subscription = Subscription(self._context, self._address, replace(follower.position))
        try:
            async for message in subscription.messages():
                if follower.starts != starts:
                    return
                follower.hear_own(message)
                if not follower.is_behind:
                    return
        finally:
            subscription.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._hear()
            except Exception:  # noqa: BLE001 - boundary of the common subscription: without it every page would be blind
                _log.exception("The event stream of the manager failed; it is taken up again.")
                await asyncio.sleep(_PAUSE)

    async def _hear(self) -> None:
        subscription = Subscription(self._context, self._address, Position())
        try:
            async for message in subscription.messages():
                if message.kind != "lost":
                    self._is_in_step.set()
                for listener in [*self._listeners]:
                    self._tell(listener, message)
        finally:
            self._is_in_step.clear()
            subscription.close()

    def _tell(self, listener: Listener, message: Message) -> None:
        try:
            listener(message)
        except Exception:  # noqa: BLE001 - boundary of one subscriber: a fault there must not silence the others
            _log.exception("A message of the manager could not be handed to a browser.")
