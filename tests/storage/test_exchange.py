"""A store that is exchanged is the old one or the new one, whole, wherever the process dies; also with commits in its log."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_samples import first_state, items, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.storage import exchange as exchange_module
from jupyter_queueserver.storage.exchange import exchange
from jupyter_queueserver.storage.rebuilding import rebuilding
from jupyter_queueserver.storage.sqlite import SqliteStore


class Died(BaseException):
    """The process ends here."""


def store_in(directory: Path, name: str = "queue.sqlite") -> SqliteStore:
    return SqliteStore(directory / name, directory / f"{name}.lease")


def fill(store: SqliteStore, *uids: str) -> None:
    state = store.load() or first_state()
    change = ch.QueueInserted(items=items(*uids))
    store.commit([change], ch.apply(state, change, 1.0))


def killed_store(directory: Path) -> Path:
    """A store whose manager was killed: what it committed last is in the log alone."""
    living = directory / "living"
    living.mkdir()
    store = store_in(living)
    store.acquire(owner())
    fill(store, "old1", "old2")
    path = directory / "queue.sqlite"
    for suffix in ("", "-wal", "-shm"):
        shutil.copy2(living / f"queue.sqlite{suffix}", path.with_name(path.name + suffix))
    store.close()
    assert path.with_name(path.name + "-wal").stat().st_size > 0
    return path


def new_store(directory: Path) -> Path:
    store = store_in(directory, "fresh")
    store.acquire(owner())
    fill(store, "new1", "new2", "new3")
    store.close()
    return directory / "fresh"


def uids_in(directory: Path) -> list[str]:
    store = store_in(directory)
    store.acquire(owner())
    try:
        state = store.load()
        return [] if state is None else [item.item_uid for item in state.queue]
    finally:
        store.close()


class Deaths:
    """Counts what is done to files, and dies before the step of that number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
        self.steps = 0
        self._last = last
        for place, name in ((os, "link"), (os, "fsync"), (shutil, "copy2"), (Path, "replace"), (Path, "unlink")):
            monkeypatch.setattr(place, name, self._counted(getattr(place, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if self.steps == self._last:
                raise Died
            self.steps += 1
            return call(*args, **kwargs)

        return counted


def test_it_is_the_old_or_the_new_one_wherever_it_breaks_off(tmp_path: Path) -> None:
    found: list[list[str]] = []
    for last in range(100):
        directory = tmp_path / str(last)
        directory.mkdir()
        path, fresh = killed_store(directory), new_store(directory)
        with pytest.MonkeyPatch.context() as patch:
            Deaths(patch, last)
            try:
                exchange(fresh, path, "before-restore")
                done = True
            except Died:
                done = False
        found.append(uids_in(directory))
        if done:
            break
    assert done
    assert len(found) > 8
    old, new = ["old1", "old2"], ["new1", "new2", "new3"]
    assert found[0] == old
    assert found[-1] == new
    assert found == sorted(found, key=lambda uids: uids == new)  # once it is decided it stays so
    assert {tuple(uids) for uids in found} == {tuple(old), tuple(new)}


def test_what_was_before_is_kept_with_its_log(tmp_path: Path) -> None:
    path, fresh = killed_store(tmp_path), new_store(tmp_path)
    kept = exchange(fresh, path, "before-restore")
    assert kept is not None
    (tmp_path / "again").mkdir()
    for suffix in ("", "-wal"):
        shutil.copy2(kept.with_name(kept.name + suffix), tmp_path / "again" / f"queue.sqlite{suffix}")
    assert uids_in(tmp_path / "again") == ["old1", "old2"]
    assert uids_in(tmp_path) == ["new1", "new2", "new3"]


def test_the_next_rebuilding_begins_with_what_was_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fresh = killed_store(tmp_path), new_store(tmp_path)

    def died(path: Path) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(exchange_module, "finish_exchange", died)
        with pytest.raises(Died):
            exchange(fresh, path, "before-restore")
    with rebuilding(path, tmp_path / "queue.sqlite.lease", owner(), "again", begin="copy") as made:
        state = made.store.load()
        assert state is not None
        assert [item.item_uid for item in state.queue] == ["new1", "new2", "new3"]
