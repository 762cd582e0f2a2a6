"""The history: what ended, oldest first."""

from __future__ import annotations

from typing import Any

from ..changes import HistoryTrimmed
from ..decision import Step
from ..errors import RequestError
from .positions import is_index


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
