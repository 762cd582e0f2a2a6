"""Reads the history of an SQLite store beside its writer, from any thread.

It has a connection of its own, which can only read.  Entries never change, so that each slice is a short transaction of its
own: a long read keeps neither the writer waiting nor its log growing.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from ..core.errors import StoreUnavailable
from .faults import damaged
from .row_sums import give_row_sum
from .statements import statements

#: entries read in one transaction
_SLICE = 2000

#: seconds to wait for a writer, where there is no log that readers can look beside
_BUSY_TIMEOUT = 5.0


class HistoryReader:
    """The entries of one file.

    Parameters
    ----------
    path
        The database, which exists and has the present schema when it is opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Connect; raises ``sqlite3.Error``."""
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT, check_same_thread=False
        )
        self._connection = give_row_sum(connection)

    def texts(self, begin: int, end: int) -> list[bytes]:
        """Return the texts of the entries with those numbers that exist, oldest first."""
        found: list[bytes] = []
        while begin < end:
            rows = self._rows("read_history", (begin, end, _SLICE))
            numbers = [number for number, _ in rows]
            if any(number >= following for number, following in itertools.pairwise([begin - 1, *numbers])):
                raise damaged(self._path, f"the way to the entries of the history after number {begin} leads in a circle")
            if unsound := [number for number, text in rows if not text]:
                raise damaged(self._path, f"entry {unsound[0]} of the history does not fit its check sum")
            found += [text for _, text in rows]
            if len(rows) < _SLICE:
                break
            begin = rows[-1][0] + 1
        return found

    def number(self, uid: str) -> int | None:
        """Return the number of the newest entry with that uid."""
        try:
            uid.encode()
        except UnicodeEncodeError:
            return None  # half a surrogate pair: no entry of this store can have it
        return self._rows("number_in_history", (uid,))[0][0]

    def _rows(self, name: str, values: tuple[object, ...]) -> list[tuple]:
        with self._lock:
            if self._connection is None:
                raise StoreUnavailable(f"The store {self._path} is not open.")
            return self._connection.execute(statements()[name], values).fetchall()

    def close(self) -> None:
        """Disconnect; may be called more than once."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):  # nothing can be lost: it only reads
                    connection.close()
