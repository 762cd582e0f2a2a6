"""Changes of queue, history and results of tasks as rows of the SQLite store.

The order of the queue is a number in each row, with gaps: an insertion writes its own rows only, until a gap
is used up and the numbers are given anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import singledispatch

from ..core import changes as ch
from ..core.items import Item
from ..core.state import State
from ..core.tasks import TaskResult
from .contract import StoreBroken
from .statements import statements
from .texts import TOUCHED, result_text

#: distance of two ranks at the back of the queue; halved by each insertion between the same two
STEP = 1 << 32
#: ranks beyond this are not given: the queue is renumbered instead
LIMIT = 1 << 62


def write_everything(cursor: sqlite3.Cursor, state: State) -> None:
    """Write queue, history and results of a state into the empty tables."""
    _insert(cursor, tuple(state.queue), None)
    _append_history(cursor, state.history)
    _append_results(cursor, state.task_results)


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
    _append_history(cursor, change.items)


@write_change.register
def _(change: ch.HistoryTrimmed, cursor: sqlite3.Cursor) -> None:
    cursor.execute(statements()["trim_history"], (change.count,))


@write_change.register
def _(change: ch.TaskFinished, cursor: sqlite3.Cursor) -> None:
    cursor.execute(statements()["delete_result"], (change.result.task_uid,))
    _append_results(cursor, [change.result])


@write_change.register
def _(change: ch.TaskResultsForgotten, cursor: sqlite3.Cursor) -> None:
    cursor.executemany(statements()["delete_result"], ((uid,) for uid in change.task_uids))


def _append_results(cursor: sqlite3.Cursor, results: Iterable[TaskResult]) -> None:
    cursor.executemany(statements()["append_result"], ((result.task_uid, result_text(result)) for result in results))


def _append_history(cursor: sqlite3.Cursor, items: Iterable[Item]) -> None:
    cursor.executemany(statements()["append_history"], ((item.item_uid, item.text) for item in items))


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
