"""Editing the queue."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal

from ..core.catalogue import Catalogue
from ..core.items import Item
from ..core.rules import queue as rules
from ..core.rules.positions import locate
from ..core.rules.returned import confirm_items
from ..core.rules.submission import prepared as prepared_item
from ..core.rules.submission import updated as updated_item
from ..core.status import part_uid
from .registry import Context, Key, Sent, State, Step, read, write
from .schemas import COUNT_OR_NULL, ITEM, ITEMS, UID

_EDIT = "write:queue:edit"
_ADD_FAILED = "Failed to add an item: "


@read(
    scope="read:queue",
    words="queue get",
    reply={
        "items": Key(ITEMS, [], "queued items, front first"),
        "running_item": Key(ITEM, {}, "the running item; empty if there is none"),
        "plan_queue_uid": Key(UID, ""),
    },
)
def queue_get(state: State, context: Context) -> dict[str, Any]:
    """Return the queue and the running item, consistent with each other."""
    return {
        "items": list(state.queue),
        "running_item": state.running or {},
        "plan_queue_uid": part_uid(context.epoch, "queue", state.versions.queue),
    }


def _check_one(
    catalogue: Catalogue, new_uid: Callable[[], str], *, item: Any, user: Any, user_group: Any, **_: Any
) -> Generator[None, None, Item]:
    yield
    return prepared_item(catalogue, item, user, user_group, new_uid())


@write(
    scope=_EDIT,
    lock="queue",
    prefix=_ADD_FAILED,
    words="queue add",
    shape="placed_item",
    prepare=_check_one,
    reply={
        "qsize": Key(COUNT_OR_NULL, None, "length of the queue now"),
        "item": Key(ITEM, Sent("item"), "the item as it was stored, with its uid"),
    },
)
def queue_item_add(
    step: Step,
    *,
    item: dict,
    user_group: str,
    user: str,
    pos: int | str | None = None,
    before_uid: str | None = None,
    after_uid: str | None = None,
    negative_pos: Literal["index", "insert"] = "index",
    lock_key: str | None = None,
    prepared: Item,
) -> dict[str, Any]:
    """Add a plan or an instruction to the queue.

    Parameters
    ----------
    item
        The item: ``item_type``, ``name``, ``args``, ``kwargs``, ``meta``.
    user_group, user
        Who submits it.
    pos
        Place: ``front``, ``back`` (default) or an index.
    before_uid, after_uid
        Place beside a queued item, instead of ``pos``.
    negative_pos
        What a negative ``pos`` means: ``index``, the one that the new item gets (-1: it becomes the last one); ``insert``,
        the one before which it is put (-1: before the last one).
    lock_key
        Key of the lock, if the queue is locked.
    """
    rules.add(step, [prepared], pos, before_uid, after_uid, negative_pos)
    return {"qsize": len(step.state.queue), "item": prepared}


def _check_update(
    catalogue: Catalogue, new_uid: Callable[[], str], *, item: Any, user: Any, user_group: Any, replace: Any, **_: Any
) -> Generator[None, None, Item]:
    yield
    return updated_item(catalogue, item, user, user_group, new_uid() if replace else None)


@write(
    scope=_EDIT,
    lock="queue",
    prefix=_ADD_FAILED,
    words="queue update",
    shape="update_item",
    further_words=(("queue replace", "replace_item"),),
    prepare=_check_update,
    reply={
        "qsize": Key(COUNT_OR_NULL, 0, "length of the queue now"),
        "item": Key(ITEM, Sent("item"), "the item as it is stored now"),
    },
)
def queue_item_update(
    step: Step,
    *,
    item: dict,
    user_group: str,
    user: str,
    replace: bool = False,
    lock_key: str | None = None,
    prepared: Item,
) -> dict[str, Any]:
    """Put a changed item into the place of a queued one.

    Parameters
    ----------
    item
        The whole item; its ``item_uid`` names the queued one.
    user_group, user
        Who submits it.
    replace
        Whether the item gets a new uid.
    lock_key
        Key of the lock, if the queue is locked.
    """
    stored = rules.update(step, prepared, item.get("item_uid"))
    return {"qsize": len(step.state.queue), "item": stored}


@read(
    scope="read:queue",
    prefix="Failed to get an item: ",
    words="queue item get",
    shape="address",
    reply={"item": Key(ITEM, {}, "the item")},
)
def queue_item_get(state: State, context: Context, *, pos: int | str | None = None, uid: str | None = None) -> dict[str, Any]:
    """Return one queued item.

    Parameters
    ----------
    pos
        ``front``, ``back`` (default) or an index; negative ones count from the back.
    uid
        Its uid, instead of ``pos``.
    """
    return {"item": locate(state, pos, uid, "get")}


@write(
    scope=_EDIT,
    lock="queue",
    prefix="Failed to remove an item: ",
    words="queue item remove",
    shape="address",
    reply={"item": Key(ITEM, {}, "the removed item"), "qsize": Key(COUNT_OR_NULL, None)},
)
def queue_item_remove(
    step: Step, *, pos: int | str | None = None, uid: str | None = None, lock_key: str | None = None
) -> dict[str, Any]:
    """Take one item out of the queue.

    Parameters
    ----------
    pos
        ``front``, ``back`` (default) or an index; negative ones count from the back.
    uid
        Its uid, instead of ``pos``.
    lock_key
        Key of the lock, if the queue is locked.
    """
    item = rules.remove(step, pos, uid)
    return {"item": item, "qsize": len(step.state.queue)}


@write(
    scope=_EDIT,
    lock="queue",
    prefix="Failed to move the item: ",
    words="queue item move",
    shape="move",
    reply={"item": Key(ITEM, {}, "the moved item"), "qsize": Key(COUNT_OR_NULL, None)},
)
def queue_item_move(
    step: Step,
    *,
    pos: int | str | None = None,
    uid: str | None = None,
    pos_dest: int | str | None = None,
    before_uid: str | None = None,
    after_uid: str | None = None,
    lock_key: str | None = None,
) -> dict[str, Any]:
    """Move one item to another place of the queue.

    Parameters
    ----------
    pos, uid
        Which item: its place or its uid.
    pos_dest
        Index where it ends up, ``front`` or ``back``.
    before_uid, after_uid
        Place beside a queued item, instead of ``pos_dest``.
    lock_key
        Key of the lock, if the queue is locked.
    """
    item = rules.move(step, pos, uid, pos_dest, before_uid, after_uid)
    return {"item": item, "qsize": len(step.state.queue)}


@write(
    scope="write:queue:control",
    lock="queue",
    prefix="Failed to confirm items: ",
    words="queue item confirm",
    shape="uids",
    ours=True,
    reply={
        "items": Key(ITEMS, [], "the items as they are now"),
        "qsize": Key(COUNT_OR_NULL, None),
    },
)
def queue_item_confirm(
    step: Step, *, uid: str | None = None, uids: list[str] | None = None, lock_key: str | None = None
) -> dict[str, Any]:
    """Confirm that items that came back to the queue (``returned``) may run again; other items stay as they are.

    Parameters
    ----------
    uid
        Which item.
    uids
        Which items, instead of ``uid``.
    lock_key
        Key of the lock, if the queue is locked.
    """
    items = confirm_items(step, uid, uids)
    return {"items": items, "qsize": len(step.state.queue)}


@write(scope=_EDIT, lock="queue", words="queue clear")
def queue_clear(step: Step, *, lock_key: str | None = None) -> dict[str, Any]:
    """Remove all queued items; the running one stays.

    Parameters
    ----------
    lock_key
        Key of the lock, if the queue is locked.
    """
    rules.clear(step)
    return {}


@write(
    scope="write:queue:control",
    lock="queue",
    prefix="Failed to set queue mode: ",
    words="queue mode set",
    shape="mode",
)
def queue_mode_set(step: Step, *, mode: dict | str, lock_key: str | None = None) -> dict[str, Any]:
    """Set how the queue is worked off.

    Parameters
    ----------
    mode
        Some of the flags ``loop`` and ``ignore_failures``, the others stay; or ``default``.
    lock_key
        Key of the lock, if the queue is locked.
    """
    rules.set_mode(step, mode)
    return {}
