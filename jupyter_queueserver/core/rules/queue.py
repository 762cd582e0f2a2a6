"""Editing the queue: add, remove, move, clear.  All of it is allowed at any time, also while the queue runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..changes import QueueCleared, QueueInserted, QueueMoved, QueueRemoved
from ..decision import Step
from ..errors import QueueServerError
from ..items import Item
from .positions import insertion_point, locate, move_source, move_target


def add(step: Step, items: Sequence[Item], pos: Any, before_uid: Any, after_uid: Any) -> None:
    """Put checked items into the queue, one behind the other; without any, the place is not looked at."""
    if not items:
        return
    try:
        before = insertion_point(step.state, pos, before_uid, after_uid)
    except QueueServerError as err:
        if len(items) == 1:
            err.data["item"] = items[0]
        raise
    step.emit(QueueInserted(items=tuple(items), before=before))


def remove(step: Step, pos: Any, uid: Any) -> Item:
    """Take one item out; returns it."""
    item = locate(step.state, pos, uid, "remove")
    step.emit(QueueRemoved(uids=(item.item_uid,)))
    return item


def move(step: Step, pos: Any, uid: Any, pos_dest: Any, before_uid: Any, after_uid: Any) -> Item:
    """Move one item; returns it.  Moving it to where it is changes nothing."""
    item = move_source(step.state, pos, uid)
    before = move_target(step.state, item, pos_dest, before_uid, after_uid)
    stays = before == item.item_uid or before == step.state.queue.after(item.item_uid)
    if not stays:
        step.emit(QueueMoved(uids=(item.item_uid,), before=before))
    return item


def clear(step: Step) -> None:
    """Empty the queue; the running item stays."""
    step.emit(QueueCleared())
