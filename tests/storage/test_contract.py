"""One suite for all stores: what the manager relies on."""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis_process
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from store_samples import EVERY_CHANGE, change_for, first_state, item, items, kept, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core import history
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.redis_address import RedisAddress
from jupyter_queueserver.core.state import QueueMode, State, Versions
from jupyter_queueserver.storage import FenceLost, MemoryDisk, MemoryStore, Store
from jupyter_queueserver.storage.redis import RedisStore
from jupyter_queueserver.storage.sqlite import SqliteStore

Opener = Callable[[], Store]


def opener_of(kind: str, directory: Path) -> Opener:
    """Return what opens the same store again and again."""
    if kind == "memory":
        disk = MemoryDisk()
        return lambda: MemoryStore(disk)
    if kind == "redis":
        address = RedisAddress(redis_process.shared().url, prefix=str(directory))
        return lambda: RedisStore(address)
    return lambda: SqliteStore(directory / "queue.sqlite", directory / "lease")


@pytest.fixture(params=["memory", "sqlite", "redis"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    return opener_of(request.param, tmp_path)


#: entries that a state holds in these tests: most of the history is in the store only
TAIL = 5


@pytest.fixture(autouse=True)
def _short_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "TAIL_ENTRIES", TAIL)


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


def test_the_fence_rises_above_one_that_the_store_does_not_know(opener: Opener) -> None:
    fences, state = [], first_state()
    for at_least in (7, 3, 9, 10):
        store = opener()
        fences.append(store.acquire(owner(), at_least=at_least))
        state = committed(store, state, ch.ModeSet(mode=QueueMode(loop=len(fences) % 2 == 1)))
        store.close()
    assert fences == [7, 8, 9, 10]


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


def filled(store: Store, *, entries: int, commits: int = 1) -> State:
    """Append the entries e0, e1 ... to a new store."""
    state = committed(store, first_state(), ch.AutostartSet(enabled=False))
    each = entries // commits
    for start in range(0, entries, each):
        uids = (f"e{n}" for n in range(start, min(start + each, entries)))
        state = committed(store, state, ch.HistoryAppended(items=items(*uids)))
    return state


def uids_of(texts: list[bytes]) -> list[str]:
    return [Item.of_text(text).item_uid for text in texts]


def test_the_whole_history_is_there_by_number(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    state = filled(store, entries=30, commits=4)
    assert (state.history.first, state.history.end, len(state.history.tail)) == (0, 30, TAIL)
    for _ in range(2):
        assert uids_of(store.history(0, 30)) == [f"e{n}" for n in range(30)]
        assert uids_of(store.history(7, 9)) == ["e7", "e8"]
        assert uids_of(store.history(-5, 2)) == ["e0", "e1"]
        assert uids_of(store.history(28, 99)) == ["e28", "e29"]
        assert store.history(9, 9) == store.history(9, 7) == store.history(30, 31) == []
        assert [store.history_number(uid) for uid in ("e0", "e29", "nobody", "\ud800")] == [0, 29, None, None]
        store = reopened(store, opener)
        loaded = store.load()
        assert loaded is not None
        assert kept(loaded) == kept(state)
    store.close()


def test_trimmed_entries_are_gone_at_once_and_numbers_go_on(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    state = filled(store, entries=30)
    for count, left in ((12, 18), (0, 18), (16, 2)):
        state = committed(store, state, ch.HistoryTrimmed(count=count))
        assert uids_of(store.history(0, 99)) == [f"e{n}" for n in range(30 - left, 30)]
        assert store.history_number(f"e{29 - left}") is None
        assert store.history_number(f"e{30 - left}") == 30 - left
    state = committed(store, state, ch.HistoryTrimmed(count=99), ch.HistoryAppended(items=items("e30")))
    while store.tidy():
        pass
    assert uids_of(store.history(0, 99)) == ["e30"]
    state = committed(store, state, ch.HistoryTrimmed(count=1))
    while store.tidy():
        pass
    store = reopened(store, opener)
    loaded = store.load()
    assert loaded is not None
    assert kept(loaded) == kept(state)
    assert (loaded.history.first, loaded.history.end) == (31, 31)
    committed(store, loaded, ch.HistoryAppended(items=items("e31")))
    assert store.history_number("e31") == 31
    store.close()


def test_the_newest_of_two_entries_of_one_uid(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    state = filled(store, entries=TAIL + 1)
    committed(store, state, ch.HistoryAppended(items=items("e0")))
    assert store.history_number("e0") == TAIL + 1
    store.close()


def test_big_entries_make_the_tail_shorter(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "TAIL_BYTES", 10_000)
    store = opener()
    store.acquire(owner())
    state = committed(store, first_state(), ch.AutostartSet(enabled=False))
    for size, held in ((100, 1), (4_000, 2), (5_000, 3), (3_000, 4), (20_000, 3), (10, 1), (9_000, 2)):
        state = committed(store, state, ch.HistoryAppended(items=(item(f"b{size}", meta="x" * size),)))
        loaded = store.load()
        assert loaded is not None
        assert kept(loaded) == kept(state)
        assert len(state.history.tail) == held, size
    store.close()


def test_a_first_commit_keeps_entries_that_the_state_does_not_hold_any_more(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    many = ch.HistoryAppended(items=items(*(f"e{n}" for n in range(20))))
    with pytest.raises(ValueError, match="entry 0 of the history"):  # whoever calls it so would lose entries
        store.commit([ch.AutostartSet(enabled=False)], ch.apply(first_state(), many, 1.0))
    assert store.load() is None
    state = committed(store, first_state(), many, ch.HistoryTrimmed(count=3))
    assert uids_of(store.history(0, 99)) == [f"e{n}" for n in range(3, 20)]
    loaded = store.load()
    assert loaded is not None
    assert kept(loaded) == kept(state)
    store.close()


def test_the_history_is_read_from_other_threads_while_commits_run(opener: Opener) -> None:
    store = opener()
    store.acquire(owner())
    state = filled(store, entries=50)
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                uids = uids_of(store.history(0, 1000))
                numbers = [int(uid[1:]) for uid in uids]
                if numbers != list(range(numbers[0], numbers[-1] + 1)):
                    wrong.append(numbers)
                if (number := store.history_number(uids[-1])) != numbers[-1]:
                    wrong.append(number)
        except Exception as error:  # noqa: BLE001 - handed to the test
            wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(50, 150):
        state = committed(store, state, ch.HistoryAppended(items=items(f"e{n}")), ch.HistoryTrimmed(count=int(n % 4 == 0)))
        store.tidy()
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert uids_of(store.history(0, 1000)) == [f"e{n}" for n in range(state.history.first, 150)]
    store.close()


def test_load_reads_the_tail_only(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opener()
    store.acquire(owner())
    filled(store, entries=5000)
    parsed: list[bytes] = []
    of_text = Item.of_text
    monkeypatch.setattr(Item, "of_text", lambda text: parsed.append(text) or of_text(text))
    assert store.load() is not None
    assert len(parsed) == TAIL
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
        self._ended: list[str] = []
        self._uids = (f"u{n}" for n in itertools.count())

    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        change = data.draw(change_for(self._state, lambda: next(self._uids)))
        self._state = ch.apply(self._state, change, 1.0)
        if isinstance(change, ch.HistoryAppended):
            self._ended += [one.item_uid for one in change.items]
        self._pending.append(change)

    @rule()
    def commit(self) -> None:
        self._store.commit(self._pending, self._state)
        self._pending = []

    @rule()
    def tidy(self) -> None:
        self._store.tidy()

    @precondition(lambda self: not self._pending)
    @rule()
    def reopen(self) -> None:
        self._store = reopened(self._store, self._opener)
        self.check()

    def check(self) -> None:
        loaded = self._store.load()
        assert kept(loaded or first_state()) == kept(self._state)
        first, end = self._state.history.first, self._state.history.end
        assert uids_of(self._store.history(0, end + 1)) == self._ended[first:]
        assert [self._store.history_number(uid) for uid in self._ended[first:]] == list(range(first, end))

    def teardown(self) -> None:
        self.commit()
        self.check()
        self._store.close()
        self._directory.cleanup()


class SqliteMachine(StoreMachine):
    kind = "sqlite"


class RedisMachine(StoreMachine):
    kind = "redis"


_SETTINGS = settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestMemoryRandomly = StoreMachine.TestCase
TestMemoryRandomly.settings = _SETTINGS
TestSqliteRandomly = SqliteMachine.TestCase
TestSqliteRandomly.settings = _SETTINGS
TestRedisRandomly = RedisMachine.TestCase
TestRedisRandomly.settings = _SETTINGS
