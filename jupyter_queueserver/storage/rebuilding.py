"""Makes a new SQLite store beside the present one and puts it in its place at once, or not at all.

The present file is never written: it is kept beside the new one under a name with the time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal

from ..core.errors import StoreUnavailable
from .contract import Owner
from .exchange import BESIDE, exchange, finish_exchange
from .faults import explained
from .lease import Lease
from .row_sums import give_row_sum
from .sqlite import SqliteStore
from .statements import statements


class Rebuilding:
    """A store in the making.

    Attributes
    ----------
    store
        The new one, acquired: commit to it.
    kept
        Where the one before is, after the end; None if there was none.
    """

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.kept: Path | None = None


@contextmanager
def rebuilding(path: Path, lease: Path, owner: Owner, reason: str, *, begin: Literal["copy", "empty"]) -> Iterator[Rebuilding]:
    """Hold the lease, make a new store, and put it in the place of `path` when the block ends without an exception.

    Parameters
    ----------
    reason
        Part of the name under which the present file is kept, e.g. ``damaged``.
    begin
        ``copy``: with all that the present one holds; ``empty``.

    Raises
    ------
    StoreOwned
        A manager runs.
    StoreUnavailable, StoreBroken
        The new one cannot be made, or the present one cannot be copied.
    """
    holder = Lease(lease)
    holder.take(owner)
    fresh = path.with_name(f".{path.name}.new")
    try:
        _finished(path)
        _remove(fresh)
        if begin == "copy" and path.exists():
            _explained(path, lambda: _copy(path, fresh))
        store = SqliteStore(fresh, fresh.with_name(fresh.name + ".lease"))
        try:
            store.acquire(owner)
            made = Rebuilding(store)
            yield made
        finally:
            store.close()
        fence = last_fence(path)
        _explained(fresh, lambda: _set_fence(fresh, fence))
        try:
            made.kept = exchange(fresh, path, reason)
        except OSError as error:
            raise StoreUnavailable(f"The store cannot be replaced: {error}.") from error
    finally:
        _remove(fresh)
        holder.release()


def _finished(path: Path) -> None:
    try:
        finish_exchange(path)
    except OSError as error:
        raise StoreUnavailable(f"The store {path} cannot be put in its place: {error}.") from error


def last_fence(path: Path) -> int:
    """Return the fence of a store that may be damaged; a number that none has reached (the time) if it cannot be read."""
    if not path.exists():
        return 0
    try:
        with closing(give_row_sum(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True))) as connection:
            found = connection.execute(statements()["read_meta"], ("fence",)).fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        found = None
    return found[0] if found is not None else int(path.stat().st_mtime)


def _explained(path: Path, work: Callable[[], None]) -> None:
    try:
        work()
    except sqlite3.Error as error:
        raise explained(error, path, "copied") from error
    except OSError as error:
        raise StoreUnavailable(f"The store cannot be copied: {error}.") from error


def _copy(path: Path, fresh: Path) -> None:
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    uri = f"{path.absolute().as_uri()}?mode=ro"  # one that may write would write the log into the file when it is closed
    with closing(sqlite3.connect(uri, uri=True)) as source, closing(sqlite3.connect(fresh)) as target:
        source.backup(target)


def _set_fence(fresh: Path, fence: int) -> None:
    """No manager of the present store, if one should wake up, has a greater number."""
    with closing(give_row_sum(sqlite3.connect(fresh, isolation_level=None))) as connection:
        (own,) = connection.execute(statements()["read_meta"], ("fence",)).fetchone()
        connection.execute(statements()["write_meta"], ("fence", max(own, fence)))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _remove(fresh: Path) -> None:
    for suffix in ("", ".lease", *BESIDE):
        with suppress(FileNotFoundError):
            fresh.with_name(fresh.name + suffix).unlink()
