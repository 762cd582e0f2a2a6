"""The history: what ended, oldest first.

Rules name entries by their numbers.  A state holds the newest ones only; what is asked of older ones, the shell gets from the
store beforehand (`Fetched`, or the number of an entry).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..changes import HistoryTrimmed
from ..codec import JsonArray
from ..decision import Step
from ..errors import NotInHistory, RequestError, StoreUnavailable
from ..history import History
from ..state import State
from .positions import is_index


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for a page.

    Attributes
    ----------
    state
        The state for which it is the truth; the present one may be a newer one.
    number
        Of the entry that the page ends before; None: there is none of that uid, or none was named.
    texts
        The entries of the page that the state does not hold, oldest first.
    """

    state: State
    number: int | None = None
    texts: Sequence[bytes] = ()


def check_page(limit: Any, before_uid: Any) -> None:
    """Raise what is wrong with the parameters of a page, whatever the history is."""
    if limit is not None and (not is_index(limit) or limit < 0):
        raise _wrong_type("limit", "an integer that is not negative", limit)
    if before_uid is not None and not isinstance(before_uid, str):
        raise _wrong_type("before_uid", "a string", before_uid)


def span(history: History, limit: int | None, before_uid: str | None, number: int | None) -> range:
    """Return the numbers of the newest entries, at most `limit`, all older than `before_uid`, which has that number."""
    if before_uid is not None and (number is None or number < history.first):
        raise NotInHistory(f"The history has no entry with the UID '{before_uid}'", path="before_uid")
    stop = history.end if number is None else min(number, history.end)
    return range(history.first if limit is None else max(history.first, stop - limit), stop)


def page(state: State, limit: Any, before_uid: Any, fetched: Fetched | None) -> tuple[State, JsonArray]:
    """Return the entries of a page, and the state that they belong to."""
    check_page(limit, before_uid)
    if fetched is None:  # nobody to ask: it must be among the entries that are held
        fetched = Fetched(state=state, number=None if before_uid is None else state.history.number(before_uid))
    history = fetched.state.history
    wanted = span(history, limit, before_uid, fetched.number)
    held = history.between(wanted.start, wanted.stop)
    if len(fetched.texts) + len(held) != len(wanted):
        raise StoreUnavailable("Older entries of the history cannot be read now.")
    return fetched.state, JsonArray([*fetched.texts, *(item.text for item in held)])


def clear(step: Step, size: Any, item_uid: Any, number: int | None) -> None:
    """Drop old entries: all of them, all but the newest `size`, or everything up to `item_uid`.

    Parameters
    ----------
    number
        Of the entry `item_uid` as the store had it; None: it had none, or it was not asked.
    """
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
        step.emit(HistoryTrimmed(count=history.size))
        return
    if size is not None:
        surplus = history.size - max(size, 0)
    else:
        held = history.number(str(item_uid))
        last = number if held is None else held
        surplus = 0 if last is None else last + 1 - history.first  # below one if it was trimmed meanwhile
    if surplus > 0:
        step.emit(HistoryTrimmed(count=surplus))


def _wrong_type(name: str, kind: str, value: Any) -> RequestError:
    return RequestError(
        f"The '{name}' parameter must be {kind}: {name}={value!r} ({type(value).__name__})",
        code="wrong_type",
        hint=f"Send {kind}.",
        path=name,
    )
