"""Keeps a copy of a store before its schema is changed: whoever goes back to the version before needs it."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

_log = logging.getLogger(__name__)


def keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy a database, whole and consistent, to a new file beside it; returns its path.  Raises ``sqlite3.Error``."""
    copy = unused(path.with_name(f"{path.name}.version-{version}"))
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(sqlite3.connect(copy)) as target:
            connection.backup(target)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    _log.warning("The store %s has schema version %d and is brought to the present one; a copy is kept: %s", path, version, copy)
    return copy


def unused(path: Path) -> Path:
    """Return a path with the time added to its name that nothing has yet."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    candidates = (path.with_name(f"{path.name}.{stamp}{f'-{n}' if n else ''}") for n in range(10_000))
    return next(each for each in candidates if not each.exists())
