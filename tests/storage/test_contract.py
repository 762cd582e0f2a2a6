"""One suite for all stores: what the manager relies on."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from store_samples import EVERY_CHANGE, change_for, first_state, item, items, kept, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.state import QueueMode, State, Versions
from jupyter_queueserver.storage import FenceLost, MemoryDisk, MemoryStore, Store
from jupyter_queueserver.storage.sqlite import SqliteStore

Opener = Callable[[], Store]


def opener_of(kind: str, directory: Path) -> Opener:
    """Return what opens the same store again and again."""
    if kind == "memory":
        disk = MemoryDisk()
        return lambda: MemoryStore(disk)
    return lambda: SqliteStore(directory / "queue.sqlite", directory / "lease")


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return opener_of(request.param, tmp_path)


def committed(store: Store, state: State, *changes: ch.AnyChange) -> State:
    for change in changes:
        state = ch.apply(state, change, 10.0)
    store.commit(changes, state)
    return state


def reopened(store: Store, opener: Opener) -> Store:
    store.close()
    again = opener()
    again.acquire(owner())
    return again


def test_a_new_store_is_empty(opener: Opener) -> None:
    store = opener()
    assert store.last_owner() is None
    assert store.acquire(owner()) == 1
    assert store.load() is None
    store.close()


def test_every_change_is_given_back_after_it(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    state = first_state()
    for change in EVERY_CHANGE:
        state = committed(store, state, change)
        store = reopened(store, opener)
        loaded = store.load()
        assert loaded is not None
        assert kept(loaded) == kept(state), change
    store.close()


def test_every_change_type_is_in_the_sample() -> None:
    assert {type(change) for change in EVERY_CHANGE} == set(ch.AnyChange.__args__)


def test_many_changes_in_one_commit(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    state = committed(store, first_state(), ch.ModeSet(mode=QueueMode(loop=True)))
    state = committed(store, state, *EVERY_CHANGE)
    loaded = reopened(store, opener).load()
    assert loaded is not None
    assert kept(loaded) == kept(state)


def test_the_first_commit_keeps_the_whole_state(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    state = first_state()
    for change in EVERY_CHANGE[:-4]:
        state = ch.apply(state, change, 1.0)
    state = committed(store, state, ch.QueueInserted(items=items("last")))
    store = reopened(store, opener)
    loaded = store.load()
    assert loaded is not None
    assert kept(loaded) == kept(state)
    store.close()


def test_counting_begins_anew(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    state = committed(store, first_state(), *EVERY_CHANGE)
    assert state.seq == len(EVERY_CHANGE)
    loaded = store.load()
    assert loaded is not None
    assert (loaded.seq, loaded.versions) == (0, Versions())
    store.close()


def test_a_commit_without_changes_writes_nothing(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    store.commit([], first_state())
    assert store.load() is None
    store.close()


def test_each_acquire_raises_the_fence_and_names_the_owner(opener: Opener) -> None:
    store = opener()
    fences = []
    for n in range(3):
        fences.append(store.acquire(owner(f"ipc:///{n}")))
        store.close()
        store = opener()
    assert fences == [1, 2, 3]
    last = store.last_owner()
    assert last is not None
    assert last.address == "ipc:///2"


def test_what_was_loaded_is_not_shared(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    plans = {"count": {"name": "count"}}
    state = committed(store, first_state(), ch.PlansSet(plans=plans), ch.ModeSet(mode=QueueMode()))
    state = committed(store, state, ch.PlansSet(plans=plans))
    plans["count"]["name"] = "changed behind the store's back"
    loaded = store.load()
    assert loaded is not None
    assert loaded.catalogue.plans == {"count": {"name": "count"}}
    store.close()


def test_who_lost_the_fence_cannot_write(tmp_path: Path) -> None:
    disk = MemoryDisk()
    pairs: list[tuple[Store, Store]] = [
        (MemoryStore(disk), MemoryStore(disk)),
        (SqliteStore(tmp_path / "q", tmp_path / "lease1"), SqliteStore(tmp_path / "q", tmp_path / "lease2")),
    ]
    for first, second in pairs:
        first.acquire(owner())
        state = committed(first, first_state(), ch.QueueInserted(items=items("a")))
        assert second.acquire(owner()) == 2
        with pytest.raises(FenceLost, match="Another manager") as raised:
            committed(first, state, ch.QueueInserted(items=items("b")))
        assert raised.value.hint
        loaded = second.load()
        assert loaded is not None
        assert [one.item_uid for one in loaded.queue] == ["a"]
        committed(second, state, ch.QueueInserted(items=items("c")))
        first.close()
        second.close()


def test_insertions_at_one_place_never_run_out_of_room(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    state = committed(store, first_state(), ch.QueueInserted(items=items("front", "back")))
    for n in range(80):
        state = committed(store, state, ch.QueueInserted(items=items(f"x{n}", f"y{n}"), before="back"))
        state = committed(store, state, ch.QueueInserted(items=(item(f"z{n}"),), before="x0"))
    loaded = store.load()
    assert loaded is not None
    assert kept(loaded) == kept(state)
    store.close()


class StoreMachine(RuleBasedStateMachine):
    """Random changes, commits of any size, reopening at any time."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._opener = opener_of(self.kind, Path(self._directory.name))
        self._store = self._opener()
        self._store.acquire(owner())
        self._state = first_state()
        self._pending: list[ch.AnyChange] = []
        self._uids = (f"u{n}" for n in itertools.count())

    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        change = data.draw(change_for(self._state, lambda: next(self._uids)))
        self._state = ch.apply(self._state, change, 1.0)
        self._pending.append(change)

    @rule()
    def commit(self) -> None:
        self._store.commit(self._pending, self._state)
        self._pending = []

    @precondition(lambda self: not self._pending)
    @rule()
    def reopen(self) -> None:
        self._store = reopened(self._store, self._opener)
        self.check()

    def check(self) -> None:
        loaded = self._store.load()
        assert kept(loaded or first_state()) == kept(self._state)

    def teardown(self) -> None:
        self.commit()
        self.check()
        self._store.close()
        self._directory.cleanup()


class SqliteMachine(StoreMachine):
    kind = "sqlite"


_SETTINGS = settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestMemoryRandomly = StoreMachine.TestCase
TestMemoryRandomly.settings = _SETTINGS
TestSqliteRandomly = SqliteMachine.TestCase
TestSqliteRandomly.settings = _SETTINGS
