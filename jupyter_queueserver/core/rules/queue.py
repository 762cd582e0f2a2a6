"""Editing the queue: add, remove, move, clear.  All of it is allowed at any time, also while the queue runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..changes import ModeSet, QueueCleared, QueueInserted, QueueMoved, QueueRemoved, QueueReplaced
from ..decision import Step
from ..errors import NotInQueue, QueueServerError, RequestError
from ..items import Item
from ..state import QueueMode
from .positions import batch_target, insertion_point, locate, move_source, move_target

#: Most uids that a refusal lists.
_SHOWN = 20


def add(step: Step, items: Sequence[Item], pos: Any, before_uid: Any, after_uid: Any, negative_pos: Any = "index") -> None:
    """Put checked items into the queue, one behind the other; without any, the place is not looked at."""
    if not items:
        return
    try:
        before = insertion_point(step.state, pos, before_uid, after_uid, negative_pos)
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


def update(step: Step, item: Item, replaced_uid: Any) -> Item:
    """Put a checked item into the place of the queued one with that uid; returns what stands there then."""
    try:
        before = _replaceable(step, replaced_uid)
    except QueueServerError as err:
        err.data["item"] = item
        raise
    if before.replaced(result=None, returned=None) == item:  # what came of an earlier run is no part of what is submitted
        return before
    step.emit(QueueReplaced(uid=before.item_uid, item=item))
    return item


def _replaceable(step: Step, uid: Any) -> Item:
    running = step.state.running
    if running is not None and uid == running.item_uid:
        raise RequestError(
            f"Failed to replace item: Item with UID '{uid}' is currently running",
            code="item_running",
            hint="Only queued items can be updated.",
            path="item.item_uid",
        )
    before = step.state.queue.get(uid) if isinstance(uid, str) else None
    if before is None:
        raise NotInQueue(f"Failed to replace item: Item with UID '{uid}' is not in the queue", path="item.item_uid")
    return before


def remove_batch(step: Step, uids: Any, *, ignore_missing: bool) -> list[Item]:
    """Take several items out; returns them in the order of the request."""
    wanted = _uid_list(uids)
    if not ignore_missing:
        _check_unique(wanted)
        _check_present(step, wanted)
    found = [item for item in map(step.state.queue.get, dict.fromkeys(_texts(wanted))) if item is not None]
    if found:
        step.emit(QueueRemoved(uids=tuple(item.item_uid for item in found)))
    return found


def move_batch(step: Step, uids: Any, pos_dest: Any, before_uid: Any, after_uid: Any, *, reorder: bool) -> list[Item]:
    """Move several items as one block; returns them in their new order."""
    wanted = _uid_list(uids)
    _check_unique(wanted)
    _check_present(step, wanted, running_counts=False)
    queue = step.state.queue
    if reorder:
        wanted = sorted(wanted, key=queue.index)
    before = batch_target(step.state, wanted, pos_dest, before_uid, after_uid)
    items = [item for item in map(queue.get, wanted) if item is not None]
    if items and not _stands_there(step, wanted, before):
        step.emit(QueueMoved(uids=tuple(wanted), before=before))
    return items


def _stands_there(step: Step, uids: Sequence[str], before: str | None) -> bool:
    queue = step.state.queue
    return all(queue.after(uid) == follower for uid, follower in zip(uids, [*uids[1:], before], strict=True))


def _uid_list(uids: Any) -> list[Any]:
    if uids is None:
        raise RequestError(
            "Request does not contain the list of UIDs", code="item_format", hint="Send the list in 'uids'.", path="uids"
        )
    if not isinstance(uids, list):
        raise RequestError(
            f"Parameter 'uids' must be a list: type(uids) = {type(uids).__name__}",
            code="wrong_type",
            hint="Send a list of UIDs.",
            path="uids",
        )
    return uids


def _texts(uids: Sequence[Any]) -> list[str]:
    return [uid for uid in uids if isinstance(uid, str)]


def _check_unique(uids: Sequence[Any]) -> None:
    texts = _texts(uids)
    if len(set(texts)) != len(texts):
        raise RequestError(
            f"The list of contains repeated UIDs ({len(texts) - len(set(texts))} UIDs)",
            code="repeated_uids",
            hint="Name each item once.",
            path="uids",
        )


def _check_present(step: Step, uids: Sequence[Any], *, running_counts: bool = True) -> None:
    """The running item may be named among those to be removed: it is passed over."""
    running = step.state.running.item_uid if step.state.running is not None and running_counts else None
    missing = [uid for uid in uids if not isinstance(uid, str) or (uid not in step.state.queue and uid != running)]
    if missing:
        shown = missing if len(missing) <= _SHOWN else [*missing[:_SHOWN], "..."]
        raise NotInQueue(f"The queue does not contain items with the following UIDs: {shown}", path="uids")


def set_mode(step: Step, mode: Any) -> None:
    """Set some or all of the flags of the queue mode, or the default."""
    before = step.state.mode
    after = QueueMode() if mode == "default" else msgspec.structs.replace(before, **_mode_flags(mode))
    if after != before:
        step.emit(ModeSet(mode=after))


def _mode_flags(mode: Any) -> dict[str, bool]:
    known = QueueMode.__struct_fields__
    if mode is None:
        raise RequestError(
            "Request does not contain the queue mode: the parameter 'mode' is missing",
            code="item_format",
            hint=f"Send 'mode': an object with some of {list(known)}, or 'default'.",
            path="mode",
        )
    if not isinstance(mode, dict):
        raise RequestError(
            f"Queue mode is passed using object of unsupported type '{type(mode).__name__}': {mode!r}. "
            "Supported types: dictionary, or the text 'default'",
            code="wrong_type",
            hint=f"Send an object with some of {list(known)}, or 'default'.",
            path="mode",
        )
    for name, value in mode.items():
        if name not in known:
            raise RequestError(
                f"Unsupported plan queue mode parameter '{name}': supported parameters {list(known)}",
                code="unsupported_parameters",
                hint=f"Use some of {list(known)}.",
                path=f"mode.{name}",
            )
        if not isinstance(value, bool):
            raise RequestError(
                f"Unsupported type '{type(value).__name__}' of the parameter '{name}': {value!r}. Supported type: 'bool'",
                code="wrong_type",
                hint="Send true or false.",
                path=f"mode.{name}",
            )
    return mode
