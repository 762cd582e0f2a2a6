"""How the manager ends the relay, with real processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog_stage import Stage

from jupyter_queueserver.documents.launch import find_relay, start_relay
from jupyter_queueserver.instance import Identity, ProcessWatch
from jupyter_queueserver.manager import relay as relay_module
from jupyter_queueserver.manager.relay import Relay
from jupyter_queueserver.manager.settings import Settings


@pytest.fixture
def settings(stage: Stage) -> Settings:
    return Settings(data_dir=str(stage.instance.data_dir), startup="", user_group_permissions="", saver="none")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ProcessWatch]]:
    """A watch of each relay that was started, before it could have done anything."""
    watches: list[ProcessWatch] = []

    def start(*arguments: object, **options: object) -> object:
        child = start_relay(*arguments, **options)  # type: ignore[arg-type]
        watches.append(ProcessWatch(child.pid))
        return child

    monkeypatch.setattr(relay_module, "start_relay", start)
    yield watches
    for watch in watches:
        watch.send_signal(9)
        watch.close()


async def _started(relay: Relay, watches: list[ProcessWatch]) -> asyncio.Task[None]:
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(15):
        while not watches:  # noqa: ASYNC110 - nothing announces a start
            await asyncio.sleep(0)
    return running


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_a_relay_that_is_just_starting_is_ended_too(settings: Settings, started: list[ProcessWatch]) -> None:
    """It has no lock yet by which it could be found; left alone it would stay for more than ten seconds."""

    async def story() -> None:
        relay = Relay(settings.instance, settings, lambda: True)
        running = await _started(relay, started)
        await relay.end()
        assert started[0].is_dead()
        relay.need()
        await asyncio.sleep(0)
        await _cancel(running)
        assert len(started) == 1, "no other is started after the end"

    asyncio.run(story())


def test_a_relay_that_serves_is_ended(settings: Settings, started: list[ProcessWatch]) -> None:
    async def story() -> None:
        relay = Relay(settings.instance, settings, lambda: True)
        running = await _started(relay, started)
        assert await _known(settings.instance.data_dir) is not None
        await relay.end()
        assert started[0].is_dead()
        await _cancel(running)

    asyncio.run(story())


async def _known(data_dir: Path) -> Identity | None:
    async with asyncio.timeout(15):
        while (found := find_relay(data_dir)) is None:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)
    return found
