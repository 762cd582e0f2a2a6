"""Servers that are kept between tests as long as they stay healthy."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from harness import Server, kill

#: Managers of one server until the watchdog's pauses between their deaths would be felt.
LIVES = 3


class Pool:
    """Keeps one server with an open environment between tests."""

    def __init__(self) -> None:
        self._kept: Server | None = None
        self._all: list[tuple[Server, Path]] = []

    def new(self, *options: str) -> Server:
        """A server that was not started yet."""
        base = Path(tempfile.mkdtemp(prefix="jqs-test-"))
        server = Server(base / "data", *options)
        self._all.append((server, base))
        return server

    def ready(self) -> Server:
        """A server in the state idle, its environment open, its queue and history empty."""
        server = self._kept
        if server is not None and is_healthy(server) and server.lives >= LIVES:
            kill(server.watchdog, server.manager)  # the worker stays: the next ones adopt it
            server.start()
        if server is None or not is_healthy(server):
            server = self._kept = self.new()
            server.start()
        if not server.status()["worker_environment_exists"]:
            server.open()
        server.ok("queue_clear")
        server.ok("history_clear")
        return server

    def forget(self) -> None:
        """The kept server is broken or away."""
        self._kept = None

    def end(self) -> None:
        """End the kept server in order, the others by force."""
        try:
            if self._kept is not None and is_healthy(self._kept):
                self._kept.stop()
        finally:
            for server, base in self._all:
                server.kill_all()
                server.close()
                shutil.rmtree(base, ignore_errors=True)


def is_healthy(server: Server) -> bool:
    """Whether it answers and is idle."""
    with contextlib.suppress(AssertionError):
        return server.status(timeout=2.0)["manager_state"] == "idle"
    return False
