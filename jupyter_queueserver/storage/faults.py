"""What a failed call of SQLite means to those who run the server: the sentence, and what to do.

Reads nothing of the database; it only looks who else holds its files.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from ..core.errors import ServiceError, StoreUnavailable
from .contract import StoreBroken

#: SQLITE_ERROR: the statements are right, so that the tables are not those that they were
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
#: what SQLite says when it is refused by the operating system
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_NO_RIGHT = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)

_LOCKS = Path("/proc/locks")


def explained(error: sqlite3.Error, path: Path, done: str) -> ServiceError:
    """Return what to raise for an error of SQLite.

    Parameters
    ----------
    path
        The database.
    done
        What was tried, as a participle: ``written``.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED:
        return damaged(path, str(error))
    if code in _HELD:
        return _held(error, path, done)
    return StoreUnavailable(f"The store {path} cannot be {done}: {error}.", hint=_hint(code, path))


def is_held(error: BaseException) -> bool:
    """Whether somebody else holds the database."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _HELD


def damaged(path: Path, found: str) -> StoreBroken:
    """Return the error for a file with a fault in it."""
    return StoreBroken(
        f"The store {path} is damaged: {found}.",
        hint="The file is left as it is. With the manager stopped, `jupyter queueserver recover` makes a new store of what"
        " can be read and keeps the damaged one beside it; or `jupyter queueserver restore --replace FILE` a backup.",
    )


def _held(error: sqlite3.Error, path: Path, done: str) -> ServiceError:
    names = holders(path)
    who = f"It is held by {', '.join(names)}" if names else "Another program (a backup, `sqlite3`, a file browser) holds it"
    return StoreUnavailable(
        f"The store {path} cannot be {done}: {error}.",
        hint=f"Nothing was changed. {who}: end that, then repeat; the manager goes on by itself as soon as it can write.",
    )


def _hint(code: int, path: Path) -> str | None:
    if code in _NO_ROOM:
        return f"Nothing was changed. Make room on the disk of {path.parent}, or check it for faults, then repeat."
    if code in _NO_RIGHT:
        return (
            f"Nothing was changed. Files and directory {path.parent} must be writable for the user of the manager,"
            " on a disk that is not mounted read-only."
        )
    return None


def holders(path: Path) -> list[str]:
    """Return who else has a lock on the files of a database, e.g. ``sqlite3 (process 123)``; empty if that is not known."""
    files = {_key(path.with_name(path.name + suffix)) for suffix in ("", "-wal", "-shm")} - {None}
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return []
    found = [(words[3], int(words[4])) for words in map(_words, lines) if words and words[5] in files]
    others = [(kind, pid) for kind, pid in found if pid > 0 and pid != os.getpid()]
    writers = [pid for kind, pid in others if kind == "WRITE"]
    return list(dict.fromkeys(map(_named, writers or _pids(others))))


def _pids(found: Iterable[tuple[str, int]]) -> list[int]:
    return [pid for _, pid in found]


def _words(line: str) -> list[str] | None:
    """Fields of a line: number, kind, ADVISORY, READ or WRITE, pid, device and inode, ..."""
    words = [word for word in line.split() if word != "->"]
    return words if len(words) >= 6 and words[4].lstrip("-").isdigit() else None


def _key(path: Path) -> str | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"


def _named(pid: int) -> str:
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (process {pid})"
    except OSError:
        return f"process {pid}"
