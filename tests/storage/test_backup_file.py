"""The file of a backup, and restoring it into a store without a manager."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import EVERY_CHANGE, OTHER_PERMISSIONS, first_state, item, items, kept, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.errors import StateError
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.state import QueueMode, State
from jupyter_queueserver.storage import MemoryStore, StoreOwned, open_store
from jupyter_queueserver.storage.backup_file import BackupInvalid, Content, open_backup, write_backup
from jupyter_queueserver.storage.restoring import restore_file, restore_into
from jupyter_queueserver.storage.sqlite import SqliteStore

STRANGE = item("s", kwargs={"x": float("inf"), "big": 10**30, "text": "\ud800 ü\n"}, result={"run_uids": ["r"]})
HISTORY = tuple(item(f"h{n}", result={"exit_status": "completed"}) for n in range(2500))


def content() -> Content:
    return Content(
        queue=(STRANGE, *items("a", "b")),
        history=HISTORY,
        mode=QueueMode(loop=True),
        permissions=OTHER_PERMISSIONS,
        running=item("now", properties={"time_start": 1.5}),
        source="test",
    )


def written(directory: Path, what: Content | None = None) -> Path:
    path = directory / "backup.jsonl"
    with path.open("wb") as file:
        write_backup(file, what or content(), "2026-01-01T00:00:00+01:00")
    return path


def texts(found: object) -> list[bytes]:
    return [one.text for one in found]  # type: ignore[attr-defined]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    summary, found = open_backup(written(tmp_path))
    assert (summary.queue, summary.history, summary.head.format) == (3, 2500, 1)
    assert texts(found.queue) == texts(content().queue)
    assert texts(found.history) == texts(HISTORY)
    assert found.mode == QueueMode(loop=True)
    assert found.permissions == OTHER_PERMISSIONS
    assert found.running == content().running


def test_each_line_is_json_that_people_read(tmp_path: Path) -> None:
    lines = written(tmp_path).read_text(errors="surrogatepass").splitlines()
    kinds = [next(iter(json.loads(line))) for line in lines]
    assert kinds[:4] == ["jupyter_queueserver_backup", "mode", "permissions", "running"]
    assert kinds[4:7] == ["queue"] * 3
    assert kinds[-1] == "end"


def test_writing_does_not_hold_the_history(tmp_path: Path) -> None:
    ahead = 0

    def entries() -> object:
        nonlocal ahead
        for one in HISTORY:
            ahead += 1
            yield one

    class Counting(io.BytesIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            nonlocal ahead
            if data.startswith(b'{"history"'):
                ahead -= 1
                assert ahead <= 1
            return super().write(data)

    write_backup(Counting(), Content(history=entries()), "now")  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10**9))
def test_a_cut_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path, Content(queue=items("a", "b"), history=items("h"), mode=QueueMode()))
    data = path.read_bytes()
    path.write_bytes(data[: cut % (len(data) - 1)])
    with pytest.raises(BackupInvalid):
        open_backup(path)
    with pytest.raises(BackupInvalid):
        open_backup(path, edited=True)


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (replaced(b'"num": 3', b'"num": 4'), "check sum"),
        (replaced(b'"item_uid":"b"', b'"item_uid":"a"'), "line 4: the item a stands in an earlier line"),
        (replaced(b'"item_uid":"h"', b'"item_uid":"a"'), "line 5: the item a stands in an earlier line"),
        (replaced(b'{"queue":', b'{"spam":'), "line 3: .*unknown word 'spam'"),
        (replaced(b'"format":1', b'"format":7'), "form 7"),
        (replaced(b'"item_type":"plan"', b'"item_type":"spam"'), "line 3: item_type"),
        (replaced(b'"item_uid":"a"', b'"uid":"a"'), "line 3: it is no item"),
        (replaced(b'{"mode":{"loop":false', b'{"mode":{"loop":"x"'), "line 2"),
        (lambda data: b"\n".join(data.splitlines()[1:]), "line 1: this is no backup"),
        (lambda data: data + b'{"queue":1}\n', "line 7"),
        (lambda data: data.replace(b"\n", b"\n{\n", 1), "line 2"),
        (lambda data: b"", "empty"),
        (lambda data: b"\xff\xfe" + data, "line 1"),
        (lambda data: b"PK\x03\x04 something else", "line 1"),
        (lambda data: b"".join(line + b"\n" for n, line in enumerate(data.splitlines()) if n != 3), "2 lines 'queue'|check sum"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, change: Callable[[bytes], bytes], told: str) -> None:
    queue = (item("a", kwargs={"num": 3}), item("b"))
    path = written(tmp_path, Content(queue=queue, history=items("h"), mode=QueueMode()))
    data = path.read_bytes().replace(b'"num":3', b'"num": 3')
    body, end = data.rsplit(b'{"end":', 1)
    end = end.replace(end.split(b'"sha256":"')[1][:64], hashlib.sha256(body).hexdigest().encode())
    path.write_bytes(body + b'{"end":' + end)
    open_backup(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BackupInvalid, match=told) as raised:
        open_backup(path)
    assert raised.value.hint


def test_an_edited_file_is_taken_if_that_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, Content(queue=items("a", "b")))
    path.write_bytes(path.read_bytes().replace(b'"item_uid":"b"', b'"item_uid": "other"'))
    with pytest.raises(BackupInvalid, match=r"check sum"):
        open_backup(path)
    _, found = open_backup(path, edited=True)
    assert [one.item_uid for one in found.queue] == ["a", "other"]


# -- restoring ---------------------------------------------------------------------------------


def stored(directory: Path) -> State:
    store = SqliteStore(directory / "queue.sqlite", directory / "lease")
    store.acquire(owner())
    try:
        found = store.load()
        assert found is not None
        return found
    finally:
        store.close()


def all_entries(directory: Path) -> list[str]:
    store = SqliteStore(directory / "queue.sqlite", directory / "lease")
    store.acquire(owner())
    try:
        return [Item.of_text(text).item_uid for text in store.history(0, 10**9)]
    finally:
        store.close()


def filled(directory: Path) -> State:
    store = SqliteStore(directory / "queue.sqlite", directory / "lease")
    store.acquire(owner())
    change = ch.QueueInserted(items=items("old", "a"))
    state = ch.apply(ch.apply(first_state(), change, 1.0), ch.AutostartSet(enabled=True), 1.0)
    store.commit([change], state)
    ended = ch.HistoryAppended(items=items("h7", "own"))
    state = ch.apply(state, ended, 1.0)
    store.commit([ended], state)
    store.close()
    return state


def test_into_nothing(tmp_path: Path) -> None:
    done, before = restore_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner(), content(), "empty")
    assert (done.queue, done.history, done.left_out, done.returned) == (4, 2500, 0, "now")
    assert before is None
    state = stored(tmp_path)
    assert [one.item_uid for one in state.queue] == ["now", "s", "a", "b"]
    first = state.queue.at(0)
    assert first.is_unconfirmed
    assert "properties" not in first.fields
    assert state.queue.at(1) == STRANGE
    assert all_entries(tmp_path) == [f"h{n}" for n in range(2500)]
    assert state.mode.loop
    assert state.catalogue.permissions.to_wire() == OTHER_PERMISSIONS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lease", "queue.sqlite"]


def test_only_into_an_empty_one_unless_it_is_said(tmp_path: Path) -> None:
    state = filled(tmp_path)
    with pytest.raises(StateError, match="2 items in the queue and 2 in the history") as raised:
        restore_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner(), content(), "empty")
    assert raised.value.code == "not_empty"
    assert kept(stored(tmp_path)) == kept(state)
    assert not list(tmp_path.glob("*restore*"))


def test_instead_of_all(tmp_path: Path) -> None:
    before = filled(tmp_path)
    _, aside = restore_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner(), content(), "replace")
    state = stored(tmp_path)
    assert [one.item_uid for one in state.queue] == ["now", "s", "a", "b"]
    assert all_entries(tmp_path) == [f"h{n}" for n in range(2500)]
    assert not state.autostart
    assert state.catalogue.permissions.to_wire() == before.catalogue.permissions.to_wire()
    assert aside is not None
    aside.rename(tmp_path / "queue.sqlite")
    assert kept(stored(tmp_path)) == kept(before)


def test_behind_what_is_there(tmp_path: Path) -> None:
    filled(tmp_path)
    done, _ = restore_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner(), content(), "append", permissions=True)
    state = stored(tmp_path)
    assert [one.item_uid for one in state.queue] == ["now", "old", "a", "s", "b"]
    assert all_entries(tmp_path) == ["h7", "own", *(f"h{n}" for n in range(2500) if n != 7)]
    assert (done.left_out, sorted(done.left_out_uids)) == (2, ["a", "h7"])
    assert state.catalogue.permissions.to_wire() == OTHER_PERMISSIONS
    again, _ = restore_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner(), content(), "append")
    assert (again.queue, again.history) == (0, 0)


@pytest.mark.parametrize("how", ["replace", "append", "empty"])
def test_not_beside_a_plan(tmp_path: Path, how: str) -> None:
    store = SqliteStore(tmp_path / "queue.sqlite", tmp_path / "lease")
    store.acquire(owner())
    change = ch.RunningSet(item=item("now"))
    store.commit([change], ch.apply(first_state(), change, 1.0))
    store.close()
    before = stored(tmp_path)
    with pytest.raises(StateError, match="running"):
        restore_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner(), content(), how)  # type: ignore[arg-type]
    assert kept(stored(tmp_path)) == kept(before)


def test_not_beside_a_manager(tmp_path: Path) -> None:
    filled(tmp_path)
    store = SqliteStore(tmp_path / "queue.sqlite", tmp_path / "lease")
    store.acquire(owner())
    with pytest.raises(StoreOwned):
        restore_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner(), content(), "replace")
    store.close()


def test_a_file_that_breaks_off_while_it_is_read_changes_nothing(tmp_path: Path) -> None:
    state = filled(tmp_path)

    def breaking() -> object:
        yield from HISTORY[:1500]
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        restore_file(
            tmp_path / "queue.sqlite",
            tmp_path / "lease",
            owner(),
            Content(history=breaking()),  # type: ignore[arg-type]
            "replace",
        )
    assert kept(stored(tmp_path)) == kept(state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lease", "queue.sqlite"]


def test_in_the_place_of_a_damaged_store(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "queue.sqlite"
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 20000)
    damaged = path.read_bytes()
    _, aside = restore_file(path, tmp_path / "lease", owner(), content(), "replace")
    assert aside is not None
    assert aside.read_bytes() == damaged
    assert len(stored(tmp_path).queue) == 4


def test_the_fence_goes_on_rising(tmp_path: Path) -> None:
    for _ in range(5):
        stored_fence = SqliteStore(tmp_path / "queue.sqlite", tmp_path / "lease")
        last = stored_fence.acquire(owner())
        stored_fence.close()
    restore_file(tmp_path / "queue.sqlite", tmp_path / "lease", owner(), content(), "replace")
    store = SqliteStore(tmp_path / "queue.sqlite", tmp_path / "lease")
    assert store.acquire(owner()) > last
    store.close()


def test_other_stores_take_it_in_one_commit() -> None:
    store = open_store("memory")
    assert isinstance(store, MemoryStore)
    store.acquire(owner())
    store.commit(EVERY_CHANGE[:1], ch.apply(first_state(), EVERY_CHANGE[0], 1.0))
    done = restore_into(store, content(), "append", chunk=None)
    assert done.history == 2500
    assert done.left_out_uids == ["a", "b"]
    assert len(store.disk.log) == 1
    state = store.load()
    assert state is not None
    assert state.history.size == 2500
