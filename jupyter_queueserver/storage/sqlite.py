"""The default store: one SQLite file, each commit one transaction that is on the disk when it returns.

It must be used by one thread at a time; only the history is read from any, over a connection of its own
(`jupyter_queueserver.storage.history_reader`).  It writes nothing before the lease is held, and never replaces
a file that it cannot read.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from ..core.changes import AnyChange
from ..core.errors import StoreUnavailable
from ..core.state import State
from .contract import FenceLost, Owner, SchemaTooNew, StoreBroken
from .exchange import finish_exchange
from .faults import damaged, explained, is_held
from .filesystems import is_on_network
from .history_reader import HistoryReader
from .lease import Lease
from .older import keep_copy
from .row_sums import give_row_sum
from .rows import delete_trimmed, history_ends, write_change, write_everything
from .soundness import look_quickly, look_wholly
from .statements import migrations, statements
from .texts import PARTS, StoredHistory, part_texts, requests_of, state_of, touched_parts

T = TypeVar("T")

#: marks a file as ours: "jqsv"
_APPLICATION_ID = 0x6A717376

#: seconds to wait for somebody who looks into the file with another program: clients wait 2 s for their answer
_BUSY_TIMEOUT = 1.0
#: the same as long as he holds it: inputs are taken one after the other, and each would wait again
_BUSY_AGAIN = 0.1

#: rows that are deleted at once after a trim; about 10 ms
_TIDY_ROWS = 1000

_log = logging.getLogger(__name__)


class SqliteStore:
    """A `jupyter_queueserver.storage.Store` in one file.

    Parameters
    ----------
    path
        The database; its directory must exist.
    lease
        The file that is locked while this store is owned.

    Attributes
    ----------
    remarks
        Sentences about how this store has to work, for those who run it; known after `acquire`.
    """

    def __init__(self, path: Path, lease: Path) -> None:
        self.path = path
        self._lease = Lease(lease)
        self._connection: sqlite3.Connection | None = None
        self._fence = 0
        self._is_empty = True
        self._reader = HistoryReader(path)
        self._place: tuple[int, int] | None = None
        self._is_held = False
        self.remarks: tuple[str, ...] = ()

    def acquire(self, owner: Owner, at_least: int = 1) -> int:
        """Lock, open, migrate, and raise the fence; see the protocol for what it raises."""
        self._lease.take(owner)
        try:
            with self._explained("opened"):
                finish_exchange(self.path)
                self._connection = _connected(self.path)
                self.remarks = _prepared(self._connection, self.path)
            self._place = _place(self.path)
            self._reader.open()
            with self._explained("written"), self._transaction() as cursor:
                self._fence = max(_fence(cursor) + 1, at_least)
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
            results = [text for (text,) in cursor.execute(sql["read_results"])]
            first, end = history_ends(cursor)
            backwards = (text for (text,) in cursor.execute(sql["read_history_backwards"], (first,)))
            state = state_of(queue, StoredHistory(first, end, backwards), results, parts)
            return replace(state, requests=requests_of(text for (text,) in cursor.execute(sql["read_requests"])))

    def commit(self, changes: Sequence[AnyChange], after: State) -> None:
        """Keep the changes in one transaction; raises `FenceLost` or `StoreUnavailable`."""
        if not changes:
            return
        if self._connection is not None:
            self._check_in_place()
        with self._explained("written"), self._transaction() as cursor:
            self._check_fence(cursor)
            if self._is_empty:
                write_everything(cursor, changes, after)
            else:
                for change in changes:
                    write_change(change, cursor)
            names = PARTS if self._is_empty else touched_parts(changes)
            cursor.executemany(statements()["write_part"], part_texts(after, names).items())
        self._is_empty = False

    def request_reply(self, request_id: str) -> bytes | None:
        """Return the reply of a recorded request, None if there is none."""
        with self._explained("read"), self._transaction() as cursor:
            found = cursor.execute(statements()["read_reply"], (request_id,)).fetchone()
        return found[0] or None if found else None

    def history(self, begin: int, end: int) -> list[bytes]:
        """Return the texts of those entries, oldest first; from any thread."""
        return self._read(lambda: self._reader.texts(begin, end))

    def history_number(self, uid: str) -> int | None:
        """Return the number of the newest entry with that uid; from any thread."""
        return self._read(lambda: self._reader.number(uid))

    def _read(self, read: Callable[[], T]) -> T:
        if self._connection is not None:
            self._check_in_place()
        with self._explained("read"):
            return read()

    def tidy(self) -> bool:
        """Delete a slice of the rows that were trimmed; True: there may be more."""
        with self._explained("written"), self._transaction() as cursor:
            self._check_fence(cursor)
            return delete_trimmed(cursor, _TIDY_ROWS) == _TIDY_ROWS

    def _check_fence(self, cursor: sqlite3.Cursor) -> None:
        if _fence(cursor) != self._fence:
            raise FenceLost(f"Another manager has acquired the store {self.path}.")

    def _check_in_place(self) -> None:
        """A file that was deleted or exchanged while it is open takes commits that nobody would ever find again."""
        if _place(self.path) != self._place:
            raise StoreUnavailable(
                f"The store {self.path} was deleted or replaced while it was in use.",
                hint="Nothing was changed. Put the file back, or stop the manager and start it again.",
            )

    def check(self, stop: threading.Event) -> str | None:
        """Read everything; returns what is wrong, None if nothing is (or nobody could look beside the writer)."""
        return None if self.remarks else look_wholly(self.path, stop)

    def last_owner(self) -> Owner | None:
        """Return who acquired it last."""
        return self._lease.owner()

    def close(self) -> None:
        """Close the file and release the lease."""
        connection, self._connection = self._connection, None
        self._reader.close()
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
            self._begin(cursor)
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # some errors have rolled back by themselves
                    cursor.execute("ROLLBACK")
                raise

    def _begin(self, cursor: sqlite3.Cursor) -> None:
        """Take the write lock; one who does not let go is waited for once, not with each input again."""
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if is_held(error) and not self._is_held:
                self._wait_at_most(_BUSY_AGAIN, cursor)
                self._is_held = True
            raise
        if self._is_held:
            self._wait_at_most(_BUSY_TIMEOUT, cursor)
            self._is_held = False

    @staticmethod
    def _wait_at_most(seconds: float, cursor: sqlite3.Cursor) -> None:
        cursor.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explained(error, self.path, done) from error
        except UnicodeDecodeError as error:  # SQLite quotes what it found
            raise damaged(self.path, str(error)) from error
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
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    return give_row_sum(connection)


def _prepared(connection: sqlite3.Connection, path: Path) -> tuple[str, ...]:
    """Check whose file it is, before the first write; then bring it to the present schema.  Returns remarks."""
    version = _pragma(connection, "user_version")
    mark = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if mark != _APPLICATION_ID and (tables or mark or version):
        raise StoreBroken(f"The file {path} is an SQLite database, but not one of a queue server.")
    known = migrations()
    if version > len(known):
        raise SchemaTooNew(f"The store {path} has schema version {version}; this program knows versions up to {len(known)}.")
    look_quickly(connection, path)
    path.chmod(0o600)
    remarks = _set_journal(connection, path)
    if 0 < version < len(known):
        keep_copy(connection, path, version)
    for number, script in known[version:]:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {_APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;"
        )
    return remarks


def _set_journal(connection: sqlite3.Connection, path: Path) -> tuple[str, ...]:
    """Choose how commits are made durable; returns a remark if it is not the usual way."""
    on_network = is_on_network(path.parent)
    journal = "DELETE" if on_network else "WAL"  # WAL needs shared memory
    chosen = connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0]
    connection.execute("PRAGMA synchronous = FULL")
    if chosen == "wal":
        return ()
    why = "is on a network file system" if on_network else "is on a file system without shared memory"
    remark = (
        f"The data directory {path.parent} {why}: the store works without a write-ahead log, which is slower."
        " A local disk is better (--data-dir)."
    )
    _log.warning("%s", remark)
    return (remark,)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
