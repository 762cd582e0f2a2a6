"""`qserver-zmq-keys` and `qserver-clear-lock`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis_process
import zmq
from msgspec.structs import replace

from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.changes import LockSet, ModeSet, apply
from jupyter_queueserver.core.locks import Lock
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.state import State
from jupyter_queueserver.instance import Instance, identity_of
from jupyter_queueserver.manager.settings import Settings, settings_path, write_settings
from jupyter_queueserver.programs import clear_lock, zmq_keys
from jupyter_queueserver.storage import Owner, Store, open_kept_store, open_store

LOCK = Lock(environment=True, queue=True, user="Anna", note="alignment", time=1.7e9, salt="s", digest="d")


def keys_in(text: str) -> tuple[str, str]:
    private = re.search(r"Private key.*: (\S{40})$", text, re.MULTILINE)
    public = re.search(r"Public key.*: +(\S{40})$", text, re.MULTILINE)
    assert private is not None
    assert public is not None
    return private[1], public[1]


def test_new_keys_and_those_of_a_private_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert zmq_keys.main([]) == 0
    private, public = keys_in(capsys.readouterr().out)
    assert zmq.curve_public(private.encode()).decode() == public
    assert zmq_keys.main([f"--zmq-private-key={private}"]) == 0
    assert keys_in(capsys.readouterr().out) == (private, public)


@pytest.mark.parametrize("key", ["", "short", "x" * 39 + "~"])
def test_broken_key_is_not_repeated(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert zmq_keys.main([f"--zmq-private-key={key}"]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert not key or key not in captured.err


def stored(instance: Instance, lock: Lock | None) -> Store:
    """A store with something in it, still held."""
    instance.prepare_data()
    store = open_store("sqlite", instance.store, instance.lease)
    store.acquire(Owner(host="h", identity=identity_of(), address="there", since=1.0))
    state = State(catalogue=Catalogue({}, {}, Permissions.default()))
    mode = ModeSet(mode=replace(state.mode, loop=True))
    changes = [mode] if lock is None else [mode, LockSet(lock=lock)]
    for change in changes:
        state = apply(state, change, 1.0)
    store.commit(changes, state)
    return store


def loaded(instance: Instance) -> State:
    store = open_store("sqlite", instance.store, instance.lease)
    store.acquire(Owner(host="h", identity=identity_of(), address="", since=1.0))
    try:
        found = store.load()
        assert found is not None
        return found
    finally:
        store.close()


def test_lock_is_shown_and_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    instance = Instance(tmp_path)
    stored(instance, LOCK).close()
    assert clear_lock.main(["--data-dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("environment and queue", "Anna", "alignment", "deleted"))
    after = loaded(instance)
    assert not after.lock.is_locked
    assert after.mode.loop
    assert clear_lock.main(["--data-dir", str(tmp_path)]) == 0
    assert "There is no lock" in capsys.readouterr().out


def test_nothing_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clear_lock.main(["--data-dir", str(tmp_path / "none")]) == 0
    assert "nothing is stored" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_running_manager_keeps_its_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    instance = Instance(tmp_path)
    store = stored(instance, LOCK)
    assert clear_lock.main(["--data-dir", str(tmp_path)]) == 1
    assert "qserver unlock" in capsys.readouterr().err
    store.close()
    assert loaded(instance).lock == LOCK


def test_lock_in_redis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its address, and by the settings of the instance whose manager kept it there."""
    url, prefix = redis_process.shared().url, str(tmp_path)
    words = ["--redis-addr", url, "--redis-name-prefix", prefix]
    assert clear_lock.main(words) == 0
    assert "nothing is stored in unix:" in capsys.readouterr().out
    instance = Instance(tmp_path)
    instance.prepare_data()
    write_settings(
        Settings(data_dir=prefix, startup="", user_group_permissions="", store=url, redis_name_prefix=prefix),
        settings_path(instance),
    )
    for found in (words, ["--data-dir", str(tmp_path)]):
        store = open_kept_store(instance)
        store.acquire(Owner(host="h", identity=identity_of(), address="there", since=1.0))
        state = State(catalogue=Catalogue({}, {}, Permissions.default()))
        changes = [LockSet(lock=LOCK)]
        store.commit(changes, apply(state, changes[0], 1.0))
        assert clear_lock.main(found) == 1
        assert "qserver unlock" in capsys.readouterr().err
        store.close()
        assert clear_lock.main(found) == 0
        assert "deleted" in capsys.readouterr().out
        assert clear_lock.main(found) == 0
        assert "There is no lock" in capsys.readouterr().out
    assert not instance.store.exists()


@pytest.mark.parametrize("address", ["h:many", "me:hush@h"])
def test_redis_address_that_cannot_be_used(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert clear_lock.main(["--redis-addr", address]) == 1
    said = capsys.readouterr().err
    assert "--redis-addr" in said
    assert "hush" not in said
