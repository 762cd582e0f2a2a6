"""The history."""

from __future__ import annotations

from typing import Any

from ..core.rules import history as rules
from ..core.status import part_uid
from .registry import Context, Key, State, Step, read, write
from .schemas import COUNT_OR_NULL, ITEMS, UID


@read(
    scope="read:history",
    words="history get",
    fetch="history_page",
    prefix="Error: ",
    reply={
        "items": Key(ITEMS, [], "ended items, oldest first"),
        "items_in_history": Key(COUNT_OR_NULL, None, "length of the whole history"),
        "plan_history_uid": Key(UID, ""),
    },
)
def history_get(
    state: State,
    context: Context,
    *,
    limit: int | None = None,
    before_uid: str | None = None,
    fetched: rules.Fetched | None = None,
) -> dict[str, Any]:
    """Return what ended, oldest first; all of it, or page by page from the newest entries back.

    Parameters
    ----------
    limit
        Most entries to return, the newest ones; None: all.
    before_uid
        Only entries older than the one with this ``item_uid``: the first one of the page before.
    """
    state, items = rules.page(state, limit, before_uid, fetched)
    return {
        "items": items,
        "items_in_history": state.history.size,
        "plan_history_uid": part_uid(context.epoch, "history", state.versions.history),
    }


@write(
    scope="write:history:edit",
    lock="queue",
    prefix="Error: ",
    words="history clear",
    shape="size_or_uid",
    fetch="history_number",
)
def history_clear(
    step: Step,
    *,
    size: int | None = None,
    item_uid: str | None = None,
    lock_key: str | None = None,
    fetched: int | None = None,
) -> dict[str, Any]:
    """Drop old entries of the history.

    Parameters
    ----------
    size
        How many of the newest stay; None: none.
    item_uid
        Drop this entry and all older ones, instead of ``size``.
    lock_key
        Key of the lock, if the queue is locked.
    """
    rules.clear(step, size, item_uid, fetched)
    return {}
