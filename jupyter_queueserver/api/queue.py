"""Editing the queue."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from ..core.catalogue import Catalogue
from ..core.errors import QueueServerError, RequestError
from ..core.items import Item
from ..core.rules import queue as rules
from ..core.rules.positions import locate
from ..core.rules.submission import echoed, submitter
from ..core.rules.submission import prepared as prepared_item
from ..core.status import part_uid
from .registry import Context, Key, Sent, State, Step, read, write
from .schemas import COUNT_OR_NULL, ITEM, ITEMS, UID

_EDIT = "write:queue:edit"
_ADD_FAILED = "Failed to add an item: "
#: the items to store, and what is answered for each that was sent
Checked = tuple[list[Item], list[dict[str, Any]]]


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
    lock_key
        Key of the lock, if the queue is locked.
    """
    rules.add(step, [prepared], pos, before_uid, after_uid)
    return {"qsize": len(step.state.queue), "item": prepared}


def _check_batch(
    catalogue: Catalogue, new_uid: Callable[[], str], *, items: Any, user: Any, user_group: Any, **_: Any
) -> Generator[None, None, Checked | RequestError]:
    """Check every item; a malformed request is handed on, because its refusal tells the length of the queue."""
    try:
        _check_batch_shape(items)
        submitter(user, user_group)
    except RequestError as err:
        return err
    stored: list[Item] = []
    results: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        try:
            stored.append(prepared_item(catalogue, item, user, user_group, new_uid()))
            results.append({"success": True, "msg": ""})
        except QueueServerError as err:
            results.append(_failed_result(err, index, "Failed to add a plan: "))
        yield
    return stored, results


def _check_batch_shape(items: Any) -> None:
    if not isinstance(items, list):
        raise RequestError(
            "Invalid request format: the list of items is not found"
            if items is None
            else f"Invalid request format: 'items' must be a list, not {type(items).__name__}",
            code="item_format",
            hint="Send the items as a list in the parameter 'items'.",
            path="items",
        )


def _failed_result(err: QueueServerError, index: int, prefix: str) -> dict[str, Any]:
    path = f"items[{index}]{err.path.removeprefix('item')}" if err.path.startswith("item") else err.path
    error = err.to_wire() | {"path": path}
    return {"success": False, "msg": f"{prefix}{err.msg}", "error": error}


@write(
    scope=_EDIT,
    lock="queue",
    prefix=_ADD_FAILED,
    prepare=_check_batch,
    reply={
        "qsize": Key(COUNT_OR_NULL, None, "length of the queue now"),
        "items": Key(ITEMS, [], "the stored items"),
        "results": Key(ITEMS, [], "``success`` and ``msg`` of each item"),
    },
)
def queue_item_add_batch(
    step: Step,
    *,
    items: list,
    user_group: str,
    user: str,
    pos: int | str | None = None,
    before_uid: str | None = None,
    after_uid: str | None = None,
    lock_key: str | None = None,
    prepared: Checked | RequestError,
) -> dict[str, Any]:
    """Add several items, all or none.

    Parameters
    ----------
    items
        The items, in order.
    user_group, user
        Who submits them.
    pos
        Place of the first one: ``front``, ``back`` (default) or an index.
    before_uid, after_uid
        Place beside a queued item, instead of ``pos``.
    lock_key
        Key of the lock, if the queue is locked.
    """
    if isinstance(prepared, RequestError):
        prepared.data["qsize"] = len(step.state.queue)
        raise prepared
    stored, results = prepared
    failed = len(items) - len(stored)
    if failed:
        raise _batch_refused(step, failed, items, [echoed(item) for item in items], results)
    try:
        rules.add(step, stored, pos, before_uid, after_uid)
    except QueueServerError as err:
        results = [_failed_result(err, index, "Failed to add item to queue: ") for index in range(len(items))]
        raise _batch_refused(step, len(items), items, stored, results) from err
    return {"qsize": len(step.state.queue), "items": stored, "results": results}


def _batch_refused(step: Step, failed: int, items: list, shown: Any, results: list) -> QueueServerError:
    first = next(result["error"] for result in results if not result["success"])
    error = RequestError(
        f"Failed to add all items: validation of {failed} out of {len(items)} submitted items failed",
        code="batch_refused",
        hint=f"Nothing was added. See 'results' of each item; the first one: {first['hint']}",
        path=first["path"],
        items=shown,
        results=results,
        qsize=len(step.state.queue),
    )
    error.prefix = ""
    return error


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
