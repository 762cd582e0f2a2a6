"""Servers for the system tests: one that is shared as long as it stays healthy, and new ones."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Held, Server, kill

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


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.end()


@pytest.fixture
def server(pool: Pool, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The shared server, idle, with an open environment."""
    server = pool.ready()
    yield server
    if not is_healthy(server):
        pool.forget()


@pytest.fixture
def new_server(pool: Pool) -> Iterator[Callable[..., Server]]:
    """Makes servers that are the test's own; started by the test, ended with it."""
    made: list[Server] = []

    def make(*options: str) -> Server:
        made.append(pool.new(*options))
        return made[-1]

    yield make
    for server in made:
        server.kill_all()


@pytest.fixture
def held(server: Server, tmp_path: Path) -> Callable[[str], Held]:
    """Adds plans that hold to the queue of the shared server."""
    return lambda name: Held(server, tmp_path, name)
