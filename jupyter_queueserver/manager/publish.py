"""The info socket of the interface: status and console text for existing clients, by publish/subscribe."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio

from ..core.limits import Encoding
from .logtail import LogTail
from .replies import encode
from .sending import send_now

#: Seconds after which the status is published again though nothing changed.
_PERIOD = 1.0
#: Pieces of a log that are published in one turn.
_PIECES = 8


class InfoSocket:
    """A PUB socket with the two topics of the interface, ``QS_Info`` and ``QS_Console``.

    Parameters
    ----------
    address
        0MQ address to bind.
    status
        Gives the status dictionary.
    logs
        Files with the output of manager and watchdog, part of the console text: what is appended is published, at once if
        it is a line of this process's log, else within a second.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        address: str,
        status: Callable[[], dict[str, Any]],
        encoding: Encoding = "json",
        logs: Sequence[Path] = (),
    ) -> None:
        self._status = status
        self._encoding: Encoding = encoding
        self._changed = asyncio.Event()
        self._logs = [LogTail(path) for path in logs]
        self._handler = _Ringer(self._changed.set) if logs else None
        self._socket = context.socket(zmq.PUB)
        self._socket.set(zmq.LINGER, 200)
        try:
            self._socket.bind(address)
        except zmq.ZMQError:
            self._socket.close(linger=0)
            raise
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\x00")
        if self._handler is not None:
            logging.getLogger().addHandler(self._handler)

    async def run(self) -> None:
        """Publish the status at each change and once a second, until cancelled."""
        while True:
            self._changed.clear()
            self._publish(b"QS_Info", {"status": self._status()})
            self._publish_logs()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _PERIOD)

    def status_changed(self) -> None:
        """Publish the status soon."""
        self._changed.set()

    def console(self, text: str) -> None:
        """Publish console text."""
        self._publish(b"QS_Console", text)

    def _publish_logs(self) -> None:
        for log in self._logs:
            for _ in range(_PIECES):
                text = log.new_text()
                if not text:
                    break
                self.console(text)

    def _publish(self, topic: bytes, message: Any) -> None:
        payload = encode({"time": time.time(), "msg": message}, self._encoding)
        with contextlib.suppress(zmq.ZMQError):
            send_now(self._socket, [topic, payload])

    def close(self) -> None:
        """Close the socket."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        self._publish_logs()
        self._socket.close()


class _Ringer(logging.Handler):
    """Rings, in the loop, for each line of this process's log; the text itself is read from the file."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._ring = ring

    def emit(self, record: logging.LogRecord) -> None:
        """Ring; any thread may log."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._ring)
