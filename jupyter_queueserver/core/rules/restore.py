"""Putting the items of a backup, or of another server, into queue and history.

Nothing starts by itself afterwards.  What is there already is left out, so that nothing is run twice because of it: a plan
whose uid is in the history was run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from ..changes import AutostartSet, HistoryAppended, HistoryTrimmed, ModeSet, QueueCleared, QueueInserted
from ..decision import Step
from ..endings import RETURNED, returned_mark
from ..errors import RequestError, StateError
from ..items import Item
from ..state import QueueMode, State

How = Literal["empty", "replace", "append"]
"""``empty``: only where there is nothing yet; ``replace``: instead of all; ``append``: behind what is there."""

HOWS: tuple[How, ...] = ("empty", "replace", "append")

#: Most uids of left out items that are named.
_NAMED = 20


class KnownEntries(NamedTuple):
    """Which uids were looked up in the history and found.

    Attributes
    ----------
    end
        End of the history (number of the next entry) when they were looked up.
    """

    end: int
    uids: frozenset[str]


class Restored(msgspec.Struct):
    """What was put in.

    Attributes
    ----------
    queue, history
        How many items and entries.
    left_out
        How many were not, because their uid is in queue or history.
    left_out_uids
        Uids of the first of them.
    returned
        Uid of the item that was running and stands at the front now; None if there was none.
    """

    queue: int = 0
    history: int = 0
    left_out: int = 0
    left_out_uids: list[str] = []
    returned: str | None = None

    def leave_out(self, uid: str) -> None:
        """Count one that is there already."""
        self.left_out += 1
        if len(self.left_out_uids) < _NAMED:
            self.left_out_uids.append(uid)


def require_restorable(state: State, how: Any) -> None:
    """Raise if something runs, or if there is something and `how` says ``empty``."""
    if how not in HOWS:
        raise RequestError(
            f"Unknown way to restore: how = {how!r:.40}", code="bad_option", hint=f"Send one of {', '.join(HOWS)}.", path="how"
        )
    if state.running is not None or state.execution.state != "idle":
        raise StateError(
            "A plan is running, or its end is not on record yet.",
            code="plan_running",
            hint="Wait for its end (start the manager if none runs), then restore.",
        )
    if how == "empty" and (len(state.queue) or state.history.size):
        raise StateError(
            f"There are {len(state.queue)} items in the queue and {state.history.size} in the history.",
            code="not_empty",
            hint="Say whether they shall go (--replace, how='replace') or stay (--append, how='append'). Make a backup first.",
        )


def known_uids(state: State, how: How, known: KnownEntries | None) -> frozenset[str]:
    """Return which uids the history has beyond what the state holds; refuses if that is not known any more."""
    if how != "append":
        return frozenset()
    if state.history.held_from > state.history.first and (known is None or known.end < state.history.held_from):
        raise StateError(
            "The history has grown while its entries were looked up.",
            code="history_moved",
            hint="Nothing was changed. Send the request again.",
        )
    return known.uids if known is not None else frozenset()


def clear_for(step: Step, how: How) -> None:
    """Make room, and see to it that nothing starts by itself."""
    state = step.state
    if state.autostart:
        step.emit(AutostartSet(enabled=False))
    if how == "replace" and len(state.queue):
        step.emit(QueueCleared())
    if how == "replace" and state.history.size:
        step.emit(HistoryTrimmed(count=state.history.size))


def set_mode(step: Step, mode: QueueMode | None) -> None:
    """Set the queue mode, if the backup has one."""
    if mode is not None and mode != step.state.mode:
        step.emit(ModeSet(mode=mode))


def append_entries(step: Step, items: Iterable[Item], in_history: Callable[[str], bool], done: Restored) -> None:
    """Append entries to the history; `in_history` knows those of before that the state does not hold."""
    if fresh := _fresh(step, items, in_history, done):
        step.emit(HistoryAppended(items=fresh))
        done.history += len(fresh)


def append_items(step: Step, items: Iterable[Item], in_history: Callable[[str], bool], done: Restored) -> None:
    """Put items at the back of the queue."""
    if fresh := _fresh(step, items, in_history, done):
        step.emit(QueueInserted(items=fresh))
        done.queue += len(fresh)


def _fresh(step: Step, items: Iterable[Item], in_history: Callable[[str], bool], done: Restored) -> tuple[Item, ...]:
    """Return the items whose uid is nowhere yet, each once; the others are counted as left out."""
    fresh: dict[str, Item] = {}
    for item in items:
        uid = item.item_uid
        if uid in fresh or uid in step.state.queue or uid in step.state.history or in_history(uid):
            done.leave_out(uid)
        else:
            fresh[uid] = item
    return tuple(fresh.values())


def return_running(step: Step, item: Item | None, in_history: Callable[[str], bool], done: Restored) -> None:
    """Put the item that was running to the front, with a mark: nobody knows here how it ended."""
    if item is None:
        return
    uid = item.item_uid
    if uid in step.state.queue or uid in step.state.history or in_history(uid):
        done.leave_out(uid)
        return
    result: dict[str, Any] = {
        "ending": "lost",
        "summary": "The plan was running when it was backed up or taken over; how it ended is not known here",
        "time_stop": step.now,
        "run_uids": [],
    }
    fields = item.fields
    rest = {key: value for key, value in _mapping(fields.get("properties")).items() if key != "time_start"}
    marked = item.replaced(properties=rest or None, **{RETURNED: returned_mark(result, uid)})
    front = next(iter(step.state.queue), None)
    step.emit(QueueInserted(items=(marked,), before=None if front is None else front.item_uid))
    done.returned = uid
    done.queue += 1


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
