"""The control socket: a ROUTER that speaks the REQ/REP wire format, so that requests never wait for each other.

It carries bytes; what they mean is the matter of `jupyter_queueserver.manager.replies`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import zmq
import zmq.asyncio

from ..api.dispatch import refuse_envelope
from ..core.errors import MalformedRequest
from ..core.limits import CONNECTION_LIMIT, Encoding
from .crowd import guard
from .entrance import Entrance
from .replies import Answerer, encode

_log = logging.getLogger(__name__)

#: Requests under way beyond which nothing more is received: who floods the server waits in his own socket.
_UNDER_WAY = 2000
_REFUSED_FRAMES = MalformedRequest("Failed to decode the request: the message has several frames, one is expected")


class ControlSocket:
    """One address where requests are answered.

    Parameters
    ----------
    address
        0MQ address to bind; a TCP port ``*`` chooses a free one (see `address` afterwards).
    private_key
        CurveZMQ key (Z85); None: not encrypted.
    first_version
        Whether the commands of the first version of the interface are understood, as they were meant then.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        address: str,
        answerer: Answerer,
        *,
        encoding: Encoding = "json",
        private_key: str | None = None,
        first_version: bool = False,
    ) -> None:
        self._answerer = answerer
        self._encoding: Encoding = encoding
        self._first_version = first_version
        self._tasks: set[asyncio.Task[Any]] = set()
        self._socket = context.socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, 200)
        self._socket.set(zmq.MAXMSGSIZE, CONNECTION_LIMIT)
        guard(self._socket)
        if private_key:
            self._socket.set(zmq.CURVE_SERVER, 1)
            self._socket.set(zmq.CURVE_SECRETKEY, private_key.encode())
        try:
            self._socket.bind(address)
        except zmq.ZMQError:
            self._socket.close(linger=0)
            raise
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\x00")
        self._entrance = Entrance(self.address)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            try:
                frames = await self._socket.recv_multipart()
            except zmq.ZMQError as err:
                if err.errno in (zmq.ETERM, zmq.ENOTSOCK):
                    return
                _log.warning("Receiving a request failed: %s", err)
                continue
            task = asyncio.create_task(self._serve(frames))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if len(self._tasks) >= _UNDER_WAY:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _serve(self, frames: list[bytes]) -> None:
        has_delimiter = len(frames) > 1 and not frames[1]
        head = frames[: 2 if has_delimiter else 1]
        body = frames[len(head) :]
        if len(body) == 1:
            reply = await self._answerer.answer(body[0], self._encoding, first_version=self._first_version)
        else:
            reply = encode(refuse_envelope(_REFUSED_FRAMES), self._encoding)
        with contextlib.suppress(zmq.ZMQError):
            await self._socket.send_multipart([*head, reply])

    def admit(self, admit: bool) -> bool:
        """Take new connections, or none; those that are there stay.  Returns whether that could be done."""
        return self._entrance.admit(admit)

    async def close(self) -> None:
        """Let the answers that are under way go out, then close."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.5)
        for task in self._tasks:
            task.cancel()
        self._entrance.close()
        self._socket.close()
