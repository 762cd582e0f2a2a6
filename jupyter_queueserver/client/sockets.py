"""Sockets for requests: one request is in flight on each, and one whose answer did not come in time is thrown away.

A late answer can so never be taken for the answer to the next request.  Nothing here knows methods or JSON.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Generic, TypeVar

import zmq
import zmq.asyncio

from .errors import ClientError
from .target import Target

SocketT = TypeVar("SocketT", zmq.Socket, zmq.asyncio.Socket)

#: Requests of one client that may be in flight at once; further ones wait for their turn.
IN_FLIGHT = 8


class NoAnswer(Exception):
    """Nothing came in time; the socket is gone, the next request opens another."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.control)
        self.target = target


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

    async def exchange(self, target: Target, request: bytes, timeout: float) -> bytes:  # noqa: ASYNC109 - counted from the turn on
        """Send one frame and return the frame that answers it; raises `NoAnswer` after ``timeout`` seconds."""
        async with self._turns:
            if self._is_closed:
                raise _client_is_closed()
            socket = self._idle.take(target) or self._open(target)
            try:
                async with asyncio.timeout(timeout):
                    await socket.send_multipart([b"", request])
                    frames = await socket.recv_multipart()
            except TimeoutError as err:
                socket.close(0)
                raise NoAnswer(target) from err
            except (asyncio.CancelledError, zmq.ZMQError) as err:
                socket.close(0)
                task = asyncio.current_task()
                if self._is_closed and not (task is not None and task.cancelling()):
                    raise _client_is_closed() from err  # closing a socket cancels what waits for it
                raise
            except BaseException:
                socket.close(0)
                raise
            self._idle.give_back(socket, target)
            return frames[-1]

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

    def exchange(self, target: Target, request: bytes, timeout: float) -> bytes:
        """Send one frame and return the frame that answers it; raises `NoAnswer` after ``timeout`` seconds."""
        with self._turns:
            with self._lock:
                if self._is_closed:
                    raise _client_is_closed()
                socket = self._idle.take(target) or self._open(target)
            try:
                frames = _ask(socket, request, timeout)
            except BaseException:
                socket.close(0)
                raise
            if frames is None:
                socket.close(0)
                raise NoAnswer(target)
            with self._lock:
                self._idle.give_back(socket, target)
            return frames[-1]

    def _open(self, target: Target) -> zmq.Socket:
        socket = self._context.socket(zmq.DEALER)
        prepare(socket, target)
        return socket

    def close(self) -> None:
        """Close the idle sockets; nothing more is sent."""
        with self._lock:
            self._is_closed = True
            self._idle.close()


def _ask(socket: zmq.Socket, request: bytes, timeout: float) -> list[bytes] | None:
    deadline = time.monotonic() + timeout
    socket.send_multipart([b"", request])
    left = deadline - time.monotonic()
    if socket.poll(max(0, round(left * 1000)), zmq.POLLIN):
        return socket.recv_multipart()
    return None
