"""Whether an SQLite store is sound: a quick look before it is used, a whole one while it is.

It only reads, over connections of its own where it takes long.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Protocol, runtime_checkable

from .faults import damaged, explained

_BIG = ("history", "replies")


@runtime_checkable
class Checkable(Protocol):
    """A store that can look itself over."""

    def check(self, stop: threading.Event) -> str | None:
        """Read everything; returns what is wrong, None if nothing is.  May take minutes; from any thread."""
        ...


def look_quickly(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreBroken` if a table or its indexes are damaged.

    Not of what a start does not read, and may be big: it is looked at while the manager serves (`look_wholly`).
    """
    for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        if table in _BIG:
            continue
        quoted = str(table).replace('"', '""')
        _raise_if_damaged(connection, path, f'PRAGMA integrity_check("{quoted}")')


def _raise_if_damaged(connection: sqlite3.Connection, path: Path, statement: str) -> None:
    found = connection.execute(statement).fetchone()[0]
    if found != "ok":
        raise damaged(path, str(found).replace("\n", " "))


def look_wholly(path: Path, stop: threading.Event) -> str | None:
    """Check the whole file beside its writer; returns what is wrong, None if nothing is, or if `stop` came first."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.set_progress_handler(lambda: int(stop.is_set()), 100_000)
            found = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    except UnicodeDecodeError as error:  # SQLite quotes what it found
        return damaged(path, str(error)).msg
    except sqlite3.Error as error:
        return None if stop.is_set() else explained(error, path, "checked").msg
    return None if found == ["ok"] else damaged(path, "; ".join(found).replace("\n", " ")).msg
