"""Reads what can be read of a damaged SQLite store, and says what cannot.

It only reads.  Rows that do not fit their check sum are not taken: a plan with another number in it is worse than none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import QueueServerError
from ..core.items import Item
from ..core.state import first_state
from .contract import SchemaTooNew, StoreBroken
from .row_sums import give_row_sum
from .statements import migrations
from .texts import LATER, PARTS, StoredHistory, part_texts, state_of

#: per table: the values under its check sum, in order, and their types: what kind a damaged row says they are does not count
_COLUMNS = {
    "parts": {"name": "TEXT", "text": "BLOB"},
    "queue": {"uid": "TEXT", "rank": "INTEGER", "text": "BLOB"},
    "history": {"n": "INTEGER", "uid": "TEXT", "text": "BLOB"},
}
#: per table: what is read, and its check sum, computed over the bytes, which are there also where a text is none any more
_VALUES = {table: ", ".join(f"CAST({name} AS {kind})" for name, kind in columns.items()) for table, columns in _COLUMNS.items()}
_SUMS = {table: f"row_sum({', '.join(f'CAST({name} AS BLOB)' for name in columns)})" for table, columns in _COLUMNS.items()}
#: errors of reading damaged pages; text that is none; statements that the schema does not fit any more
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError, OverflowError, ValueError)
#: rows that are read at once: fewer are lost around a place that cannot be read
_SLICE = 500
#: rows behind a place that cannot be read, beyond which nobody looks for more
_FARTHEST = 1 << 40
#: slices in a row that hold nothing new: each goes twice as far as the one before
_ATTEMPTS = 42
#: a schema version beyond this is damage
_HIGHEST = 1000


@dataclass
class Findings:
    """What became of one salvage.

    Attributes
    ----------
    parts, queue, history
        How many were read.
    problems
        One sentence for each thing that is lost.
    """

    parts: int = 0
    queue: int = 0
    history: int = 0
    problems: list[str] = field(default_factory=list)


class Salvage:
    """A damaged store, opened for reading.

    Parameters
    ----------
    path
        The database; it and its log stay as they are.
    """

    def __init__(self, path: Path) -> None:
        self.findings = Findings()
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = give_row_sum(sqlite3.connect(uri, uri=True, isolation_level=None))
        self._connection.text_factory = lambda data: data.decode("utf-8", "replace")  # the check sum tells what is right
        try:
            self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            self._sums = {table: self._has_sums(table) for table in _COLUMNS}
        except _UNREADABLE as error:
            self.close()
            raise StoreBroken(f"Nothing can be read of {path}: {error}.") from error

    def _has_sums(self, table: str) -> bool:
        return any(row[1] == "sum" for row in self._connection.execute(f"PRAGMA table_info({table})"))

    def parts(self) -> dict[str, bytes]:
        """Return the parts of the state that can be read."""
        found = {}
        for _, (name, text) in self._rows("parts"):
            if name in PARTS and _is_sound_part(name, text):
                found[name] = text
            elif name in PARTS:
                self._lost(f"The part '{name}' of the state cannot be read.")
        self.findings.parts = len(found)
        return found

    def queue(self) -> list[Item]:
        """Return the items of the queue that can be read, in their order."""
        ranked: dict[str, tuple[int, Item]] = {}
        for _, (uid, rank, text) in self._rows("queue"):
            item = self._item(uid, text)
            if item is not None and isinstance(rank, int):
                ranked[item.item_uid] = rank, item
        missing = self._uids_by_index() - set(ranked)
        for uid in sorted(missing):
            self._lost(f"The item {uid} was in the queue and cannot be read.")
        self.findings.queue = len(ranked)
        return [item for _, item in sorted(ranked.values(), key=lambda pair: pair[0])]

    def history(self) -> Iterator[Item]:
        """Give the entries of the history that can be read, oldest first."""
        first = self._history_first()
        last = None
        for number, (_, uid, text) in self._rows("history"):
            if number < first:
                continue
            if last is not None and number > last + 1:
                self._lost(f"{number - last - 1} entries of the history cannot be read (numbers {last + 1} to {number - 1}).")
            last = number
            item = self._item(uid, text)
            if item is not None:
                self.findings.history += 1
                yield item

    def sums_fit(self) -> bool:
        """Whether every entry of the history, too, fits its check sum."""
        if not self._sums["history"]:
            return True
        statement = f"SELECT EXISTS (SELECT 1 FROM history WHERE sum <> {_SUMS['history']})"  # noqa: S608 - from the table above
        return not self._connection.execute(statement).fetchone()[0]

    def _item(self, uid: Any, text: Any) -> Item | None:
        try:
            item = Item.of_text(text)
        except (ValueError, TypeError, KeyError, RecursionError):
            item = None
        if item is None or item.item_uid != uid:
            self._lost(f"The item {uid!r:.60} is damaged.")
            return None
        return item

    def _history_first(self) -> int:
        """Number below which entries were trimmed and not deleted yet."""
        with suppress(*_UNREADABLE):
            found = self._connection.execute("SELECT value FROM meta WHERE name = 'history_first'").fetchone()
            if found is not None and isinstance(found[0], int):
                return found[0]
        return 0

    def _uids_by_index(self) -> set[str]:
        """Uids of the queue as the index has them, which lies elsewhere in the file."""
        with suppress(*_UNREADABLE):
            statement = "SELECT uid FROM queue INDEXED BY sqlite_autoindex_queue_1 WHERE uid > ''"
            return {uid for (uid,) in self._connection.execute(statement) if isinstance(uid, str)}
        return set()

    def _rows(self, table: str) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Rows by rowid, each once; behind a place that cannot be read it goes on at the next one that can."""
        after, vain, seen, in_circles = -(2**63), 0, set[int](), False
        while vain < _ATTEMPTS:
            done, known = 0, len(seen)
            try:
                for rowid, sound, *values in self._slice(table, after):
                    done += 1
                    if rowid in seen:
                        if not in_circles:
                            self._lost(f"The way to the rows of {table} leads in a circle: some are missing.")
                        in_circles = True
                        continue
                    seen.add(rowid)
                    after = rowid
                    if sound:
                        yield rowid, tuple(values)
                    else:
                        self._lost(f"A row of {table} ({values[0]!r:.60}) does not fit its check sum.")
                if done < _SLICE:
                    return
            except _UNREADABLE as error:
                self._lost(f"Rows of {table} after number {max(after, 0)} cannot be read: {error}.")
                found = self._next_readable(table, after)
                if found is None:
                    return
                after = found
            vain = 0 if len(seen) > known else vain + 1
            if vain > 1:  # what is read there was read before
                after = max(after, 0) + (1 << (vain - 2))

    def _slice(self, table: str, after: int) -> sqlite3.Cursor:
        """Rows behind that number: rowid, whether the check sum fits, values."""
        fits = f"sum = {_SUMS[table]}" if self._sums[table] else "1"
        # the names come from the tables above
        statement = f"SELECT rowid, {fits}, {_VALUES[table]} FROM {table} NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608
        return self._connection.execute(statement, (after, _SLICE))

    def _next_readable(self, table: str, after: int) -> int | None:
        """A rowid behind which reading works again; None: there is none."""
        start = max(after, 0)
        step = 1
        while (ends := self._ends_behind(table, start + step)) is None:
            step *= 2
            if step > _FARTHEST:
                return None
        if ends:
            return None
        low = step // 2  # the end of what cannot be read lies between
        while step - low > 1:
            middle = (low + step) // 2
            low, step = (middle, step) if self._ends_behind(table, start + middle) is None else (low, middle)
        return start + step

    def _ends_behind(self, table: str, after: int) -> bool | None:
        """Whether there is no row behind that number; None: it cannot be read."""
        statement = f"SELECT rowid FROM {table} NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT 1"  # noqa: S608 - as above
        try:
            return self._connection.execute(statement, (after,)).fetchone() is None
        except _UNREADABLE:
            return None

    def _lost(self, text: str) -> None:
        self.findings.problems.append(text)

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._connection.close()


def _is_sound_part(name: str, text: Any) -> bool:
    if not isinstance(text, bytes):
        return False
    try:
        state_of((), StoredHistory(0, 0, ()), (), part_texts(first_state(), PARTS) | {name: text})
    except QueueServerError:
        return False
    return True


def missing_parts(found: Mapping[str, bytes]) -> list[str]:
    """Return the names of the parts that are not there, of those that stores of every version have."""
    return [name for name in PARTS if name not in found and name not in LATER]


def check_version(path: Path) -> None:
    """Raise `SchemaTooNew` for a store that only a newer program understands."""
    with suppress(*_UNREADABLE), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(migrations()) and version < _HIGHEST:
            raise SchemaTooNew(f"The store {path} has schema version {version}; this program knows up to {len(migrations())}.")
