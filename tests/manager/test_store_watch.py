"""The look at the store while the manager serves."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jupyter_queueserver.manager.store_watch import watch_store
from jupyter_queueserver.storage import MemoryStore


class Damaged(MemoryStore):
    """A store in which something is found."""

    def check(self, stop: threading.Event) -> str | None:
        assert not stop.is_set()
        return "The store is damaged: page 7."


class Endless(MemoryStore):
    """A store that is so big that it is looked at until somebody says stop."""

    def __init__(self) -> None:
        super().__init__()
        self.began = threading.Event()

    def check(self, stop: threading.Event) -> str | None:
        self.began.set()
        assert stop.wait(30)
        return None


def test_damage_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(watch_store(Damaged(), told.set_result, 0.0))
        assert await asyncio.wait_for(told, 15) == "The store is damaged: page 7."
        assert not task.done()  # it looks again later
        task.cancel()

    asyncio.run(work())
    assert "jupyter queueserver recover" in caplog.text


def test_the_end_does_not_wait_for_a_long_look() -> None:
    store = Endless()

    async def work() -> None:
        task = asyncio.create_task(watch_store(store, lambda text: None, 0.0))
        assert await asyncio.to_thread(store.began.wait, 15)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert store.began.is_set()
