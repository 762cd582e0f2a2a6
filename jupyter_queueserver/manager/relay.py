"""Keeps the relay running while there is an environment, and hears the live documents that it pushes.

The relay is a process of its own that outlives the manager; it ends by itself when it has nothing to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import time
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio

from ..core import codec
from ..documents.launch import find_relay, start_relay, stop_relay
from ..documents.status import read_status
from ..instance import Instance, ProcessWatch
from ..instance.secrecy import close_socket
from .crowd import guard
from .settings import Settings

_log = logging.getLogger(__name__)

#: Seconds between two looks whether the relay still runs.
_LOOK = 5.0
#: Seconds between two starts at least.
_PAUSE = 1.0
#: How often, and how many times, the end waits for documents that are not delivered yet; the pause in seconds.
_DELIVERY_LOOKS, _DELIVERY_LOOK = 30, 0.1
#: Seconds that the relay has for its own end.
_ENDING = 6.0


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
        self._started = float("-inf")
        self._ending = False
        self._poke = asyncio.Event()

    def need(self) -> None:
        """Look at once whether it runs."""
        self._poke.set()

    async def run(self) -> None:
        """Start it whenever it is wanted and not there, until cancelled."""
        while True:
            self._poke.clear()
            if self._wanted() and not self._ending and not self._runs() and time.monotonic() > self._started + _PAUSE:
                self._start()
            await self._until_needed()

    async def _until_needed(self) -> None:
        """Wait for `need`, the relay's death, or the next look."""
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._poke.wait())]
        watch = self._watch()
        if watch is not None:
            waiting.append(asyncio.ensure_future(watch.wait()))
        try:
            await asyncio.wait(waiting, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            if watch is not None:
                watch.close()

    def _watch(self) -> ProcessWatch | None:
        if self._child is not None and self._child.poll() is None:
            return ProcessWatch(self._child.pid)
        identity = find_relay(self._instance.data_dir)
        return ProcessWatch(identity.pid) if identity is not None else None

    def _runs(self) -> bool:
        if self._child is not None and self._child.poll() is None:
            return True  # also while it is just starting
        return find_relay(self._instance.data_dir) is not None

    def _start(self) -> None:
        log = self._instance.logs / "relay.log"
        try:
            self._child = start_relay(self._instance.data_dir, self._instance.sockets, log, saver=self._settings.saver)
        except OSError as err:
            _log.error("The relay could not be started: %s", err)

    async def end(self) -> None:
        """End it in order when all is delivered; if that takes too long it goes on and ends by itself.

        No other is started after this.
        """
        self._ending = True
        for _ in range(_DELIVERY_LOOKS):
            if not self._has_backlog():
                break
            await asyncio.sleep(_DELIVERY_LOOK)
        if self._has_backlog():
            _log.info("The relay goes on until all documents are delivered, then ends.")
        elif not await asyncio.to_thread(self._stop):
            _log.warning("The relay does not end; it is left alone.")
        self.leave()

    def _stop(self) -> bool:
        """Stop the relay that serves the journal, and one that was just started and is known to nobody yet."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_ENDING)
        return stop_relay(self._instance.data_dir, _ENDING)

    def _has_backlog(self) -> bool:
        status = read_status(self._instance.journal)
        if status is None or not status.running or not self._runs():
            return False
        return any(consumer.backlog and consumer.state != "not installed" for consumer in status.consumers)

    def leave(self) -> None:
        """Let go of it; it goes on."""
        if self._child is not None and self._child.poll() is None:
            self._child.returncode = 0  # it is meant to outlive us: not a forgotten child


class LiveDocuments:
    """The socket where the relay pushes documents of running plans."""

    def __init__(self, context: zmq.asyncio.Context, address: str, tell: Callable[[bytes], None]) -> None:
        self._tell = tell
        self._socket = context.socket(zmq.PULL)
        self._socket.set(zmq.RCVHWM, 1000)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.MAXMSGSIZE, 64 * 1024 * 1024)
        guard(self._socket)
        self._socket.bind(address)
        close_socket(address)

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
