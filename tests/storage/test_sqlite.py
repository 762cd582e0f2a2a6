"""What only the SQLite store promises: the lease, the death of a writer, files that it cannot use."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from store_samples import EVERY_CHANGE, first_state, items, kept, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.errors import StoreUnavailable
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.storage import MemoryStore, SchemaTooNew, StoreBroken, StoreOwned, open_store, sqlite
from jupyter_queueserver.storage.filesystems import is_on_network
from jupyter_queueserver.storage.rows import STEP
from jupyter_queueserver.storage.sqlite import SqliteStore

HERE = Path(__file__).parent


def store_in(directory: Path) -> SqliteStore:
    return SqliteStore(directory / "queue.sqlite", directory / "lease")


def opened_and_loaded(store: SqliteStore) -> None:
    store.acquire(owner())
    store.load()


def footprint(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and times of all files, and of the directory itself."""
    found = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}
    return {**found, ".": (b"", directory.stat().st_mtime_ns)}


def filled(directory: Path) -> dict[str, object]:
    """Fill a store and close it; returns what it has to give back."""
    store = store_in(directory)
    store.acquire(owner())
    state = first_state()
    for change in EVERY_CHANGE[:-4]:
        state = ch.apply(state, change, 1.0)
    state = ch.apply(state, ch.QueueInserted(items=items("x", "y")), 1.0)
    store.commit(EVERY_CHANGE[:1], state)
    store.close()
    return kept(state)


def test_a_second_one_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    first = store_in(tmp_path)
    first.acquire(owner("tcp://127.0.0.1:60615"))
    first.commit([EVERY_CHANGE[0]], ch.apply(first_state(), EVERY_CHANGE[0], 1.0))
    before = footprint(tmp_path)
    with pytest.raises(StoreOwned, match=r"process id \d+ on host 'beamline', address tcp://127.0.0.1:60615") as raised:
        store_in(tmp_path).acquire(owner("ipc:///second"))
    assert raised.value.owner is not None
    assert raised.value.owner.identity.pid == os.getpid()
    assert footprint(tmp_path) == before
    first.close()


def test_an_owner_that_has_not_written_its_name_yet(tmp_path: Path) -> None:
    first = store_in(tmp_path)
    first.acquire(owner())
    (tmp_path / "lease").write_bytes(b'{"host": "bea')
    with pytest.raises(StoreOwned, match="just starting") as raised:
        store_in(tmp_path).acquire(owner())
    assert raised.value.owner is None
    first.close()


def test_a_lease_file_that_was_removed_does_not_give_two_owners_the_fence(tmp_path: Path) -> None:
    first = store_in(tmp_path)
    first.acquire(owner())
    (tmp_path / "lease").unlink()
    second = store_in(tmp_path)
    assert second.acquire(owner()) == 2
    with pytest.raises(sqlite.FenceLost):
        first.commit([EVERY_CHANGE[0]], first_state())
    first.close()
    second.close()


def test_a_shorter_owner_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    for address in ("ipc:///" + "long" * 50, "s"):
        store = store_in(tmp_path)
        store.acquire(owner(address))
        store.close()
        last = store_in(tmp_path).last_owner()
        assert last is not None
        assert last.address == address


def test_kill_9_of_the_writer_loses_nothing_committed_and_frees_the_lease(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, str(HERE / "store_writer.py"), str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])},
    )
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(200)]
    with pytest.raises(StoreOwned) as raised:
        store_in(tmp_path).acquire(owner())
    assert raised.value.owner is not None
    assert raised.value.owner.identity.pid == writer.pid
    writer.kill()
    said += [int(line) for line in writer.stdout.read().splitlines()]
    writer.wait()
    writer.stdout.close()
    store = store_in(tmp_path)
    assert store.acquire(owner()) == 2
    loaded = store.load()
    assert loaded is not None
    ended = [Item.of_text(text) for text in store.history(loaded.history.first, loaded.history.end)]
    found = [one.item_uid for one in (*ended, *loaded.queue)]
    assert found == [f"u{n}" for n in range(len(found))]
    assert len(found) in (len(said), len(said) + 1)  # the last commit may have been done and not said
    store.close()


@pytest.mark.parametrize("damage", ["text", "cut", "middle"])
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, damage: str) -> None:
    filled(tmp_path)
    path = tmp_path / "queue.sqlite"
    data = path.read_bytes()
    broken = {
        "text": b"this is not a database " * 200,
        "cut": data[: len(data) // 2 // 4096 * 4096],
        "middle": data[:4096] + b"\xff" * (len(data) - 4096),
    }[damage]
    path.write_bytes(broken)
    store = store_in(tmp_path)
    with pytest.raises(StoreBroken, match=r"queue\.sqlite is damaged") as raised:
        opened_and_loaded(store)
    assert raised.value.hint
    store.close()
    assert path.read_bytes() == broken
    store_in(tmp_path).last_owner()


def test_a_text_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    filled(tmp_path)
    with sqlite3.connect(tmp_path / "queue.sqlite") as connection:
        connection.execute("UPDATE queue SET text = x'7b22' WHERE uid = 'x'")
    connection.close()
    store = store_in(tmp_path)
    store.acquire(owner())
    with pytest.raises(StoreBroken, match="queue cannot be read"):
        store.load()
    store.close()


@pytest.mark.parametrize("name", ["mode", "environment", "plans", "permissions"])
def test_a_missing_or_wrong_part_is_named(tmp_path: Path, name: str) -> None:
    filled(tmp_path)
    for statement in ("UPDATE parts SET text = '[1]' WHERE name = ?", "DELETE FROM parts WHERE name = ?"):
        with sqlite3.connect(tmp_path / "queue.sqlite") as connection:
            connection.execute(statement, (name,))
        connection.close()
        store = store_in(tmp_path)
        store.acquire(owner())
        with pytest.raises(StoreBroken, match=name):
            store.load()
        store.close()


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreBroken, match="not one of a queue server"):
        store_in(tmp_path).acquire(owner())
    assert path.read_bytes() == before


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "queue.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    store = store_in(tmp_path)
    with pytest.raises(SchemaTooNew, match="schema version 99") as raised:
        store.acquire(owner())
    assert raised.value.hint
    assert path.read_bytes() == before
    other = store_in(tmp_path)  # the lease is free again
    with pytest.raises(SchemaTooNew):
        other.acquire(owner())


def test_a_directory_that_cannot_be_written() -> None:
    nowhere = Path("/proc/self")  # nobody can make files here, not even root
    with pytest.raises(StoreUnavailable, match="cannot be locked"):
        store_in(nowhere).acquire(owner())


def test_a_database_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").mkdir()
    store = store_in(tmp_path)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        store.acquire(owner())


def test_a_commit_that_fails_keeps_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.acquire(owner())
    one = ch.QueueInserted(items=items("a"))
    state = ch.apply(first_state(), one, 1.0)
    store.commit([one], state)
    two = ch.QueueInserted(items=items("b"))
    after = ch.apply(state, two, 1.0)
    full = sqlite3.connect(tmp_path / "queue.sqlite")
    full.execute("BEGIN IMMEDIATE")  # somebody holds the write lock for longer than the store waits
    connection = store._connection
    assert connection is not None
    connection.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        store.commit([two], after)
    full.rollback()
    full.close()
    store.commit([two], after)
    loaded = store.load()
    assert loaded is not None
    assert kept(loaded) == kept(after)
    store.close()


def test_a_full_disk_refuses_and_keeps_what_was(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.acquire(owner())
    one = ch.QueueInserted(items=items("a"))
    state = ch.apply(first_state(), one, 1.0)
    store.commit([one], state)
    connection = store._connection
    assert connection is not None
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    many = ch.QueueInserted(items=items(*(f"b{n}" for n in range(1000))))
    with pytest.raises(StoreUnavailable, match="full"):
        store.commit([many], ch.apply(state, many, 1.0))
    loaded = store.load()
    assert loaded is not None
    assert kept(loaded) == kept(state)
    store.close()


def test_the_file_is_durable_and_private(tmp_path: Path) -> None:
    filled(tmp_path)
    store = store_in(tmp_path)
    store.acquire(owner())
    connection = store._connection
    assert connection is not None
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    store.close()
    assert (tmp_path / "queue.sqlite").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "lease").stat().st_mode & 0o777 == 0o600


def test_no_shared_memory_on_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = filled(tmp_path)
    monkeypatch.setattr(sqlite, "is_on_network", lambda directory: True)
    store = store_in(tmp_path)
    store.acquire(owner())
    connection = store._connection
    assert connection is not None
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    loaded = store.load()
    assert loaded is not None
    assert kept(loaded) == whole
    assert not list(tmp_path.glob("*-shm"))
    store.close()


def test_network_file_systems_are_found_by_their_mounts() -> None:
    mounts = (
        "/dev/a / ext4 rw 0 0\nserver:/x /net/my\\040data nfs4 rw 0 0\ntmpfs /net/my\\040data/local tmpfs rw 0 0\nbroken line\n"
    )
    assert not is_on_network(Path("/home/me"), mounts)
    assert is_on_network(Path("/net/my data/queue"), mounts)
    assert not is_on_network(Path("/net/my data/local/queue"), mounts)
    assert not is_on_network(Path("/net/my data2"), mounts)


def test_a_small_change_does_not_rewrite_big_parts(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.acquire(owner())
    big = ch.PlansSet(plans={f"plan{n}": {"description": "x" * 1000} for n in range(1000)})
    state = ch.apply(first_state(), big, 1.0)
    store.commit([big], state)
    connection = store._connection
    assert connection is not None
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    small: list[ch.AnyChange] = [ch.ReportApplied(number=5), ch.EngineSet(engine="idle")]
    for change in small:
        state = ch.apply(state, change, 1.0)
    store.commit(small, state)
    assert 0 < (tmp_path / "queue.sqlite-wal").stat().st_size < 50_000
    store.close()


def test_an_insertion_writes_its_own_row_only_until_the_gap_is_used_up(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.acquire(owner())
    first = ch.QueueInserted(items=items("a", "b"))
    state = ch.apply(first_state(), first, 1.0)
    store.commit([first], state)
    connection = store._connection

    def ranks() -> dict[str, int]:
        assert connection is not None
        return dict(connection.execute("SELECT uid, rank FROM queue"))

    renumbered = 0
    for n in range(40):
        before = ranks()
        change = ch.QueueInserted(items=items(f"x{n}"), before="b")
        state = ch.apply(state, change, 1.0)
        store.commit([change], state)
        after = ranks()
        renumbered += any(after[uid] != rank for uid, rank in before.items())
    assert renumbered == 1  # 2**32 can be halved 32 times
    assert min(ranks().values()) == STEP
    store.close()


def test_it_may_be_used_from_another_thread_than_the_one_that_made_it(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.acquire(owner())
    raised: list[BaseException] = []

    def work() -> None:
        try:
            store.commit([EVERY_CHANGE[0]], ch.apply(first_state(), EVERY_CHANGE[0], 1.0))
            store.close()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not raised


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with pytest.raises(StoreUnavailable, match="not open"):
        store.commit([EVERY_CHANGE[0]], first_state())
    store.acquire(owner())
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        store.commit([EVERY_CHANGE[0]], first_state())


def test_open_store(tmp_path: Path) -> None:
    assert isinstance(open_store("memory"), MemoryStore)
    path = tmp_path / "q.sqlite"
    store = open_store("sqlite", path)
    assert not list(tmp_path.iterdir())
    store.acquire(owner())
    assert (tmp_path / "q.sqlite.lease").exists()
    store.close()
    with pytest.raises(ValueError, match="needs a path"):
        open_store("sqlite")
    with pytest.raises(ValueError, match="no store of kind"):
        open_store("paper")  # type: ignore[arg-type]


def test_a_store_that_is_not_acquired_does_not_pass_for_an_empty_one(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(StoreUnavailable, match="not open"):
        store_in(tmp_path).load()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_taken_away_takes_nothing_more(tmp_path: Path, replaced: bool) -> None:
    store = store_in(tmp_path)
    opened_and_loaded(store)
    state = first_state()
    store.commit([ch.QueueCleared()], state)
    store.path.rename(tmp_path / "away")
    if replaced:
        store.path.write_bytes((tmp_path / "away").read_bytes())
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        store.commit([ch.QueueCleared()], state)
    store.path.unlink(missing_ok=True)
    (tmp_path / "away").rename(store.path)
    store.commit([ch.QueueCleared()], state)
    store.close()
