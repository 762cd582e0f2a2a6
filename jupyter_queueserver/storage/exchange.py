"""Puts a finished new store into the place of the present one: wholly or not at all, also if the process dies in between.

A database is more than its file: the log beside it holds what was committed last.  So the new file is given a name first that
says that it shall be the store; from then on everybody who opens the store ends what was begun, before he reads anything.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .older import unused

#: what belongs to a database, beside the file itself
BESIDE = ("-wal", "-shm", "-journal")


def exchange(fresh: Path, path: Path, reason: str) -> Path | None:
    """Replace a store; returns where the one before is kept, None if there was none.

    Parameters
    ----------
    fresh
        The new one, complete and closed, in the same directory.
    reason
        Part of the name under which the present one is kept.

    Raises
    ------
    OSError
        Before the new one has its name: nothing was changed.  Later: whoever opens the store next ends it.
    """
    _sync(fresh)
    kept = _keep(path, reason) if path.exists() else None
    fresh.replace(_decided(path))
    _sync(path.parent)
    finish_exchange(path)
    return kept


def finish_exchange(path: Path) -> None:
    """End an exchange that was decided; nothing if there is none.  Only for who holds the lease of the store."""
    decided = _decided(path)
    if not decided.exists():
        return
    for suffix in BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    decided.replace(path)
    _sync(path.parent)


def _decided(path: Path) -> Path:
    return path.with_name(f".{path.name}.next")


def _keep(path: Path, reason: str) -> Path:
    kept = unused(path.with_name(f"{path.name}.{reason}"))
    os.link(path, kept)
    for suffix in BESIDE[::2]:  # what is not in the file yet belongs to it
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            copy = kept.with_name(kept.name + suffix)
            shutil.copy2(beside, copy)
            _sync(copy)
    return kept


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
