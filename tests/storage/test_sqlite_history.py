"""The history in the SQLite store: read beside the writer, trimmed by a mark, and not read at the start."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from store_samples import first_state, items, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.errors import StoreUnavailable
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.state import State
from jupyter_queueserver.storage import history_reader, sqlite
from jupyter_queueserver.storage.sqlite import SqliteStore
from jupyter_queueserver.storage.statements import migrations
from jupyter_queueserver.storage.texts import PARTS, part_texts


def store_in(directory: Path) -> SqliteStore:
    return SqliteStore(directory / "queue.sqlite", directory / "lease")


def filled(directory: Path, size: int) -> tuple[SqliteStore, State]:
    store = store_in(directory)
    store.acquire(owner())
    change = ch.HistoryAppended(items=items(*(f"e{n}" for n in range(size))))
    state = ch.apply(first_state(), change, 1.0)
    store.commit([change], state)
    return store, state


def uids_of(texts: list[bytes]) -> list[str]:
    return [Item.of_text(text).item_uid for text in texts]


def steps(store: SqliteStore) -> int:
    """Return how many instructions of SQLite's machine a load takes, in hundreds."""
    connection = store._connection
    assert connection is not None
    counted: list[None] = []
    connection.set_progress_handler(lambda: counted.append(None), 100)
    store.load()
    connection.set_progress_handler(None, 0)
    return len(counted)


def test_load_does_the_same_work_whatever_the_length(tmp_path: Path) -> None:
    found = []
    for size in (1_000, 20_000):
        (tmp_path / str(size)).mkdir()
        store, _ = filled(tmp_path / str(size), size)
        found.append(steps(store))
        store.close()
    assert 0 < found[1] <= found[0] + 2, found


def test_an_entry_is_found_by_its_uid_without_looking_at_the_others(tmp_path: Path) -> None:
    store, _ = filled(tmp_path, 10)
    connection = store._connection
    assert connection is not None
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sqlite.statements()['number_in_history']}", ("e1",)).fetchall()
    assert any("history_by_uid" in step[3] for step in plan), plan
    store.close()


def test_a_trim_only_marks_and_the_rows_go_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_TIDY_ROWS", 100)
    store, state = filled(tmp_path, 350)
    change = ch.HistoryTrimmed(count=340)
    state = ch.apply(state, change, 1.0)
    store.commit([change], state)

    def rows(connection: sqlite3.Connection | None) -> int:
        assert connection is not None
        return connection.execute("SELECT count(*) FROM history").fetchone()[0]

    left = [rows(store._connection)]
    while store.tidy():
        left.append(rows(store._connection))
        if left[-1] == 150:  # the next life goes on with it
            store.close()
            store = store_in(tmp_path)
            store.acquire(owner())
        assert uids_of(store.history(0, 350)) == [f"e{n}" for n in range(340, 350)]
        assert store.history_number("e339") is None
    assert [*left, rows(store._connection)] == [350, 250, 150, 50, 10]
    store.close()


def test_a_reader_waits_for_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_reader, "_SLICE", 3)
    store, _ = filled(tmp_path, 10)
    connection = store._connection
    assert connection is not None
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM history")
    assert uids_of(store.history(0, 10)) == [f"e{n}" for n in range(10)]
    connection.execute("ROLLBACK")
    store.close()


def test_a_closed_or_replaced_store_is_not_read(tmp_path: Path) -> None:
    store, _ = filled(tmp_path, 3)
    store.path.rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        store.history(0, 3)
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        store.history_number("e1")
    store.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        store.history(0, 3)


@pytest.mark.parametrize(
    ("numbers", "first"),
    [((), 0), ((1, 2, 3), 1), ((7, 8, 9, 10), 7), ((2, 3, 5, 9), 1), ((0, 4), 0)],
    ids=["empty", "from the beginning", "trimmed", "gaps", "gap at zero"],
)
def test_entries_of_an_earlier_version_are_numbered(tmp_path: Path, numbers: tuple[int, ...], first: int) -> None:
    with sqlite3.connect(tmp_path / "queue.sqlite") as connection:  # what version 2 wrote
        for _, script in migrations()[:2]:
            connection.executescript(script)
        connection.execute("PRAGMA user_version = 2")
        connection.execute(f"PRAGMA application_id = {sqlite._APPLICATION_ID}")
        connection.executemany("INSERT INTO parts (name, text) VALUES (?, ?)", part_texts(first_state(), PARTS).items())
        connection.executemany(
            "INSERT INTO history (n, uid, text) VALUES (?, ?, ?)",
            ((number, f"e{place}", items(f"e{place}")[0].text) for place, number in enumerate(numbers)),
        )
    connection.close()
    store = store_in(tmp_path)
    store.acquire(owner())
    loaded = store.load()
    assert loaded is not None
    end = first + len(numbers)
    assert (loaded.history.first, loaded.history.end) == (first, end)
    whole = [f"e{place}" for place in range(len(numbers))]
    assert [one.item_uid for one in loaded.history.tail] == whole
    assert uids_of(store.history(first, end)) == whole
    change = ch.HistoryAppended(items=items("new"))
    store.commit([change], ch.apply(loaded, change, 1.0))
    assert store.history_number("new") == end
    store.close()
