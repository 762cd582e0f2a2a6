"""The blocking client, for scripts, the command line and notebooks.

Calls use plain sockets and may come from any thread.  Events are read by a thread of its own, made when they are first wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import zmq

from ..api.registry import REQUEST_ID
from ..core.state import State
from ..instance import Instance
from . import envelope
from ._methods import BlockingMethods
from .async_client import AsyncClient
from .errors import ClientError, RequestTimeout, SettingsError
from .events import Event
from .live import LiveMirror
from .retries import RequestIds, attempts, is_repeatable
from .sockets import Attempt, BlockingSockets, NoAnswer
from .stream import EventStream
from .target import Target, find_target

T = TypeVar("T")


class Client(BlockingMethods):
    """Talk to the manager and wait for each answer.

    The blocking twin of `AsyncClient`, with the same parameters and methods.  A request without answer leaves no trace: its
    socket is closed, the next request opens another.  Calls may come from several threads; `close` must be the last.
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
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets = BlockingSockets(self._context)
        self._listener: _Listener | None = None
        self._ids = RequestIds()
        self._lock = threading.Lock()

    @property
    def target(self) -> Target:
        """Where the manager is expected; looked up again after a request without answer."""
        target = self._target or self._find()
        self._target = target
        return target

    def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Call a method and return the reply, also when the manager refuses; see `AsyncClient.call`."""
        filled = envelope.with_identity(method, params, self.user, self.user_group)
        added = self._ids.fresh(method, params)
        reply = self._decoded(method, filled | added)
        if added and self._ids.are_refused(reply):
            return self._decoded(method, filled)
        return reply

    def _decoded(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        frame, target = self._exchange(method, params, self.timeout)
        return envelope.decode(frame, envelope.encoding_for(target, self._encoding), target)

    def call_raw(self, method: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None) -> bytes:
        """Call a method with exactly these parameters and return the undecoded reply; see `AsyncClient.call_raw`."""
        frame, _ = self._exchange(method, params or {}, self.timeout if timeout is None else timeout)
        return frame

    def _exchange(self, method: str, params: Mapping[str, Any], seconds: float) -> tuple[bytes, Target]:
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
            return self._sockets.exchange(sendings())
        except NoAnswer:
            self._target = None
            raise envelope.timed_out(method, limit, target, params.get(REQUEST_ID.name)) from None

    def request(self, method: str, /, **params: Any) -> dict[str, Any]:
        """`call`, but raise `RequestFailed` when the manager refuses."""
        return envelope.checked(self.call(method, **params))

    def subscribe(self, topics: Sequence[str] = ("state",), console: int | None = None, *, history: int = 200) -> BlockingEvents:
        """Return the events of the manager, to be iterated over; see `AsyncClient.subscribe`.

        The subscription begins with the first event that is asked for.
        """
        listener = self._listening()
        stream = listener.run(_made(lambda: listener.client.subscribe(topics, console, history=history)))
        return BlockingEvents(stream, listener)

    def mirror(self, *, history: int = 200) -> BlockingMirror:
        """Return a live copy of the manager's public state, to be entered with ``with``; see `AsyncClient.mirror`."""
        listener = self._listening()
        return BlockingMirror(listener.run(_made(lambda: listener.client.mirror(history=history))), listener)

    def close(self) -> None:
        """Close all connections and end the thread, if there is one."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        self._sockets.close()
        self._context.destroy(linger=0)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    def _find(self) -> Target:
        address, instance, public_key = self._where
        return find_target(address, instance=instance, public_key=public_key)

    def _listening(self) -> _Listener:
        with self._lock:
            if self._listener is None:
                self._listener = _Listener(self._twin)
            return self._listener

    def _twin(self) -> AsyncClient:
        address, instance, public_key = self._where
        return AsyncClient(
            address,
            instance=instance,
            timeout=self.timeout,
            user=self.user,
            user_group=self.user_group,
            public_key=public_key,
            encoding=self._encoding,
        )


class _Listener:
    """A thread with an event loop and an asynchronous client in it."""

    def __init__(self, make_client: Callable[[], AsyncClient]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="queueserver events", daemon=True)
        self._thread.start()
        self.client: AsyncClient = self.run(_made(make_client))

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run it in the thread and return its result; after ``timeout`` seconds cancel it and raise ``TimeoutError``."""
        if self._loop.is_closed():
            work.close()
            raise ClientError("The client is closed.")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """`run` something that ends; nothing is left to do when the client was closed before."""
        with contextlib.suppress(ClientError):
            self.run(work)

    def close(self) -> None:
        """End the subscriptions, then the thread."""
        self.run(self.client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _made(make: Callable[[], T]) -> T:
    return make()


async def _next(stream: EventStream) -> Event | None:
    return await anext(stream, None)


class BlockingEvents:
    """The events of one manager, one after another: ``for event in events``; made by `Client.subscribe`."""

    def __init__(self, stream: EventStream, listener: _Listener) -> None:
        self._stream = stream
        self._listener = listener

    def __iter__(self) -> BlockingEvents:
        return self

    def __next__(self) -> Event:
        event = self._listener.run(_next(self._stream))
        if event is None:
            raise StopIteration
        return event

    def next(self, timeout: float) -> Event:
        """Return the next event; raises `RequestTimeout` after ``timeout`` seconds without one."""
        try:
            event = self._listener.run(_next(self._stream), timeout)
        except RequestTimeout:
            raise
        except TimeoutError as err:
            raise RequestTimeout(f"timeout occurred: no event within {timeout:g} s") from err
        if event is None:
            raise ClientError("The subscription is closed.")
        return event

    def close(self) -> None:
        """End the subscription."""
        self._listener.finish(self._stream.aclose())

    def __enter__(self) -> BlockingEvents:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()


class BlockingMirror:
    """A live copy of the manager's public state; the blocking twin of `LiveMirror`, made by `Client.mirror`."""

    def __init__(self, live: LiveMirror, listener: _Listener) -> None:
        self._live = live
        self._listener = listener

    @property
    def state(self) -> State:
        """The state as last heard (without plans and devices; the newest part of the history)."""
        return self._live.state

    @property
    def status(self) -> dict[str, Any]:
        """The status dictionary as of the last change."""
        return self._live.status

    @property
    def history_size(self) -> int:
        """Length of the whole history."""
        return self._live.history_size

    @property
    def epoch(self) -> str | None:
        """Identity of this life of the manager."""
        return self._live.epoch

    @property
    def is_connected(self) -> bool:
        """Whether the manager is heard."""
        return self._live.is_connected

    def wait_for(self, predicate: Callable[[BlockingMirror], Any], timeout: float | None = None) -> None:
        """Return as soon as ``predicate(mirror)`` is true; see `LiveMirror.wait_for`.

        The predicate runs in the thread of the events and must not call the client.
        """
        self._listener.run(self._live.wait_for(lambda _: predicate(self), timeout))

    def close(self) -> None:
        """Stop following."""
        self._listener.finish(self._live.aclose())

    def __enter__(self) -> BlockingMirror:
        self._listener.run(self._live.__aenter__())
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()
