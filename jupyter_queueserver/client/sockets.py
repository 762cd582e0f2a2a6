"""Sockets for requests: one request is in flight on each, and one whose answer is not wanted any more is thrown away.

A late answer can so never be taken for the answer to the next request.  Nothing here knows methods or JSON.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

import zmq
import zmq.asyncio

from .errors import ClientError
from .target import Target

SocketT = TypeVar("SocketT", zmq.Socket, zmq.asyncio.Socket)

#: Requests of one client that may be in flight at once; further ones wait for their turn.
IN_FLIGHT = 8


class NoAnswer(Exception):
    """Nothing came in time; the sockets are gone, the next request opens another."""


class Attempt(NamedTuple):
    """One sending of a request, and how many seconds there are until the next (or the end)."""

    target: Target
    request: bytes
    wait: float


def prepare(socket: zmq.Socket, target: Target) -> None:
    """Set the options of a control socket and connect it."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
    if target.public_key:
        # The server takes any client key: a fresh pair says nothing about who we are, and nothing has to be kept.
        public, secret = zmq.curve_keypair()
        socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
        socket.setsockopt(zmq.CURVE_SERVERKEY, target.public_key.encode())
    socket.connect(target.control)


def _client_is_closed() -> ClientError:
    return ClientError("The client is closed.")


class _Idle(Generic[SocketT]):
    """Connected sockets with nothing in flight, for one target."""

    def __init__(self) -> None:
        self._sockets: list[SocketT] = []
        self._target: Target | None = None

    def take(self, target: Target) -> SocketT | None:
        if target != self._target:
            self.close()
            self._target = target
        return self._sockets.pop() if self._sockets else None

    def give_back(self, socket: SocketT, target: Target) -> None:
        if target == self._target:
            self._sockets.append(socket)
        else:
            socket.close(0)

    def close(self) -> None:
        while self._sockets:
            self._sockets.pop().close(0)


class AsyncSockets:
    """Requests from one event loop."""

    def __init__(self, context: zmq.asyncio.Context) -> None:
        self._context = context
        self._idle: _Idle[zmq.asyncio.Socket] = _Idle()
        self._turns = asyncio.Semaphore(IN_FLIGHT)
        self._is_closed = False

    async def exchange(self, attempts: Iterable[Attempt]) -> tuple[bytes, Target]:
        """Send one request as often as there are attempts, until the first of them is answered.

        An answer to an earlier attempt counts as long as there is time.

        Returns
        -------
        The frame of the answer, and who gave it.

        Raises
        ------
        NoAnswer
            None came in time.
        """
        async with self._turns:
            if self._is_closed:
                raise _client_is_closed()
            asked: dict[asyncio.Future[list[bytes]], tuple[zmq.asyncio.Socket, Target]] = {}
            try:
                return await self._first_answer(attempts, asked)
            except (asyncio.CancelledError, zmq.ZMQError) as err:
                task = asyncio.current_task()
                if self._is_closed and not (task is not None and task.cancelling()):
                    raise _client_is_closed() from err  # closing a socket cancels what waits for it
                raise
            finally:
                for socket, _ in asked.values():
                    socket.close(0)

    async def _first_answer(
        self, attempts: Iterable[Attempt], asked: dict[asyncio.Future[list[bytes]], tuple[zmq.asyncio.Socket, Target]]
    ) -> tuple[bytes, Target]:
        for target, request, wait in attempts:
            socket = self._idle.take(target) or self._open(target)
            answer = asyncio.ensure_future(_asked(socket, request))
            asked[answer] = socket, target
            done, _ = await asyncio.wait(asked, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            for answer in done:
                frames = answer.result()
                socket, target = asked.pop(answer)
                self._idle.give_back(socket, target)
                return frames[-1], target
        raise NoAnswer

    def _open(self, target: Target) -> zmq.asyncio.Socket:
        socket = self._context.socket(zmq.DEALER)
        prepare(socket, target)
        return socket

    def close(self) -> None:
        """Close the idle sockets; nothing more is sent.  Those in use end with the context."""
        self._is_closed = True
        self._idle.close()


class BlockingSockets:
    """Requests from any thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._context = context
        self._idle: _Idle[zmq.Socket] = _Idle()
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(IN_FLIGHT)
        self._is_closed = False

    def exchange(self, attempts: Iterable[Attempt]) -> tuple[bytes, Target]:
        """Send one request as often as there are attempts, until the first is answered; see `AsyncSockets.exchange`."""
        with self._turns:
            asked: dict[zmq.Socket, Target] = {}
            try:
                for target, request, wait in attempts:
                    with self._lock:
                        if self._is_closed:
                            raise _client_is_closed()
                        socket = self._idle.take(target) or self._open(target)
                    asked[socket] = target
                    socket.send_multipart([b"", request])
                    if (answered := _first_ready(asked, wait)) is not None:
                        frames, target = answered.recv_multipart(), asked.pop(answered)
                        with self._lock:
                            self._idle.give_back(answered, target)
                        return frames[-1], target
                raise NoAnswer
            finally:
                for socket in asked:
                    socket.close(0)

    def _open(self, target: Target) -> zmq.Socket:
        socket = self._context.socket(zmq.DEALER)
        prepare(socket, target)
        return socket

    def close(self) -> None:
        """Close the idle sockets; nothing more is sent."""
        with self._lock:
            self._is_closed = True
            self._idle.close()


async def _asked(socket: zmq.asyncio.Socket, request: bytes) -> list[bytes]:
    await socket.send_multipart([b"", request])
    return await socket.recv_multipart()


def _first_ready(sockets: Iterable[zmq.Socket], wait: float) -> zmq.Socket | None:
    """Return a socket that has an answer, None if there is none in that time (seconds)."""
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    ready = poller.poll(max(0, round(wait * 1000)))
    return ready[0][0] if ready else None
