"""The history: what ended, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..changes import HistoryTrimmed
from ..decision import Step
from ..errors import NotInHistory, RequestError
from ..items import Item
from ..sequence import ItemSequence
from .positions import is_index


def page(history: ItemSequence, limit: Any, before_uid: Any) -> Sequence[Item]:
    """Return the newest entries, at most `limit`, all older than the one named by `before_uid`; None: no bound."""
    if limit is not None and (not is_index(limit) or limit < 0):
        raise _wrong_type("limit", "an integer that is not negative", limit)
    if before_uid is not None and not isinstance(before_uid, str):
        raise _wrong_type("before_uid", "a string", before_uid)
    if before_uid is not None and before_uid not in history:
        raise NotInHistory(f"The history has no entry with the UID '{before_uid}'", path="before_uid")
    stop = len(history) if before_uid is None else history.index(before_uid)
    return history.between(0 if limit is None else max(0, stop - limit), stop)


def clear(step: Step, size: Any, item_uid: Any) -> None:
    """Drop old entries: all of them, all but the newest `size`, or everything up to `item_uid`."""
    history = step.state.history
    if size is not None and item_uid is not None:
        raise RequestError(
            "Parameters 'size' and 'item_uid' are mutually exclusive.",
            code="ambiguous_parameters",
            hint="Give one of them or none.",
            path="size",
        )
    if size is not None and not is_index(size):
        raise _wrong_type("size", "an integer", size)
    if item_uid is not None and not isinstance(item_uid, str):
        raise _wrong_type("item_uid", "a string", item_uid)
    if size is None and item_uid is None:
        step.emit(HistoryTrimmed(count=len(history)))
    elif size is not None:
        surplus = len(history) - max(size, 0)
        if surplus > 0:
            step.emit(HistoryTrimmed(count=surplus))
    elif item_uid is not None and item_uid in history:
        step.emit(HistoryTrimmed(count=history.index(item_uid) + 1))


def _wrong_type(name: str, kind: str, value: Any) -> RequestError:
    return RequestError(
        f"The '{name}' parameter must be {kind}: {name}={value!r} ({type(value).__name__})",
        code="wrong_type",
        hint=f"Send {kind}.",
        path=name,
    )
