"""The manager's side of the mutual watch: it tells the watchdog that it lives, and starts another watchdog
if that one dies.

Runs in the manager's asyncio loop, so that a blocked loop is a missing heartbeat.  It must never block the
loop itself and never fail because nobody listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import time
from collections.abc import Callable

from ..instance.launch import spawn_detached, watchdog_command
from ..instance.paths import Instance
from ..instance.process import Identity, ProcessWatch, is_alive
from .beat import BEAT_INTERVAL, Beat, BeatKind, encode_beat
from .duty import read_duty

logger = logging.getLogger(__name__)

CONSOLE_PAUSE = 0.05
"""Seconds between two words about console text: a flood of text must not crowd out what else the watchdog is told."""
REVIVE_LIMIT = 30.0
"""Longest pause between two attempts to start a watchdog, in seconds; the first pause is 1 s."""


class Heartbeat:
    """Heartbeats of one manager, and its watch over the watchdog.

    Make it in the manager's loop, run `run` as a task, and call `ready` when requests are served.

    Parameters
    ----------
    interval
        Seconds between two heartbeats.
    revive
        Whether a dead watchdog is replaced.  False in tests and in a manager that is run without one.
    use_pidfd
        False: as on systems without pidfd, where the watchdog's death is seen by looking.
    on_watchdog
        Called in the loop with the identity of each watchdog that comes on duty, also the first one.
    """

    def __init__(
        self,
        instance: Instance,
        *,
        interval: float = BEAT_INTERVAL,
        revive: bool = True,
        use_pidfd: bool = True,
        on_watchdog: Callable[[Identity], None] | None = None,
    ) -> None:
        self._instance = instance
        self._interval = interval
        self._revive = revive
        self._use_pidfd = use_pidfd
        self._on_watchdog = on_watchdog
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._mood: BeatKind = "beat"
        self._text = ""
        self._watchdog: Identity | None = None
        self._watch: ProcessWatch | None = None
        self._children: list[subprocess.Popen[bytes]] = []
        self._pause = 1.0
        self._next_try = 0.0
        self._changed = asyncio.Event()
        self._console_timer: asyncio.TimerHandle | None = None
        self._console_waits: tuple[str, int] | None = None

    @property
    def watchdog(self) -> Identity | None:
        """The watchdog on duty; None while there is none."""
        return self._watchdog

    def ready(self, text: str = "") -> None:
        """Tell that the manager serves requests; every later heartbeat repeats it."""
        self._set_mood("ready", text)

    def ending(self, text: str = "") -> None:
        """Tell that the manager ends on purpose: nobody starts it again, nor it a dead watchdog."""
        self._set_mood("ending", text)

    def busy(self, text: str) -> None:
        """Answer a request to end (SIGTERM) while a plan runs or is paused, like ``plan 'count' is
        running``."""
        self._send("busy", text)

    def failed(self, text: str) -> None:
        """Tell why the manager refuses to start; end with exit status 3 after it."""
        self._send("failed", text)

    def console(self, path: str, offset: int) -> None:
        """Tell a watchdog that shows it that the worker has written text to this file, from this offset on.

        What nobody could hear is told to the watchdog that comes next.
        """
        waiting = self._console_waits
        if waiting is None or waiting[0] != path:
            self._console_waits = (path, offset)
        if self._console_timer is None:
            self._tell_console()

    def _tell_console(self) -> None:
        """Tell what waits, and again later if it cannot be told now."""
        self._console_timer = None
        if self._console_waits is None:
            return
        if self._send("console", *self._console_waits):
            self._console_waits = None
            pause = CONSOLE_PAUSE
        else:
            pause = self._interval
        self._console_timer = asyncio.get_running_loop().call_later(pause, self._tell_console)

    async def run(self) -> None:
        """Beat and watch until cancelled."""
        death: asyncio.Task[None] | None = None
        try:
            while True:
                self._send(self._mood, self._text)
                death = self._look(death)
                changed = asyncio.ensure_future(self._changed.wait())
                try:
                    waiting = {changed, death} if death else {changed}
                    await asyncio.wait(waiting, timeout=self._interval, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                self._changed.clear()
        finally:
            if death:
                death.cancel()
                await asyncio.gather(death, return_exceptions=True)  # it must let go of the descriptor first
            self._forget_watch()

    def close(self) -> None:
        """Release the socket.  Watchdogs that were started stay."""
        if self._console_timer is not None:
            self._console_timer.cancel()
            if self._console_waits is not None:
                self._send("console", *self._console_waits)
        self._forget_watch()
        self._socket.close()
        for child in self._children:
            if child.poll() is None:
                child.returncode = 0  # it outlives us on purpose; without this Python would complain

    def _set_mood(self, mood: BeatKind, text: str) -> None:
        self._mood, self._text = mood, text
        self._send(mood, text)
        self._changed.set()

    def _send(self, kind: BeatKind, text: str, offset: int = 0) -> bool:
        """Send without waiting; returns whether it went out: nobody may be there, or one who is too slow."""
        data = encode_beat(Beat(kind, os.getpid(), text, offset))
        try:
            self._instance.check_sockets()
            self._socket.sendto(data, str(self._instance.watchdog_bell))
        except OSError:
            return False
        return True

    def _look(self, death: asyncio.Task[None] | None) -> asyncio.Task[None] | None:
        """Check who is on duty; return the task that ends at his death, or None and try to start another."""
        self._children = [child for child in self._children if child.poll() is None]
        if self._watch is not None and death is not None and not death.done():
            return death
        self._forget_watch()
        note = read_duty(self._instance)
        if note is not None:
            watch = ProcessWatch(note.watchdog.pid, use_pidfd=self._use_pidfd)
            if is_alive(note.watchdog):
                self._watch = watch
                self._welcome(note.watchdog)
                return asyncio.ensure_future(watch.wait())
            watch.close()
        self._watchdog = None
        self._start_another()
        return None

    def _welcome(self, watchdog: Identity) -> None:
        self._watchdog = watchdog
        self._pause, self._next_try = 1.0, 0.0
        self._send(self._mood, self._text)
        if self._on_watchdog is not None:
            self._on_watchdog(watchdog)

    def _forget_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _start_another(self) -> None:
        now = time.monotonic()
        if not self._revive or self._mood == "ending" or now < self._next_try:
            return
        self._next_try = now + self._pause
        self._pause = min(self._pause * 2, REVIVE_LIMIT)
        command = watchdog_command("--adopt", "--data-dir", str(self._instance.data_dir))
        logger.warning("The watchdog is gone; another one is started.")
        with contextlib.suppress(FileNotFoundError):  # the data directory was deleted: nothing left to watch over
            try:
                self._children.append(spawn_detached(command, self._instance.logs / "watchdog.log"))
            except OSError as error:
                logger.error("No watchdog could be started: %s", error)
