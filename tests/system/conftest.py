"""Servers for the system tests: one that is shared as long as it stays healthy, and new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Held, Server
from pool import Pool, is_healthy


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
