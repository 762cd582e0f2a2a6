"""Which store is meant.  The database is imported only when it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .contract import Store
from .memory import MemoryStore


def open_store(kind: Literal["sqlite", "memory"], path: Path | None = None, lease: Path | None = None) -> Store:
    """Return a store; nothing is opened or written before its ``acquire``.

    Parameters
    ----------
    kind
        ``sqlite``: one file; ``memory``: forgotten at the end of the process, for tests.
    path
        The database file; its directory must exist.  Not used by ``memory``.
    lease
        The file that is locked while a manager owns the store.  None: beside the database, with ``.lease``
        added to its name.

    Raises
    ------
    ValueError
        An unknown kind, or ``sqlite`` without a path.
    """
    if kind == "memory":
        return MemoryStore()
    if kind != "sqlite":
        raise ValueError(f"there is no store of kind {kind!r}: use 'sqlite' or 'memory'")
    if path is None:
        raise ValueError("a store of kind 'sqlite' needs a path")
    from .sqlite import SqliteStore

    return SqliteStore(path, lease or path.with_name(path.name + ".lease"))
