"""Puts the content of a backup, or of another server, into the store of an instance without a manager.

All or nothing: an SQLite store is made anew beside the present one, which stays as it was until the end and is kept afterwards;
another store gets everything in one commit.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from ..core.changes import LockSet, ModeSet, PermissionsSet
from ..core.decision import Step
from ..core.items import Item
from ..core.locks import Lock
from ..core.permissions import Permissions
from ..core.rules import restore as rules
from ..core.rules.restore import How, Restored
from ..core.state import State, first_state
from ..instance import Instance
from .backup_file import Content
from .contract import Owner, SchemaTooNew, Store, StoreBroken
from .opening import open_kept_store
from .rebuilding import rebuilding
from .sqlite import SqliteStore

#: entries put into one transaction
_CHUNK = 1000


def restore_kept(
    instance: Instance, owner: Owner, content: Content, how: How, *, permissions: bool = False, lock: Lock | None = None
) -> tuple[Restored, Path | None]:
    """`restore_file` for whatever store an instance has; another one than a file is not kept as it was before."""
    instance.prepare_data()
    store = open_kept_store(instance)
    if isinstance(store, SqliteStore):
        return restore_file(instance.store, instance.lease, owner, content, how, permissions=permissions, lock=lock)
    store.acquire(owner)
    try:
        return restore_into(store, content, how, permissions=permissions, lock=lock, chunk=None), None
    finally:
        store.close()


def restore_file(
    path: Path, lease: Path, owner: Owner, content: Content, how: How, *, permissions: bool = False, lock: Lock | None = None
) -> tuple[Restored, Path | None]:
    """Put content into the SQLite store at `path`; returns what was done, and where the store before is kept.

    Parameters
    ----------
    permissions
        Whether those of the content replace the present ones; they are taken in any case if there are none yet.
    lock
        Set, if not None.

    Raises
    ------
    StoreOwned, StoreUnavailable, StoreBroken
        A damaged store is replaced only with ``how="replace"``.
    StateError
        A plan is running, or there is something and ``how="empty"``.
    """

    def attempt(begin: Literal["copy", "empty"]) -> tuple[Restored, Path | None]:
        with rebuilding(path, lease, owner, "before-restore", begin=begin) as made:
            done = restore_into(made.store, content, how, permissions=permissions, lock=lock)
        return done, made.kept

    try:
        return attempt("copy")
    except SchemaTooNew:
        raise
    except StoreBroken:
        if how != "replace":
            raise
    return attempt("empty")


def restore_into(
    store: Store,
    content: Content,
    how: How,
    *,
    permissions: bool = False,
    lock: Lock | None = None,
    chunk: int | None = _CHUNK,
) -> Restored:
    """Put content into an acquired store.

    Parameters
    ----------
    chunk
        Items in a commit; None: everything is one commit.
    """
    state = store.load()
    fresh = state is None
    if state is None:
        state = first_state(None if content.permissions is None else Permissions.parse(content.permissions))
    rules.require_restorable(state, how)
    filling = Filling(store, state, in_slices=chunk is not None)
    step = filling.step
    rules.clear_for(step, how)
    rules.set_mode(step, content.mode)
    if permissions and content.permissions is not None and not fresh:
        step.emit(PermissionsSet(permissions=content.permissions))
    if lock is not None:
        step.emit(LockSet(lock=lock))
    done = Restored()
    filling.fill(content.history, rules.append_entries, done)
    filling.fill(content.queue, rules.append_items, done)
    rules.return_running(filling.step, content.running, filling.is_in_history, done)
    filling.commit()
    return done


class Filling:
    """The state that grows, and its commits.

    Parameters
    ----------
    store
        Acquired.
    state
        What it holds, or shall hold after `begin`.
    in_slices
        Whether each slice is committed at once; else everything is one commit.
    """

    def __init__(self, store: Store, state: State, *, in_slices: bool = True) -> None:
        self._store = store
        self._in_slices = in_slices
        self._added: set[str] = set()
        self.step = self._next(state)

    def _next(self, state: State) -> Step:
        return Step(state, time.time(), lambda: str(uuid.uuid4()))

    def begin(self) -> None:
        """Commit all of the state, whose history is empty, to a store that is empty."""
        self._store.commit([ModeSet(mode=self.step.state.mode)], self.step.state)

    def is_in_history(self, uid: str) -> bool:
        """Whether an entry of that uid is kept or will be: entries beyond those that the state holds are in the store."""
        if uid in self._added:
            return True
        number = self._store.history_number(uid)
        return number is not None and number >= self.step.state.history.first

    def fill(
        self, items: Iterable[Item], put: Callable[[Step, Iterable[Item], Callable[[str], bool], Restored], None], done: Restored
    ) -> None:
        """Put items in, slice by slice."""
        for part in _slices(items):
            put(self.step, part, self.is_in_history, done)
            if self._in_slices:
                self.commit()
            else:
                self._added.update(item.item_uid for item in part)

    def commit(self) -> None:
        """Commit what was made since the last time."""
        if self.step.changes:
            self._store.commit(self.step.changes, self.step.state)
            self.step = self._next(self.step.state)


def _slices(items: Iterable[Item]) -> Iterator[list[Item]]:
    source = iter(items)
    while part := list(islice(source, _CHUNK)):
        yield part
