"""Jupyter's signed messages, as much of them as the manager speaks, and one request/reply channel over them.

Written by hand because importing ``jupyter_client`` would double the manager's start-up time and memory.  Knows frames and
signatures, not what the messages mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import logging
import uuid
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import zmq
import zmq.asyncio

from .errors import WorkerUnreachable

log = logging.getLogger(__name__)

DELIMITER = b"<IDS|MSG>"
KERNEL_PROTOCOL = "5.3"
KERNEL_NAME = "jupyter_queueserver"


class ConnectionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel's connection file.

    Attributes
    ----------
    ip
        For ``ipc``: the path before the ``-<port>`` of each socket file.
    key
        Key of the signatures, text.
    """

    transport: str = "ipc"
    ip: str
    key: str
    shell_port: int = 1
    iopub_port: int = 2
    stdin_port: int = 3
    control_port: int = 4
    hb_port: int = 5
    signature_scheme: str = "hmac-sha256"
    kernel_name: str = KERNEL_NAME

    def address(self, port: int) -> str:
        """0MQ address of one of the sockets."""
        if self.transport == "ipc":
            return f"ipc://{self.ip}-{port}"
        return f"{self.transport}://{self.ip}:{port}"

    def socket_files(self) -> list[str]:
        """Paths of the socket files; empty when the transport has none."""
        if self.transport != "ipc":
            return []
        return [f"{self.ip}-{port}" for port in (1, 2, 3, 4, 5)]


class Signer:
    """Makes and reads messages of one Jupyter session."""

    def __init__(self, key: str) -> None:
        self.session_id = uuid.uuid4().hex
        self._base = hmac.new(key.encode(), digestmod=hashlib.sha256)
        self._counter = itertools.count(1)

    def _signature(self, frames: list[bytes]) -> bytes:
        mac = self._base.copy()
        for frame in frames:
            mac.update(frame)
        return mac.hexdigest().encode()

    def pack(self, msg_type: str, content: dict[str, Any]) -> tuple[str, list[bytes]]:
        """Return the message id and the frames."""
        msg_id = f"{self.session_id}_{next(self._counter)}"
        header = {
            "msg_id": msg_id,
            "session": self.session_id,
            "username": "manager",
            "date": datetime.now(UTC).isoformat(),
            "msg_type": msg_type,
            "version": KERNEL_PROTOCOL,
        }
        parts = [msgspec.json.encode(part) for part in (header, {}, {}, content)]
        return msg_id, [DELIMITER, self._signature(parts), *parts]

    def unpack(self, frames: list[bytes]) -> tuple[str, str, dict[str, Any]]:
        """Return (id of the message it answers, its type, its content); raises ``ValueError`` for a forged or broken one."""
        start = frames.index(DELIMITER)
        signature, *parts = frames[start + 1 : start + 6]
        if not hmac.compare_digest(signature, self._signature(parts)):
            raise ValueError("a message of the worker is not signed with the environment's key")
        header, parent, _, content = (msgspec.json.decode(part) for part in parts)
        return parent.get("msg_id", ""), header["msg_type"], content


class RequestChannel:
    """One DEALER socket to a kernel; many requests may be under way at once."""

    def __init__(self, address: str, signer: Signer, context: zmq.asyncio.Context | None = None) -> None:
        self._signer = signer
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._socket = cast("zmq.asyncio.Socket", (context or zmq.asyncio.Context.instance()).socket(zmq.DEALER))
        self._socket.linger = 0
        self._socket.reconnect_ivl = 10  # a worker that starts is heard as soon as it listens
        self._socket.connect(address)
        self._reader = asyncio.create_task(self._read())

    async def request(self, msg_type: str, content: dict[str, Any], limit: float) -> dict[str, Any]:
        """Send and return the content of the answer; raises `WorkerUnreachable` after ``limit`` seconds."""
        msg_id, frames = self._signer.pack(msg_type, content)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[msg_id] = answer
        try:
            async with asyncio.timeout(limit):
                await self._socket.send_multipart(frames)
                return await answer
        except TimeoutError as err:
            raise WorkerUnreachable(f"The worker did not answer within {limit:g} s.") from err
        finally:
            del self._waiting[msg_id]

    async def _read(self) -> None:
        while True:
            frames = await self._socket.recv_multipart()
            try:
                parent, _, content = self._signer.unpack(cast("list[bytes]", frames))
            except (ValueError, KeyError, msgspec.MsgspecError) as err:
                log.warning("unreadable message on the control channel: %s", err)
                continue
            answer = self._waiting.get(parent)
            if answer is not None and not answer.done():
                answer.set_result(content)

    async def close(self) -> None:
        """Drop the socket; requests under way end in `WorkerUnreachable`."""
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(WorkerUnreachable("The connection to the worker was closed."))
        self._socket.close(linger=0)
