"""Servers whose doors are tried."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Server

MakeServer = Callable[..., Server]


@pytest.fixture
def new_server() -> Iterator[MakeServer]:
    """Makes servers that are the test's own; ended with it, by force if it failed."""
    made: list[tuple[Server, Path]] = []

    def make() -> Server:
        base = Path(tempfile.mkdtemp(prefix="jqs-test-"))
        made.append((Server(base / "data"), base))
        return made[-1][0]

    yield make
    for server, base in made:
        server.kill_all()
        server.close()
        shutil.rmtree(base, ignore_errors=True)
