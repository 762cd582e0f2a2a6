"""The default store: one SQLite file, each commit one transaction that is on the disk when it returns.

It must be used by one thread at a time.  It writes nothing before the lease is held, and never replaces a
file that it cannot read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ..core.changes import AnyChange
from ..core.errors import StoreUnavailable
from ..core.state import State
from .contract import FenceLost, Owner, SchemaTooNew, StoreBroken
from .filesystems import is_on_network
from .lease import Lease
from .rows import write_change, write_everything
from .statements import migrations, statements
from .texts import PARTS, part_texts, state_of, touched_parts

#: marks a file as ours: "jqsv"
_APPLICATION_ID = 0x6A717376

#: seconds to wait for somebody who looks into the file with another program
_BUSY_TIMEOUT = 2.0

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteStore:
    """A `jupyter_queueserver.storage.Store` in one file.

    Parameters
    ----------
    path
        The database; its directory must exist.
    lease
        The file that is locked while this store is owned.
    """

    def __init__(self, path: Path, lease: Path) -> None:
        self.path = path
        self._lease = Lease(lease)
        self._connection: sqlite3.Connection | None = None
        self._fence = 0
        self._is_empty = True
        self._place: tuple[int, int] | None = None

    def acquire(self, owner: Owner) -> int:
        """Lock, open, migrate, and raise the fence; see the protocol for what it raises."""
        self._lease.take(owner)
        try:
            with self._explained("opened"):
                self._connection = _connected(self.path)
                _prepared(self._connection, self.path)
            self._place = _place(self.path)
            with self._explained("written"), self._transaction() as cursor:
                self._fence = _fence(cursor) + 1
                cursor.execute(statements()["write_meta"], ("fence", self._fence))
                self._is_empty = not cursor.execute(statements()["has_parts"]).fetchone()[0]
        except BaseException:
            self.close()
            raise
        return self._fence

    def load(self) -> State | None:
        """Return the state of the last commit, None if there never was one; raises `StoreBroken`."""
        sql = statements()
        with self._explained("read"), self._transaction() as cursor:
            if self._is_empty:
                return None
            parts = dict(cursor.execute(sql["read_parts"]).fetchall())
            queue = [text for (text,) in cursor.execute(sql["read_queue"])]
            history = [text for (text,) in cursor.execute(sql["read_history"])]
            results = [text for (text,) in cursor.execute(sql["read_results"])]
        return state_of(queue, history, results, parts)

    def commit(self, changes: Sequence[AnyChange], after: State) -> None:
        """Keep the changes in one transaction; raises `FenceLost` or `StoreUnavailable`."""
        if not changes:
            return
        if self._connection is not None:
            self._check_in_place()
        with self._explained("written"), self._transaction() as cursor:
            if _fence(cursor) != self._fence:
                raise FenceLost(f"Another manager has acquired the store {self.path}.")
            if self._is_empty:
                write_everything(cursor, after)
            else:
                for change in changes:
                    write_change(change, cursor)
            names = PARTS if self._is_empty else touched_parts(changes)
            cursor.executemany(statements()["write_part"], part_texts(after, names).items())
        self._is_empty = False

    def _check_in_place(self) -> None:
        """A file that was deleted or exchanged while it is open takes commits that nobody would ever find again."""
        if _place(self.path) != self._place:
            raise StoreUnavailable(
                f"The store {self.path} was deleted or replaced while it was in use.",
                hint="Nothing was changed. Put the file back, or stop the manager and start it again.",
            )

    def last_owner(self) -> Owner | None:
        """Return who acquired it last."""
        return self._lease.owner()

    def close(self) -> None:
        """Close the file and release the lease."""
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"The store {self.path} could not be closed: {error}.") from error
        finally:
            self._lease.release()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        """All or nothing; the write lock is taken at once, so that a fence read in it holds until its end."""
        if self._connection is None:
            raise StoreUnavailable(f"The store {self.path} is not open.")
        with closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # some errors have rolled back by themselves
                    cursor.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                raise StoreBroken(f"The store {self.path} is damaged: {error}.") from error
            raise StoreUnavailable(f"The store {self.path} cannot be {done}: {error}.") from error
        except OSError as error:
            raise StoreUnavailable(f"The store cannot be {done}: {error}.") from error


def _fence(cursor: sqlite3.Cursor) -> int:
    found = cursor.execute(statements()["read_meta"], ("fence",)).fetchone()
    if found is None:
        raise StoreBroken("The store is damaged: its fence number is missing.")
    return found[0]


def _place(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file that the path leads to; None if it leads nowhere."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)


def _prepared(connection: sqlite3.Connection, path: Path) -> None:
    """Check whose file it is, before the first write; then bring it to the present schema."""
    version = _pragma(connection, "user_version")
    mark = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if mark != _APPLICATION_ID and (tables or mark or version):
        raise StoreBroken(f"The file {path} is an SQLite database, but not one of a queue server.")
    known = migrations()
    if version > len(known):
        raise SchemaTooNew(f"The store {path} has schema version {version}; this program knows versions up to {len(known)}.")
    path.chmod(0o600)
    journal = "DELETE" if is_on_network(path.parent) else "WAL"  # WAL needs shared memory
    connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    for number, script in known[version:]:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {_APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;"
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
