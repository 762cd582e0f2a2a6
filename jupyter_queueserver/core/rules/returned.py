"""Items that came back to the queue: who confirms that they may run again, and the refusal to start before that.

Whether a confirmation is needed is a setting; confirming is possible in any case.  Nothing here starts the queue.
"""

from __future__ import annotations

from typing import Any

from ..changes import QueueReplaced
from ..decision import Step
from ..endings import RETURNED
from ..errors import NotInQueue, RequestError, StateError
from ..items import Item
from ..state import State

#: Most items that a refusal names.
_NAMED = 5


def unconfirmed(state: State) -> list[Item]:
    """Queued items that came back and that nobody has confirmed yet, front first."""
    return [item for item in state.queue if item.is_unconfirmed] if state.queue.unconfirmed else []


def require_confirmed(step: Step, *, confirm: Any = False) -> None:
    """Raise if an item came back to the queue and nobody has confirmed it, as far as the setting wants that.

    Parameters
    ----------
    confirm
        True: whoever asks confirms all of them by this.
    """
    if not isinstance(confirm, bool):
        raise RequestError(
            f"The 'confirm_returned' parameter must be a boolean: confirm_returned = {confirm!r}",
            code="wrong_type",
            hint="Send true or false.",
            path="confirm_returned",
        )
    if confirm:
        _confirm(step, unconfirmed(step.state))
    elif step.config.confirm_returned and (waiting := unconfirmed(step.state)):
        raise StateError(
            f"{_count(waiting)} came back to the queue and must be confirmed before the queue starts: {_named(waiting)}",
            code="confirmation_needed",
            hint="Look at the reasons; then confirm each item (method queue_item_confirm), start with 'confirm_returned' set to "
            "true to confirm all, or remove the items.",
        )


def confirm_items(step: Step, uid: Any, uids: Any) -> list[Item]:
    """Confirm one item or several; returns them as they are now.  One that did not come back stays as it is."""
    wanted = _wanted(uid, uids)
    missing = [uid for uid in wanted if not isinstance(uid, str) or uid not in step.state.queue]
    if missing:
        raise NotInQueue(
            f"The queue does not contain items with the following UIDs: {missing[:_NAMED]}",
            path="uid" if uids is None else "uids",
        )
    once = list(dict.fromkeys(wanted))
    _confirm(step, [item for item in map(step.state.queue.get, once) if item is not None and item.is_unconfirmed])
    return [item for item in map(step.state.queue.get, once) if item is not None]


def _wanted(uid: Any, uids: Any) -> list[Any]:
    if (uid is None) == (uids is None):
        raise RequestError(
            "Request must name one item in 'uid', or several in 'uids'",
            code="item_format",
            hint="Send one of the two.",
            path="uid",
        )
    if uids is None:
        return [uid]
    if not isinstance(uids, list):
        raise RequestError(
            f"Parameter 'uids' must be a list: type(uids) = {type(uids).__name__}",
            code="wrong_type",
            hint="Send a list of UIDs.",
            path="uids",
        )
    return uids


def _confirm(step: Step, items: list[Item]) -> None:
    for item in items:
        mark = item.fields[RETURNED] | {"confirmed": True}
        step.emit(QueueReplaced(uid=item.item_uid, item=item.replaced(**{RETURNED: mark})))


def _count(items: list[Item]) -> str:
    return "1 item" if len(items) == 1 else f"{len(items)} items"


def _named(items: list[Item]) -> str:
    texts = [f"'{item.name}' ({item.item_uid}): {item.fields[RETURNED].get('reason', '')}" for item in items[:_NAMED]]
    return "; ".join(texts) + ("; ..." if len(items) > _NAMED else "")
