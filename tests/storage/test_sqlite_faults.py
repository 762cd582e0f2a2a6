"""An SQLite store on bad days: held by a stranger, on a poor disk, of an older version, damaged, or torn."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import EVERY_CHANGE, first_state, items, kept, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.errors import StoreUnavailable
from jupyter_queueserver.core.state import State
from jupyter_queueserver.storage import StoreBroken, sqlite
from jupyter_queueserver.storage.faults import holders
from jupyter_queueserver.storage.row_sums import give_row_sum
from jupyter_queueserver.storage.sqlite import SqliteStore
from jupyter_queueserver.storage.statements import migrations

HERE = Path(__file__).parent
UNSHARE = shutil.which("unshare") or "/usr/bin/unshare"
PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}


def store_in(directory: Path) -> SqliteStore:
    return SqliteStore(directory / "queue.sqlite", directory / "lease")


def committed(store: SqliteStore, state: State, change: ch.AnyChange) -> State:
    after = ch.apply(state, change, 1.0)
    store.commit([change], after)
    return after


def loaded(directory: Path) -> State:
    store = store_in(directory)
    try:
        store.acquire(owner())
        found = store.load()
        assert found is not None
        return found
    finally:
        store.close()


# -- held by a stranger ------------------------------------------------------------------------


def test_a_stranger_who_holds_the_file_is_named_and_does_not_end_it(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.acquire(owner())
    state = committed(store, first_state(), ch.QueueInserted(items=items("a")))
    with subprocess.Popen(
        [sys.executable, str(HERE / "held_store.py"), str(store.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as stranger:
        assert stranger.stdin is not None
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "held\n"
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="locked") as raised:
                committed(store, state, ch.QueueInserted(items=items("b")))
        if sys.platform == "linux":
            assert f"process {stranger.pid}" in raised.value.hint
        assert busy_timeout(store) == 100  # the first one waited, the others need not
        stranger.stdin.close()
        assert stranger.stdout.readline() == "free\n"
    state = committed(store, state, ch.QueueInserted(items=items("b")))
    assert busy_timeout(store) == 1000
    assert holders(store.path) == []
    store.close()
    assert kept(loaded(tmp_path)) == kept(state)


def busy_timeout(store: SqliteStore) -> int:
    assert store._connection is not None
    return store._connection.execute("PRAGMA busy_timeout").fetchone()[0]


def test_who_only_reads_does_not_disturb(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.acquire(owner())
    state = committed(store, first_state(), ch.QueueInserted(items=items("a")))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM queue").fetchone() == (1,)
        committed(store, state, ch.QueueInserted(items=items("b")))
        assert reader.execute("SELECT count(*) FROM queue").fetchone() == (1,)
        reader.execute("COMMIT")
    store.close()


# -- poor disks --------------------------------------------------------------------------------


def on_poor_disk(kind: str, directory: Path) -> dict[str, Any]:
    if not Path(UNSHARE).exists() or subprocess.run([UNSHARE, "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to make a mount namespace")
    done = subprocess.run(
        [UNSHARE, "-m", sys.executable, str(HERE / "poor_disk.py"), kind, str(directory)],
        capture_output=True,
        text=True,
        env=PATHS,
        timeout=60,
        check=False,
    )
    if "mount" in done.stderr and done.returncode != 0 and "permission" in done.stderr.lower():
        pytest.skip("no right to mount")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_directory_that_is_mounted_read_only(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.acquire(owner())
    state = committed(store, first_state(), ch.QueueInserted(items=items("a")))
    store.close()
    told = on_poor_disk("readonly", tmp_path)
    assert told["code"] == "store_unavailable"
    assert "Read-only" in told["msg"]
    assert kept(loaded(tmp_path)) == kept(state)


def test_a_file_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    before = (tmp_path / "queue.sqlite").read_bytes()
    monkeypatch.setattr(
        sqlite,
        "_connected",
        lambda path: give_row_sum(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)),
    )
    with pytest.raises(StoreUnavailable, match="readonly") as raised:
        store_in(tmp_path).acquire(owner())
    assert "writable" in raised.value.hint
    assert (tmp_path / "queue.sqlite").read_bytes() == before


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    told = on_poor_disk("full", tmp_path)
    assert told["code"] == "store_unavailable"
    assert told["refused"] == 3
    assert told["unchanged"]
    assert told["goes_on"]
    assert "Make room" in told["hint"]


def test_a_network_file_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(sqlite, "is_on_network", lambda directory: True)
    store = store_in(tmp_path)
    with caplog.at_level(logging.WARNING):
        store.acquire(owner())
    assert "network file system" in store.remarks[0]
    assert store.remarks[0] in caplog.text
    state = committed(store, first_state(), ch.QueueInserted(items=items("a")))
    assert not list(tmp_path.glob("*-wal"))
    store.close()
    assert kept(loaded(tmp_path)) == kept(state)


# -- older versions ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_a_store_of_an_older_version_is_copied_and_brought_up(
    tmp_path: Path, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "queue.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((HERE / "data" / f"version_{version}.sql").read_text())
    with caplog.at_level(logging.WARNING):
        state = loaded(tmp_path)
    assert [item.item_uid for item in state.queue] == ["q3", "q1", "q2"]
    assert [item.item_uid for item in state.history] == ["h3", "h4", "h5"]
    assert state.running is not None
    assert state.running.item_uid == "q0"
    assert state.mode.loop
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(migrations())
    (copy,) = tmp_path.glob("queue.sqlite.version-*")
    assert str(copy) in caplog.text
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == version
        assert connection.execute("SELECT count(*) FROM history").fetchone()[0] == 3
    loaded(tmp_path)
    assert len(list(tmp_path.glob("queue.sqlite.version-*"))) == 1  # nothing more to bring up, no copy


# -- damage ------------------------------------------------------------------------------------


class Kept:
    """Files, and what they hold; shown by its name only, for the files are long."""

    def __init__(self, files: tuple[bytes, ...], states: tuple[dict[str, object], ...]) -> None:
        self.files = files
        self.states = states


def filled(directory: Path) -> State:
    """A small store with everything in it, closed: one file of a few pages."""
    store = store_in(directory)
    store.acquire(owner())
    state = first_state()
    for change in (*EVERY_CHANGE, ch.QueueInserted(items=items(*(f"q{n}" for n in range(40))))):
        state = ch.apply(state, change, 1.0)
    for change in EVERY_CHANGE[:1]:
        store.commit([ch.HistoryAppended(items=tuple(state.history)), change], state)
    store.close()
    return state


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A sound file, and what it holds."""
    directory = tmp_path_factory.mktemp("sound")
    state = filled(directory)
    return Kept(((directory / "queue.sqlite").read_bytes(),), (kept(state),))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 255)), min_size=1, max_size=20))
def test_flipped_bytes_load_rightly_or_are_told(
    sound: Kept, tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    data, whole = sound.files[0], sound.states[0]
    broken = bytearray(data)
    for place, mask in flips:
        broken[place % len(broken)] ^= mask
    directory = tmp_path_factory.mktemp("flipped")
    (directory / "queue.sqlite").write_bytes(broken)
    try:
        state = loaded(directory)
    except (StoreBroken, StoreUnavailable):
        return
    else:
        assert kept(state) == whole
    finally:
        shutil.rmtree(directory)


def test_a_value_that_was_altered_is_told(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "queue.sqlite"
    path.write_bytes(path.read_bytes().replace(b'"item_uid":"q7"', b'"item_uid":"q8"'))
    with pytest.raises(StoreBroken, match=r"queue cannot be read .a row does not fit its check sum") as raised:
        loaded(tmp_path)
    assert "jupyter queueserver recover" in raised.value.hint


def test_damage_in_the_history_is_found_by_the_look_at_everything(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.acquire(owner())
    state = first_state()
    for start in range(0, 3000, 500):
        state = committed(store, state, ch.HistoryAppended(items=items(*(f"h{n}" for n in range(start, start + 500)))))
    assert store.check(threading.Event()) is None
    store.close()
    with closing(sqlite3.connect(tmp_path / "queue.sqlite")) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'history'").fetchone()[0]
    with (tmp_path / "queue.sqlite").open("r+b") as file:  # the pointers of an inner page
        file.seek((page - 1) * 4096 + 12)
        file.write(b"\xff" * 8)
    damaged = store_in(tmp_path)
    try:
        damaged.acquire(owner())
    except StoreBroken:
        return  # seen at once: better still
    found = damaged.check(threading.Event())
    damaged.close()
    assert found is not None
    assert "is damaged" in found


# -- torn logs ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Copies of the database and its log with ten commits in it, and what was committed after each."""
    directory = tmp_path_factory.mktemp("torn")
    store = store_in(directory)
    store.acquire(owner())
    state, states = first_state(), []
    for n in range(10):
        state = committed(store, state, ch.QueueInserted(items=items(f"a{n}", f"b{n}"), before="a0" if n else None))
        states.append(kept(state))
    files = tuple((directory / f"queue.sqlite{suffix}").read_bytes() for suffix in ("", "-wal"))
    store.close()
    return Kept(files, tuple(states))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(end=st.integers(0, 10**9), garbage=st.binary(max_size=64))
def test_a_log_cut_at_any_byte_gives_the_last_whole_commit(
    torn: Kept, tmp_path_factory: pytest.TempPathFactory, end: int, garbage: bytes
) -> None:
    (database, log), states = torn.files, torn.states
    directory = tmp_path_factory.mktemp("cut")
    cut = end % (len(log) + 1)
    (directory / "queue.sqlite").write_bytes(database)
    (directory / "queue.sqlite-wal").write_bytes(log[:cut] + garbage)
    store = store_in(directory)
    try:
        store.acquire(owner())
        state = store.load()
        found = None if state is None else kept(state)
        assert found is None or found in states
        if cut == len(log):
            assert found == states[-1]
        if state is not None:  # and it goes on
            committed(store, state, ch.QueueInserted(items=items("new")))
    finally:
        store.close()
        shutil.rmtree(directory)
