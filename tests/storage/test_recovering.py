"""A damaged store: what can be read goes into a new one, the damaged one stays, and what is lost is said."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import first_state, item, items, kept, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.state import Environment, Execution, QueueMode, State
from jupyter_queueserver.storage import StoreBroken, StoreOwned
from jupyter_queueserver.storage.history_reader import HistoryReader
from jupyter_queueserver.storage.recovering import recover_file
from jupyter_queueserver.storage.salvage import Findings
from jupyter_queueserver.storage.sqlite import SqliteStore

QUEUE = [f"q{n}" for n in range(60)]
HISTORY = [f"h{n}" for n in range(400)]
TEXTS = {uid: item(uid, kwargs={"note": f"{uid} " * 20}).text for uid in (*QUEUE, *HISTORY)}


def store_in(directory: Path) -> SqliteStore:
    return SqliteStore(directory / "queue.sqlite", directory / "lease")


def filled(directory: Path, *more: ch.AnyChange) -> State:
    store = store_in(directory)
    store.acquire(owner())
    state = first_state()
    changes: list[ch.AnyChange] = [
        ch.QueueInserted(items=tuple(Item.of_text(TEXTS[uid]) for uid in QUEUE)),
        ch.HistoryAppended(items=tuple(Item.of_text(TEXTS[uid]) for uid in HISTORY)),
        ch.ModeSet(mode=QueueMode(loop=True)),
        *more,
    ]
    for change in changes:
        state = ch.apply(state, change, 1.0)
        store.commit([change], state)
    store.close()
    return state


def contents(directory: Path) -> tuple[State, list[bytes], list[bytes]]:
    """State, texts of the queue, and texts of the whole history."""
    store = store_in(directory)
    store.acquire(owner())
    try:
        state = store.load()
        assert state is not None
        return state, [one.text for one in state.queue], store.history(state.history.first, state.history.end)
    finally:
        store.close()


def pages_of(directory: Path, table: str) -> list[int]:
    """Numbers of the leaf pages of a table or index, from 1: those whose first byte says so and that hold its texts."""
    data = (directory / "queue.sqlite").read_bytes()
    mark = {"queue": b"q1 q1", "history": b"h1 h1"}[table][:1]
    found = []
    for number in range(2, len(data) // 4096 + 1):
        page = data[(number - 1) * 4096 : number * 4096]
        if page[0] == 0x0D and b'"note":"' + mark in page:
            found.append(number)
    return found


def overwrite(directory: Path, page: int) -> None:
    with (directory / "queue.sqlite").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xee" * 4096)


def test_a_sound_store_is_left_alone(tmp_path: Path) -> None:
    state = filled(tmp_path)
    findings, aside = recover_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner())
    assert aside is None
    assert not findings.problems
    assert kept(contents(tmp_path)[0]) == kept(state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lease", "queue.sqlite"]


@pytest.mark.parametrize("table", ["queue", "history"])
def test_a_lost_page_costs_its_rows_only_and_they_are_named(tmp_path: Path, table: str) -> None:
    filled(tmp_path)
    pages = pages_of(tmp_path, table)
    assert len(pages) > 2
    overwrite(tmp_path, pages[1])
    damaged = (tmp_path / "queue.sqlite").read_bytes()
    findings, aside = recover_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner())
    assert aside is not None
    assert aside.read_bytes() == damaged
    state, queue, history = contents(tmp_path)
    whole = {"queue": [TEXTS[uid] for uid in QUEUE], "history": [TEXTS[uid] for uid in HISTORY]}
    found = {"queue": queue, "history": history}
    other = "history" if table == "queue" else "queue"
    assert found[other] == whole[other]
    assert len(whole[table]) // 2 < len(found[table]) < len(whole[table])
    assert found[table] == [text for text in whole[table] if text in set(found[table])]  # in their order
    assert findings.problems
    assert state.mode.loop
    if table == "queue":
        lost = [uid for uid in QUEUE if TEXTS[uid] not in queue]
        told = " ".join(findings.problems)
        assert all(f"The item {uid} was in the queue" in told for uid in lost)
    else:
        assert any("entries of the history cannot be read" in text for text in findings.problems)


def test_a_row_that_was_altered_is_not_taken(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "queue.sqlite"
    path.write_bytes(path.read_bytes().replace(b"q7 q7 q7", b"q7 q9 q7"))
    findings, _ = recover_file(path, tmp_path / "lease", owner())
    _, queue, _ = contents(tmp_path)
    assert queue == [TEXTS[uid] for uid in QUEUE if uid != "q7"]
    assert any("q7" in text for text in findings.problems)


@pytest.mark.parametrize("table", ["queue", "history"])
def test_a_name_that_is_no_text_any_more_costs_its_row(tmp_path: Path, table: str) -> None:
    filled(tmp_path)
    path = tmp_path / "queue.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        statement = {
            "queue": "UPDATE queue SET uid = CAST(x'ff80' AS TEXT) WHERE uid = 'q7'",
            "history": "UPDATE history SET uid = CAST(x'ff80' AS TEXT) WHERE uid = 'h7'",
        }[table]
        connection.execute(statement)
        connection.commit()
    findings, aside = recover_file(path, tmp_path / "lease", owner())
    assert aside is not None
    _, queue, history = contents(tmp_path)
    assert queue == [TEXTS[uid] for uid in QUEUE if (table, uid) != ("queue", "q7")]
    assert history == [TEXTS[uid] for uid in HISTORY if (table, uid) != ("history", "h7")]
    assert findings.problems


def test_a_text_that_counts_as_another_kind_is_the_same_text(tmp_path: Path) -> None:
    """One bit says whether a value is text or bytes; the check sum is the same."""
    state = filled(tmp_path)
    path = tmp_path / "queue.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        for table in ("parts", "queue", "history"):
            connection.execute(f"UPDATE {table} SET text = CAST(text AS TEXT)")  # noqa: S608
        connection.commit()
    assert recover_file(path, tmp_path / "lease", owner()) == (Findings(), None)
    found, queue, history = contents(tmp_path)
    assert found.mode == state.mode
    assert queue == [TEXTS[uid] for uid in QUEUE]
    assert history == [TEXTS[uid] for uid in HISTORY]


@pytest.mark.timeout(60)
def test_a_tree_that_leads_in_a_circle_is_read_once(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "queue.sqlite"
    data = bytearray(path.read_bytes())
    leaves = pages_of(tmp_path, "history")
    (root,) = [
        place
        for place in range(0, len(data), 4096)
        if data[place] == 0x05 and int.from_bytes(data[place + 8 : place + 12]) == leaves[-1]  # an inner page and its last child
    ]
    data[root + 8 : root + 12] = leaves[0].to_bytes(4)
    path.write_bytes(data)
    reader = HistoryReader(path)
    reader.open()
    with pytest.raises(StoreBroken, match="leads in a circle"):
        reader.texts(0, len(HISTORY))
    reader.close()
    findings, aside = recover_file(path, tmp_path / "lease", owner())
    assert aside is not None
    assert findings.problems
    assert len(findings.problems) < 10
    _, queue, history = contents(tmp_path)
    assert queue == [TEXTS[uid] for uid in QUEUE]
    assert len(set(history)) == len(history)
    assert len(HISTORY) / 2 < len(history) < len(HISTORY)
    assert set(history) <= set(TEXTS.values())


def test_what_ran_is_first_in_the_queue_if_its_worker_is_not_known_any_more(tmp_path: Path) -> None:
    filled(
        tmp_path,
        ch.EnvironmentSet(environment=Environment(state="open", environment_id="e1")),
        ch.ExecutionSet(execution=Execution(state="running")),
        ch.RunningSet(item=item("now")),
        ch.AutostartSet(enabled=True),
    )
    path = tmp_path / "queue.sqlite"
    data = path.read_bytes()
    assert data.count(b'"environment_id":"e1"') == 1
    path.write_bytes(data.replace(b'"environment_id":"e1"', b'"environment_id":"e7"'))
    findings, _ = recover_file(path, tmp_path / "lease", owner())
    state, _, _ = contents(tmp_path)
    assert state.running is None
    assert state.execution.state == "idle"
    assert state.queue.at(0).item_uid == "now"
    assert state.queue.at(0).is_unconfirmed
    assert not state.autostart
    assert any("Item now was running" in text for text in findings.problems)


def test_what_runs_goes_on_if_its_worker_is_known(tmp_path: Path) -> None:
    before = filled(
        tmp_path,
        ch.EnvironmentSet(environment=Environment(state="open", environment_id="e1")),
        ch.ExecutionSet(execution=Execution(state="running")),
        ch.RunningSet(item=item("now")),
    )
    overwrite(tmp_path, pages_of(tmp_path, "history")[1])
    recover_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner())
    state, _, _ = contents(tmp_path)
    assert (state.running, state.environment, state.execution) == (before.running, before.environment, before.execution)


def test_nothing_readable_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    path.write_bytes(b"\xee" * 50_000)
    with pytest.raises(StoreBroken, match="Nothing can be read"):
        recover_file(path, tmp_path / "lease", owner())
    assert path.read_bytes() == b"\xee" * 50_000
    assert sorted(one.name for one in tmp_path.iterdir()) == ["lease", "queue.sqlite"]


def test_not_beside_a_manager(tmp_path: Path) -> None:
    filled(tmp_path)
    store = store_in(tmp_path)
    store.acquire(owner())
    with pytest.raises(StoreOwned):
        recover_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner())
    store.close()


def test_a_store_of_the_first_version_too(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((Path(__file__).parent / "data" / "version_1.sql").read_text())
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"item_uid":"q1"', b'"item_uid":"q\x00"'))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE parts SET text = x'7b' WHERE name = 'mode'")
        connection.commit()
    findings, aside = recover_file(path, tmp_path / "lease", owner())
    assert aside is not None
    state, _, history = contents(tmp_path)
    assert [one.item_uid for one in state.queue] == ["q3", "q2"]
    assert len(history) == 3
    assert findings.problems


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    filled(directory)
    return directory / "queue.sqlite"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 255)), min_size=1, max_size=30))
def test_whatever_is_flipped_nothing_wrong_comes_out(
    whole_file: Path, tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    directory = tmp_path_factory.mktemp("flipped")
    path = directory / "queue.sqlite"
    broken = bytearray(whole_file.read_bytes())
    for place, mask in flips:
        broken[100 + place % (len(broken) - 100)] ^= mask
    path.write_bytes(broken)
    with suppress(StoreBroken):  # nothing could be read
        findings, aside = recover_file(path, directory / "lease", owner())
        _, queue, history = contents(directory)
        known = set(TEXTS.values())
        assert set(queue) <= known
        assert set(history) <= known
        if aside is None:
            assert (len(queue), len(history)) == (len(QUEUE), len(HISTORY))
        elif (len(queue), len(history)) != (len(QUEUE), len(HISTORY)):
            assert findings.problems
        if aside is not None:
            assert aside.read_bytes() == bytes(broken)
    shutil.rmtree(directory)


def test_items_of_the_queue_that_ended_are_not_there_twice(tmp_path: Path) -> None:
    filled(tmp_path, ch.QueueRemoved(uids=("q0",)), ch.HistoryAppended(items=items("q0")))
    overwrite(tmp_path, pages_of(tmp_path, "queue")[0])
    recover_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner())
    _, queue, history = contents(tmp_path)
    assert not set(queue) & set(history)
