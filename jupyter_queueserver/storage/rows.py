"""Changes of queue, history and results of tasks as rows of the SQLite store.

The order of the queue is a number in each row, with gaps: an insertion writes its own rows only, until a gap
is used up and the numbers are given anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import singledispatch

from ..core import changes as ch
from ..core.items import Item
from ..core.requests import RequestRecord
from ..core.state import State
from ..core.tasks import TaskResult
from .contract import StoreBroken
from .statements import statements
from .texts import TOUCHED, entries_of_first_commit, replies_in, request_text, result_text

#: distance of two ranks at the back of the queue; halved by each insertion between the same two
STEP = 1 << 32
#: ranks beyond this are not given: the queue is renumbered instead
LIMIT = 1 << 62


def write_everything(cursor: sqlite3.Cursor, changes: Sequence[ch.AnyChange], state: State) -> None:
    """Write queue, history and results of a state, which follows from the changes, into the empty tables."""
    _insert(cursor, tuple(state.queue), None)
    set_history_first(cursor, state.history.first)
    _write_entries(cursor, entries_of_first_commit(changes, state))
    _append_results(cursor, state.task_results)
    _append_requests(cursor, state.requests, replies_in(changes))


@singledispatch
def write_change(change: ch.AnyChange, cursor: sqlite3.Cursor) -> None:
    """Write what a change does to queue, history and results; the parts are written apart (`touched_parts`)."""
    if type(change) not in TOUCHED:
        raise TypeError(f"{type(change).__name__} is not a change that can be stored")


@write_change.register
def _(change: ch.QueueInserted, cursor: sqlite3.Cursor) -> None:
    _insert(cursor, change.items, change.before)


@write_change.register
def _(change: ch.QueueRemoved, cursor: sqlite3.Cursor) -> None:
    cursor.executemany(statements()["delete_queued"], ((uid,) for uid in change.uids))


@write_change.register
def _(change: ch.QueueMoved, cursor: sqlite3.Cursor) -> None:
    """First to the back, so that the gap is looked for among the others only."""
    _place(cursor, change.uids, None)
    if change.before is not None:
        _place(cursor, change.uids, change.before)


@write_change.register
def _(change: ch.QueueReplaced, cursor: sqlite3.Cursor) -> None:
    cursor.execute(statements()["replace_queued"], (change.item.item_uid, change.item.text, change.uid))


@write_change.register
def _(change: ch.QueueCleared, cursor: sqlite3.Cursor) -> None:
    cursor.execute(statements()["delete_all_queued"])


@write_change.register
def _(change: ch.HistoryAppended, cursor: sqlite3.Cursor) -> None:
    _, end = history_ends(cursor)
    _write_entries(cursor, enumerate(change.items, end))


@write_change.register
def _(change: ch.HistoryTrimmed, cursor: sqlite3.Cursor) -> None:
    """Only marked: rows of a million entries are not deleted while others wait for their commit (`delete_trimmed`)."""
    first, end = history_ends(cursor)
    set_history_first(cursor, min(first + change.count, end))


@write_change.register
def _(change: ch.TaskFinished, cursor: sqlite3.Cursor) -> None:
    cursor.execute(statements()["delete_result"], (change.result.task_uid,))
    _append_results(cursor, [change.result])


@write_change.register
def _(change: ch.TaskResultsForgotten, cursor: sqlite3.Cursor) -> None:
    cursor.executemany(statements()["delete_result"], ((uid,) for uid in change.task_uids))


@write_change.register
def _(change: ch.RequestRecorded, cursor: sqlite3.Cursor) -> None:
    if change.record is not None:
        _delete_requests(cursor, (change.record.request_id,))
        _append_requests(cursor, [change.record], replies_in([change]))


@write_change.register
def _(change: ch.RequestsForgotten, cursor: sqlite3.Cursor) -> None:
    _delete_requests(cursor, change.request_ids)


def _delete_requests(cursor: sqlite3.Cursor, request_ids: Sequence[str]) -> None:
    for name in ("delete_reply", "delete_request"):  # a reply is found by its request
        cursor.executemany(statements()[name], ((request_id,) for request_id in request_ids))


def _append_requests(cursor: sqlite3.Cursor, records: Iterable[RequestRecord], replies: Mapping[str, bytes]) -> None:
    cursor.executemany(statements()["append_request"], ((record.request_id, request_text(record)) for record in records))
    cursor.executemany(statements()["append_reply"], replies.items())


def _append_results(cursor: sqlite3.Cursor, results: Iterable[TaskResult]) -> None:
    cursor.executemany(statements()["append_result"], ((result.task_uid, result_text(result)) for result in results))


def _write_entries(cursor: sqlite3.Cursor, entries: Iterable[tuple[int, Item]]) -> None:
    cursor.executemany(statements()["append_history"], ((number, item.item_uid, item.text) for number, item in entries))


def history_ends(cursor: sqlite3.Cursor) -> tuple[int, int]:
    """Return the number of the oldest entry of the history and that of the next one; equal if there is none."""
    found = cursor.execute(statements()["read_meta"], ("history_first",)).fetchone()
    if found is None:
        raise StoreBroken("The store is damaged: where its history begins is missing.")
    first: int = found[0]
    return first, max(first, cursor.execute(statements()["history_end"]).fetchone()[0])


def set_history_first(cursor: sqlite3.Cursor, first: int) -> None:
    """Mark all entries below that number as gone."""
    cursor.execute(statements()["write_meta"], ("history_first", first))


def delete_trimmed(cursor: sqlite3.Cursor, limit: int) -> int:
    """Delete at most that many rows of entries that are gone; returns how many there were."""
    first, _ = history_ends(cursor)
    return cursor.execute(statements()["delete_trimmed"], (first, limit)).rowcount


def _insert(cursor: sqlite3.Cursor, items: Sequence[Item], before: str | None) -> None:
    ranks = _ranks(cursor, len(items), before)
    rows = ((item.item_uid, rank, item.text) for item, rank in zip(items, ranks, strict=True))
    cursor.executemany(statements()["insert_queued"], rows)


def _place(cursor: sqlite3.Cursor, uids: Sequence[str], before: str | None) -> None:
    ranks = _ranks(cursor, len(uids), before)
    cursor.executemany(statements()["move_queued"], zip(ranks, uids, strict=True))


def _ranks(cursor: sqlite3.Cursor, count: int, before: str | None) -> range:
    """Return that many ranks in order, all below that of `before` and above the one in front of it."""
    if count == 0:
        return range(0)
    for renumbered in (False, True):
        found = _behind(cursor, count) if before is None else _in_front_of(cursor, count, before)
        if found is not None:
            return found
        if not renumbered:
            cursor.execute(statements()["renumber"], (STEP,))
    raise StoreBroken(f"There is no room for {count} more items in the store's order.")


def _behind(cursor: sqlite3.Cursor, count: int) -> range | None:
    last = cursor.execute(statements()["last_rank"]).fetchone()[0] or 0
    end = last + STEP * (count + 1)
    return range(last + STEP, end, STEP) if end <= LIMIT else None


def _in_front_of(cursor: sqlite3.Cursor, count: int, before: str) -> range | None:
    found = cursor.execute(statements()["rank_of"], (before,)).fetchone()
    if found is None:
        raise StoreBroken(f"The store is damaged: item {before} should be in the queue and is not.")
    high: int = found[0]
    low = cursor.execute(statements()["rank_below"], (high,)).fetchone()[0]
    if low is None:
        low = high - STEP * (count + 1)
        if low < -LIMIT:
            return None
    gap = (high - low) // (count + 1)
    return range(low + gap, low + gap * count + 1, gap) if gap >= 1 else None
