"""Keeps the relay running while there is an environment, and hears the live documents that it pushes.

The relay is a process of its own that outlives the manager; it ends by itself when it has nothing to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Callable

import zmq
import zmq.asyncio

from ..core import codec
from ..documents.launch import start_relay
from ..documents.status import read_status
from ..instance import Instance
from .settings import Settings

_log = logging.getLogger(__name__)

#: Seconds between two looks whether the relay still runs.
_LOOK = 5.0


class Relay:
    """The relay process, as the manager cares for it.

    Parameters
    ----------
    wanted
        Whether it should run now.
    """

    def __init__(self, instance: Instance, settings: Settings, wanted: Callable[[], bool]) -> None:
        self._instance = instance
        self._settings = settings
        self._wanted = wanted
        self._child: subprocess.Popen[bytes] | None = None
        self._poke = asyncio.Event()

    def need(self) -> None:
        """Look at once whether it runs."""
        self._poke.set()

    async def run(self) -> None:
        """Start it whenever it is wanted and not there, until cancelled."""
        while True:
            self._poke.clear()
            if self._wanted() and not self._runs():
                self._start()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poke.wait(), _LOOK)

    def _runs(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def _start(self) -> None:
        log = self._instance.logs / "relay.log"
        try:
            self._child = start_relay(
                self._instance.data_dir, self._instance.sockets, log, saver=self._settings.saver
            )
        except OSError as err:
            _log.error("The relay could not be started: %s", err)

    async def end(self) -> None:
        """End it in order if nothing waits for delivery; else it goes on and ends by itself."""
        if self._child is None or self._child.poll() is not None:
            return
        status = read_status(self._instance.journal)
        if status is not None and any(consumer.backlog for consumer in status.consumers):
            _log.info("The relay goes on until all documents are delivered, then ends.")
            self._child.returncode = 0
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child.pid, signal.SIGTERM)
        for _ in range(500):
            if self._child.poll() is not None:
                return
            await asyncio.sleep(0.01)
        self._child.kill()

    def leave(self) -> None:
        """Let go of it; it goes on."""
        if self._child is not None and self._child.poll() is None:
            self._child.returncode = 0


class LiveDocuments:
    """The socket where the relay pushes documents of running plans."""

    def __init__(self, context: zmq.asyncio.Context, address: str, tell: Callable[[bytes], None]) -> None:
        self._tell = tell
        self._socket = context.socket(zmq.PULL)
        self._socket.set(zmq.RCVHWM, 1000)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.MAXMSGSIZE, 64 * 1024 * 1024)
        self._socket.bind(address)

    async def run(self) -> None:
        """Pass documents on until cancelled."""
        while True:
            try:
                frame = await self._socket.recv()
            except zmq.ZMQError as err:
                if err.errno in (zmq.ETERM, zmq.ENOTSOCK):
                    return
                raise
            try:
                document = codec.from_json(frame)
            except ValueError:
                _log.warning("A live document could not be read.")
                continue
            if isinstance(document, dict):
                self._tell(codec.to_json(codec.Verbatim({"kind": "document", **document})))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
