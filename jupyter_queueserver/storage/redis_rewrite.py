"""Everything written anew into a Redis server: the first commit, and a server that came back empty, older or damaged.

The texts go under names of their own first; one atomic step then puts them in the place of what was there.  What is already
there of the history, and fits, stays: a manager holds only its newest entries.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from ..core.changes import AnyChange, HistoryAppended
from ..core.errors import StoreUnavailable
from ..core.items import Item
from ..core.state import State
from .redis_changes import all_parts, pairs, uid_word
from .redis_server import RedisServer, Word
from .texts import entries_of_first_commit, replies_in, request_text, result_text
from .watched import HistoryLost

#: distance of two ranks, as in the script
_STEP = 1 << 30
#: seconds after which texts that were written for nothing vanish
_STAGED = 600

#: Calls the script for the owner: command, words.
OwnersCall = Callable[..., Any]


@dataclass(frozen=True)
class Survey:
    """What the server has of the history.

    Attributes
    ----------
    sound
        Whether it is ours and whole.
    base, end
        Numbers of its first entry and of the one behind its last.
    """

    sound: bool
    base: int
    end: int


@dataclass(frozen=True)
class Plan:
    """Which entries of the history are written: those from `new` on; those from `stays` on are there already.

    Attributes
    ----------
    aside
        Name under which the old history is kept, because it does not fit; empty: nothing is set aside.
    """

    entries: list[tuple[int, Item]]
    new: int
    stays: int
    aside: str


def plan_history(changes: Sequence[AnyChange], after: State, there: Survey, aside: str) -> Plan:
    """Decide what becomes of the history; raises `HistoryLost` if some of it is neither there nor known.

    Parameters
    ----------
    aside
        Name for an old history that does not fit.
    """
    first, end = after.history.first, after.history.end
    low = min(after.history.held_from, end - _appended(changes))
    if there.sound and there.base <= first and low <= there.end <= end:
        new = max(low, there.base)
        kept = replace(after, history=replace(after.history, first=new))
        return Plan(entries_of_first_commit(changes, kept), new, there.base, "")
    if first < low:
        raise HistoryLost(low, low - first)
    fits = there.sound and there.end >= first
    return Plan(entries_of_first_commit(changes, after), first, first, "" if fits else aside)


def _appended(changes: Sequence[AnyChange]) -> int:
    return sum(len(change.items) for change in changes if isinstance(change, HistoryAppended))


def first_history(changes: Sequence[AnyChange], after: State) -> Plan:
    """Return what the first commit writes; raises ``ValueError`` if it does not have all of it."""
    first = after.history.first
    return Plan(entries_of_first_commit(changes, after), first, first, "")


def write_anew(
    server: RedisServer, call: OwnersCall, changes: Sequence[AnyChange], after: State, end: Sequence[Word], *, is_first: bool
) -> str:
    """Write the whole state; returns how the server stands to this manager (``right``: it is done).

    Parameters
    ----------
    call
        Lets the script do a command in the owner's name.
    end
        What the step that puts everything in place needs first: lease (ms), host of the environment, fence, owner.
    is_first
        Whether there never was a commit, so that nothing can be lost.

    Raises
    ------
    HistoryLost
        Entries of the history, which are not trimmed in the state, are lost.
    StoreUnavailable
        Nothing was put in place.
    """
    found, sound, base, last = call("survey")
    if found in (b"lost", b"held"):
        return found.decode()
    aside = server.key(f"aside:{time.time():.0f}:history")
    there = Survey(bool(sound), base, last)
    plan = first_history(changes, after) if is_first else plan_history(changes, after, there, aside)
    names = [server.key(f"new:{uuid.uuid4().hex}:{name}") for name in _STAGED_KEYS]
    try:
        for name, (command, words) in zip(names, _staged(changes, after, plan), strict=True):
            server.upload(name, command, words, _STAGED)
        ends = [after.history.first, after.history.end, plan.new, plan.stays, plan.aside]
        done = call("replace", *end, *ends, *names)[0]
    except StoreUnavailable as error:
        if error.code == StoreUnavailable.code and not error.data.get("unreachable"):
            with suppress(StoreUnavailable):
                server.remove(names)
        raise
    return done.decode()


_STAGED_KEYS = ("queue", "items", "parts", "results", "order", "requests", "request_order", "replies", "texts", "uids")


def _staged(changes: Sequence[AnyChange], after: State, plan: Plan) -> list[tuple[str, list[Word]]]:
    """What is written under each of `_STAGED_KEYS`: the command, and its words."""
    results, requests = after.task_results, list(after.requests)
    replies = replies_in(changes)
    queue: list[Word] = [word for place, item in enumerate(after.queue, 1) for word in (place * _STEP, uid_word(item.item_uid))]
    return [
        ("ZADD", queue),
        ("HSET", pairs(after.queue)),
        ("HSET", all_parts(after)),
        ("HSET", [word for result in results for word in (uid_word(result.task_uid), result_text(result))]),
        ("RPUSH", [uid_word(result.task_uid) for result in results]),
        ("HSET", [word for record in requests for word in (uid_word(record.request_id), request_text(record))]),
        ("RPUSH", [uid_word(record.request_id) for record in requests]),
        ("HSET", [word for request_id, reply in replies.items() for word in (uid_word(request_id), reply)]),
        ("RPUSH", [item.text for _, item in plan.entries]),
        ("RPUSH", [uid_word(item.item_uid) for _, item in plan.entries]),
    ]
