"""The asynchronous client.

It speaks to a manager that runs; it never starts one and keeps no state of the queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import zmq.asyncio

from ..api.registry import REQUEST_ID
from ..instance import Instance
from . import envelope
from ._methods import AsyncMethods
from .errors import SettingsError
from .events import Feed
from .live import LiveMirror
from .retries import RequestIds, attempts, is_repeatable
from .sockets import AsyncSockets, Attempt, NoAnswer
from .stream import EventStream
from .target import Target, find_target


class AsyncClient(AsyncMethods):
    """Talk to the manager from an event loop.

    Every method of the interface is also a method here (``await client.queue_item_add(...)``); these raise `RequestFailed`
    when the manager refuses.  Several calls may be in flight at once.

    Parameters
    ----------
    address
        0MQ address of the control socket; None: see `find_target`.
    instance
        The instance whose manager is meant; None: the one of this user or of the environment variable.
    timeout
        Seconds to wait for an answer; a big request gets 2 s more for each MB.
    user
        Name sent where a method wants one; None: account of the operating system.
    user_group
        Group sent where a method wants one.
    public_key
        CurveZMQ key of the server (Z85); None: see `find_target`.
    encoding
        ``json`` or ``msgpack``; must be the server's.

    Raises
    ------
    SettingsError
        Address, key or encoding cannot be used.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        instance: Instance | None = None,
        timeout: float = 2.0,
        user: str | None = None,
        user_group: str = "primary",
        public_key: str | None = None,
        encoding: envelope.Encoding = "json",
    ) -> None:
        if encoding not in ("json", "msgpack"):
            raise SettingsError(f"Encoding must be 'json' or 'msgpack', not {encoding!r}.")
        self.timeout = timeout
        self.user = user or envelope.default_user()
        self.user_group = user_group
        self._where = (address, instance, public_key)
        self._encoding: envelope.Encoding = encoding
        self._target: Target | None = self._find()
        self._context = zmq.asyncio.Context()
        self._sockets = AsyncSockets(self._context)
        self._streams: set[EventStream] = set()
        self._ids = RequestIds()

    @property
    def target(self) -> Target:
        """Where the manager is expected; looked up again after a request without answer."""
        if self._target is None:
            self._target = self._find()
        return self._target

    async def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Call a method and return the reply, also when the manager refuses (``success`` is false).

        ``user`` and ``user_group`` are filled in where the method has them and they are not given.  A writing request gets a
        ``request_id`` unless one is given; so it can be sent again when no answer comes, and is done once.

        Raises
        ------
        RequestTimeout
            No answer within `timeout` seconds; its ``request_id`` is that of the request.
        CommunicationError
            The answer cannot be read.
        """
        filled = envelope.with_identity(method, params, self.user, self.user_group)
        added = self._ids.fresh(method, params)
        reply = await self._decoded(method, filled | added)
        if added and self._ids.are_refused(reply):
            return await self._decoded(method, filled)
        return reply

    async def _decoded(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        frame, target = await self._exchange(method, params, self.timeout)
        return envelope.decode(frame, envelope.encoding_for(target, self._encoding), target)

    async def call_raw(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - a wire setting
    ) -> bytes:
        """Call a method with exactly these parameters and return the undecoded reply.

        Parameters
        ----------
        params
            Sent as they are; nothing is filled in.
        timeout
            Seconds to wait for the answer; None: that of the client.

        Raises
        ------
        RequestTimeout
            No answer in time.
        """
        frame, _ = await self._exchange(method, params or {}, self.timeout if timeout is None else timeout)
        return frame

    async def _exchange(self, method: str, params: Mapping[str, Any], seconds: float) -> tuple[bytes, Target]:
        """Send the request, again and again if that does no harm; returns the answer and who gave it."""
        target = self.target
        request = envelope.encode(method, params, envelope.encoding_for(target, self._encoding))
        limit = envelope.patience(seconds, request)

        def sendings() -> Iterator[Attempt]:
            nonlocal target
            for number, wait in enumerate(attempts(limit, len(request), repeatable=is_repeatable(method, params))):
                if number:  # the manager may be at another address now
                    self._target = None
                    target = self.target
                yield Attempt(target, envelope.encode(method, params, envelope.encoding_for(target, self._encoding)), wait)

        try:
            return await self._sockets.exchange(sendings())
        except NoAnswer:
            self._target = None
            raise envelope.timed_out(method, limit, target, params.get(REQUEST_ID.name)) from None

    async def request(self, method: str, /, **params: Any) -> dict[str, Any]:
        """`call`, but raise `RequestFailed` when the manager refuses."""
        return envelope.checked(await self.call(method, **params))

    def subscribe(
        self,
        topics: Sequence[str] = ("state",),
        console: int | None = None,
        *,
        history: int = 200,
        epoch: str | None = None,
        since: int = 0,
    ) -> EventStream:
        """Return the events of the manager, to be iterated over with ``async for``.

        The subscription begins with the first event that is asked for.  It reconnects by itself: it goes on
        without a gap where that is possible, else with a `SnapshotEvent`.

        Parameters
        ----------
        topics
            Of ``state``, ``console``, ``documents``.
        console
            Byte offset of the console text that is there already; None: begin with the last 64 kB.
        history
            How many history entries a snapshot holds, 200 at most.
        epoch, since
            Go on behind that change of that life of the manager; None: begin with a snapshot.

        Raises
        ------
        EventsUnavailable
            At the first event: the manager was given by an address whose event stream is not known.
        """
        feed = Feed(topics, console=console, history=history, epoch=epoch, since=since)
        stream = EventStream(self._context, self._find, feed, self._streams.discard)
        self._streams.add(stream)
        return stream

    def mirror(self, *, history: int = 200) -> LiveMirror:
        """Return a live copy of the manager's public state, to be entered with ``async with``.

        Parameters
        ----------
        history
            How many entries of the history it begins with, 200 at most.
        """
        return LiveMirror(self.subscribe(history=history), lambda: self.call("status"), self.timeout)

    async def aclose(self) -> None:
        """Close all connections; subscriptions end."""
        for stream in list(self._streams):
            await stream.aclose()
        self._sockets.close()
        self._context.destroy(linger=0)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self.aclose()

    def _find(self) -> Target:
        address, instance, public_key = self._where
        return find_target(address, instance=instance, public_key=public_key)
