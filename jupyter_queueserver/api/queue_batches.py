"""Editing the queue by many items at once, all or none."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from ..core.catalogue import Catalogue
from ..core.errors import QueueServerError, RequestError
from ..core.items import Item
from ..core.rules import queue as rules
from ..core.rules.submission import echoed, submitter
from ..core.rules.submission import prepared as prepared_item
from .registry import Key, Present, Step, write
from .schemas import COUNT_OR_NULL, ITEMS

_EDIT = "write:queue:edit"
#: the items to store, and what is answered for each that was sent
Checked = tuple[list[Item], list[dict[str, Any]]]
_MOVED = {"items": Key(ITEMS, [], "the items, in order"), "qsize": Key(COUNT_OR_NULL, None, "length of the queue now")}


def _check_batch(
    catalogue: Catalogue, new_uid: Callable[[], str], *, items: Any, user: Any, user_group: Any, **_: Any
) -> Generator[None, None, Checked | RequestError]:
    """Check every item; a malformed request is handed on: it is refused when its turn comes."""
    try:
        _check_batch_shape(items)
        submitter(user, user_group)
        catalogue.plans_allowed(user_group)
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
    prefix="Failed to add an item: ",
    prepare=_check_batch,
    reply={
        "qsize": Key(COUNT_OR_NULL, Present(lambda state: len(state.queue)), "length of the queue now"),
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
        raise prepared
    stored, results = prepared
    failed = len(items) - len(stored)
    if failed:
        raise _batch_refused(failed, items, [echoed(item) for item in items], results)
    try:
        rules.add(step, stored, pos, before_uid, after_uid)
    except QueueServerError as err:
        results = [_failed_result(err, index, "Failed to add item to queue: ") for index in range(len(items))]
        raise _batch_refused(len(items), items, stored, results) from err
    return {"qsize": len(step.state.queue), "items": stored, "results": results}


def _batch_refused(failed: int, items: list, shown: Any, results: list) -> QueueServerError:
    first = next(result["error"] for result in results if not result["success"])
    error = RequestError(
        f"Failed to add all items: validation of {failed} out of {len(items)} submitted items failed",
        code="batch_refused",
        hint=f"Nothing was added. See 'results' of each item; the first one: {first['hint']}",
        path=first["path"],
        items=shown,
        results=results,
    )
    error.prefix = ""
    return error


@write(scope=_EDIT, lock="queue", prefix="Failed to remove a batch of items: ", reply=_MOVED)
def queue_item_remove_batch(
    step: Step, *, uids: list, ignore_missing: bool = True, lock_key: str | None = None
) -> dict[str, Any]:
    """Take several items out of the queue.

    Parameters
    ----------
    uids
        Which items.
    ignore_missing
        Whether uids that are missing or repeated are passed over; else nothing is removed.
    lock_key
        Key of the lock, if the queue is locked.
    """
    items = rules.remove_batch(step, uids, ignore_missing=bool(ignore_missing))
    return {"items": items, "qsize": len(step.state.queue)}


@write(scope=_EDIT, lock="queue", prefix="Failed to move the batch of items: ", reply=_MOVED)
def queue_item_move_batch(
    step: Step,
    *,
    uids: list,
    pos_dest: int | str | None = None,
    before_uid: str | None = None,
    after_uid: str | None = None,
    reorder: bool = False,
    lock_key: str | None = None,
) -> dict[str, Any]:
    """Move several items, as one block.

    Parameters
    ----------
    uids
        Which items.
    pos_dest
        ``front``, ``back``, or the index that the first of them gets.
    before_uid, after_uid
        Place beside a queued item that is not moved, instead of ``pos_dest``.
    reorder
        Whether they stay in the order of the queue; else they take that of ``uids``.
    lock_key
        Key of the lock, if the queue is locked.
    """
    items = rules.move_batch(step, uids, pos_dest, before_uid, after_uid, reorder=bool(reorder))
    return {"items": items, "qsize": len(step.state.queue)}
