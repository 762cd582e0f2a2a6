"""What the manager does when its store says that it is away, back with something else, or somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from manager_parts import Rig, item, open_state, rig

from jupyter_queueserver.core.changes import AnyChange, HistoryAppended, HistoryTrimmed
from jupyter_queueserver.core.decision import Step
from jupyter_queueserver.core.errors import StoreUnavailable
from jupyter_queueserver.core.state import State
from jupyter_queueserver.manager.store_presence import attend_store
from jupyter_queueserver.storage import MemoryStore
from jupyter_queueserver.storage.watched import Condition, HistoryLost

PATIENCE = 20.0


class WatchedMemory(MemoryStore):
    """A store in memory that says what a test wants, and may have lost the beginning of its history."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store.disk)
        self._fence = store._fence
        self.known_from = 0
        self.commits: list[Sequence[AnyChange]] = []
        self.told: Callable[[Condition], None] = lambda condition: None

    def watch(self, told: Callable[[Condition], None]) -> None:
        self.told = told

    def commit(self, changes: Sequence[AnyChange], after: State) -> None:
        if after.history.first < self.known_from:
            raise HistoryLost(self.known_from, self.known_from - after.history.first)
        super().commit(changes, after)
        self.commits.append(changes)


async def with_history(made: Rig, entries: int) -> WatchedMemory:
    """Give the writer a watched store and a history."""
    store = WatchedMemory(made.store)
    made.writer._store = store

    def ended(step: Step) -> None:
        step.emit(HistoryAppended(items=tuple(item(f"h{n}") for n in range(entries))))

    await made.writer.submit(ended)
    return store


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not found():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0)  # the writer runs in this loop: it is given its turn


def attended(test: Callable[[Rig, WatchedMemory, list[str]], object]) -> None:
    """Run a test beside a store that is attended."""

    async def run() -> None:
        async with rig(open_state("a")) as made:
            store = await with_history(made, 9)
            lost: list[str] = []
            attending = asyncio.create_task(attend_store(store, made.writer, lambda: lost.append("lost")))
            await asyncio.sleep(0)
            await test(made, store, lost)
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)

    asyncio.run(run())


def test_it_is_in_the_status_while_nobody_writes() -> None:
    async def test(made: Rig, store: WatchedMemory, lost: list[str]) -> None:
        store.told(Condition(failure="It is away."))
        await until(lambda: made.writer.store_failure == "It is away.")
        store.told(Condition(alarm="Something is lost."))
        await until(lambda: made.writer.store_failure == "Something is lost.")
        assert len(store.commits) == 1
        assert not lost

    attended(test)


def test_a_stale_store_is_written_at_once() -> None:
    async def test(made: Rig, store: WatchedMemory, lost: list[str]) -> None:
        store.told(Condition(failure="It is stale.", stale=True))
        await until(lambda: len(store.commits) == 2)
        await until(lambda: made.writer.store_failure is None)
        assert made.writer.state.history.size == 9

    attended(test)


def test_a_lost_history_begins_later_for_everybody() -> None:
    async def test(made: Rig, store: WatchedMemory, lost: list[str]) -> None:
        store.known_from = 6
        store.told(Condition(stale=True))
        await until(lambda: len(store.commits) == 2)
        await until(lambda: made.writer.state.history.first == 6)
        trimmed = [change for change in made.published if isinstance(change, HistoryTrimmed)]
        assert [change.count for change in trimmed] == [6]
        assert made.writer.state.history.end == 9

    attended(test)


def test_the_manager_ends_when_the_store_is_another_ones() -> None:
    async def test(made: Rig, store: WatchedMemory, lost: list[str]) -> None:
        store.told(Condition(lost=True))
        await until(lambda: lost)

    attended(test)


class FullMemory(MemoryStore):
    """A store that takes nothing while it is full, and does not say when it has room again."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store.disk)
        self._fence = store._fence
        self.is_full = True
        self.tries = 0

    def commit(self, changes: Sequence[AnyChange], after: State) -> None:
        self.tries += 1
        if self.is_full:
            raise StoreUnavailable("The disk is full.")
        super().commit(changes, after)


def test_a_store_that_says_nothing_is_tried_until_it_takes_changes_again() -> None:
    def changed(step: Step) -> None:
        step.emit(HistoryAppended(items=(item("h"),)))

    async def run() -> None:
        async with rig(open_state("a")) as made:
            store = FullMemory(made.store)
            made.writer._store = store
            attending = asyncio.create_task(attend_store(store, made.writer, lambda: None, pause=0.0))
            with pytest.raises(StoreUnavailable):
                await made.writer.submit(changed)
            await until(lambda: store.tries > 3)
            assert made.writer.store_failure == "The disk is full."
            store.is_full = False
            await until(lambda: made.writer.store_failure is None)
            tries, history = store.tries, made.writer.state.history.end
            await asyncio.sleep(0)
            assert (store.tries, history) == (tries, 0)
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)

    asyncio.run(run())
