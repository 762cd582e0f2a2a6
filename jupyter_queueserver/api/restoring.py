"""Putting the items of a backup into a server that runs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal

import msgspec

from ..core.catalogue import Catalogue
from ..core.errors import RequestError
from ..core.items import Item
from ..core.rules import restore as rules
from ..core.rules.submission import item_shape
from ..core.state import QueueMode
from .registry import Key, Step, write
from .schemas import COUNT_OR_NULL, UID_OR_NULL

_UIDS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}


class _Sent(msgspec.Struct):
    """What was sent, as items."""

    items: list[Item]
    history: list[Item]
    running: Item | None
    mode: QueueMode | None


def _check_restore(
    catalogue: Catalogue, new_uid: Callable[[], str], *, items: Any, history: Any, running: Any, mode: Any, **_: Any
) -> Generator[None, None, _Sent]:
    made: dict[str, list[Item]] = {}
    for name, sent in (("items", items), ("history", [] if history is None else history)):
        if not isinstance(sent, list):
            raise _wrong(f"Parameter '{name}' must be a list: {type(sent).__name__}", name)
        made[name] = []
        for index, item in enumerate(sent):
            made[name].append(_item(item, f"{name}[{index}]"))
            yield
    return _Sent(made["items"], made["history"], None if running is None else _item(running, "running"), _mode(mode))


def _item(item: Any, path: str) -> Item:
    fields = item_shape(item)
    for key in ("item_uid", "name"):
        if not isinstance(fields.get(key), str):
            raise _wrong(f"'{key}' of an item must be a text", f"{path}.{key}")
    try:
        return Item(fields)
    except (TypeError, ValueError, RecursionError) as err:
        raise _wrong(str(err), path) from err


def _mode(mode: Any) -> QueueMode | None:
    try:
        return msgspec.convert(mode, QueueMode | None)
    except msgspec.ValidationError as err:
        raise _wrong(f"'mode' cannot be read: {err}", "mode") from err


def _wrong(text: str, path: str) -> RequestError:
    return RequestError(
        text, code="item_format", hint="Send what queue_get and history_get gave, or use `qserver restore FILE`.", path=path
    )


@write(
    scope="write:queue:control",
    lock="queue",
    access="execute",
    prefix="Failed to restore: ",
    ours=True,
    prepare=_check_restore,
    fetch="history_uids",
    reply={
        "restored_items": Key(COUNT_OR_NULL, None, "how many were put into the queue"),
        "restored_entries": Key(COUNT_OR_NULL, None, "how many were put into the history"),
        "left_out": Key(COUNT_OR_NULL, None, "how many were not, because their uid is in queue or history already"),
        "left_out_uids": Key(_UIDS, [], "uids of the first of them"),
        "returned": Key(UID_OR_NULL, None, "uid of the item that was running, which stands at the front with a mark"),
    },
)
def queue_restore(
    step: Step,
    *,
    items: list,
    history: list | None = None,
    running: dict | None = None,
    mode: dict | None = None,
    how: Literal["empty", "replace", "append"] = "empty",
    lock_key: str | None = None,
    prepared: _Sent,
    fetched: rules.KnownEntries | None = None,
) -> dict[str, Any]:
    """Put the items of a backup into queue and history, all or none; nothing starts by itself afterwards (autostart is off).

    The items keep their uids and are not checked against the present plans: the worker does that before each starts.

    Parameters
    ----------
    items
        Of the queue, front first, as ``queue_get`` gave them.
    history
        Oldest first, as ``history_get`` gave them; None: none.
    running
        The item that was running then; it is put to the front with the mark ``returned``.
    mode
        Queue mode to set; None: it stays.
    how
        ``empty``: refuse if there are items in queue or history (``not_empty``); ``replace``: drop those; ``append``: put the
        new ones behind those, without those whose uid is there already.
    lock_key
        Key of the lock, if the queue is locked.
    """
    rules.require_restorable(step.state, how)
    known = rules.known_uids(step.state, how, fetched)
    rules.clear_for(step, how)
    done = rules.Restored()
    rules.set_mode(step, prepared.mode)
    rules.append_entries(step, prepared.history, known.__contains__, done)
    rules.append_items(step, prepared.items, known.__contains__, done)
    rules.return_running(step, prepared.running, known.__contains__, done)
    return {
        "restored_items": done.queue,
        "restored_entries": done.history,
        "left_out": done.left_out,
        "left_out_uids": done.left_out_uids,
        "returned": done.returned,
    }
