"""The info socket of the interface: status and console text for existing clients, by publish/subscribe."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio

from ..core.limits import Encoding
from .crowd import guard
from .entrance import Entrance
from .replies import encode
from .sending import send_now

#: Bytes of what a subscriber may send: the topics of the interface are shorter.
_LONGEST_TOPIC = 1024
#: Seconds after which the status is published again though nothing changed.
_PERIOD = 1.0


class InfoSocket:
    """A PUB socket with the two topics of the interface, ``QS_Info`` and ``QS_Console``.

    Parameters
    ----------
    address
        0MQ address to bind.
    status
        Gives the status dictionary.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        address: str,
        status: Callable[[], dict[str, Any]],
        encoding: Encoding = "json",
    ) -> None:
        self._status = status
        self._encoding: Encoding = encoding
        self._changed = asyncio.Event()
        self._socket = context.socket(zmq.PUB)
        self._socket.set(zmq.LINGER, 200)
        self._socket.set(zmq.MAXMSGSIZE, _LONGEST_TOPIC)
        guard(self._socket)
        try:
            self._socket.bind(address)
        except zmq.ZMQError:
            self._socket.close(linger=0)
            raise
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\x00")
        self._entrance = Entrance(self.address)

    async def run(self) -> None:
        """Publish the status at each change and once a second, until cancelled."""
        while True:
            self._changed.clear()
            self._publish(b"QS_Info", {"status": self._status()})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD):  # not wait_for, which may swallow that this is cancelled
                    await self._changed.wait()

    def status_changed(self) -> None:
        """Publish the status soon."""
        self._changed.set()

    def console(self, text: str) -> None:
        """Publish console text."""
        self._publish(b"QS_Console", text)

    def _publish(self, topic: bytes, message: Any) -> None:
        payload = encode({"time": time.time(), "msg": message}, self._encoding)
        with contextlib.suppress(zmq.ZMQError):
            send_now(self._socket, [topic, payload])

    def admit(self, admit: bool) -> bool:
        """Take new subscribers, or none; those that are there stay.  Returns whether that could be done."""
        return self._entrance.admit(admit)

    def close(self) -> None:
        """Close the socket."""
        self._entrance.close()
        self._socket.close()
