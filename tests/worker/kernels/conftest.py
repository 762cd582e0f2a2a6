"""Fixtures with real kernels: one process per module or per test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from kernel_rig import Rig

T = TypeVar("T")
Run = Callable[[Awaitable[T]], T]


@pytest.fixture(scope="module")
def loop_runner() -> Iterator[asyncio.Runner]:
    """One event loop per module, so that a kernel can be shared by its tests."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def rig(loop_runner: asyncio.Runner, tmp_path: Path) -> Iterator[tuple[Rig, Run[Any]]]:
    """A fresh instance without a worker, and the function that runs a coroutine."""

    async def make() -> Rig:
        return Rig(tmp_path)

    made = loop_runner.run(make())
    yield made, loop_runner.run  # type: ignore[misc]
    loop_runner.run(made.aclose())


@pytest.fixture(scope="module")
def shared(loop_runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Run[Any]]]:
    """An instance with one open environment for all tests of the module."""

    async def make() -> Rig:
        made = Rig(tmp_path_factory.mktemp("shared"))
        await made.open()
        return made

    made = loop_runner.run(make())
    yield made, loop_runner.run  # type: ignore[misc]
    loop_runner.run(made.aclose())
