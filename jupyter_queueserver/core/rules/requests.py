"""When a request with an id is recorded, when a retry is known by it, and when it is forgotten.

The record is a change like any other: it is committed together with what the request did, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..changes import RequestRecorded, RequestsForgotten
from ..decision import Step
from ..errors import RequestError, StateError
from ..limits import REQUEST_IDS_LIMIT, REQUEST_REPLIES_LIMIT
from ..requests import RequestKey, RequestRecord, packed
from ..state import State

#: Seconds for which a retry is known in any case.
PROMISED = 600.0
#: Seconds after which a record is given up.
KEPT = 900.0
#: Records that are given up in one decision at most, so that none takes long.
_AT_ONCE = 200


class RequestIdReused(RequestError):
    """Another request was done with this id."""

    code = "request_id_reused"
    hint = "Nothing was changed. Give each request an id of its own; repeat one with the same method, parameters and user."


class TooManyRequestIds(StateError):
    """There is no room for one record more."""

    code = "too_many_request_ids"
    hint = "Nothing was changed. Send the request without 'request_id', or wait: ids are forgotten after 15 minutes."


def is_recorded(state: State, key: RequestKey) -> bool:
    """Whether that request was done; raises `RequestIdReused` if another one was done with its id."""
    known = state.requests.get(key.request_id)
    if known is not None and known.digest != key.digest:
        raise reused(key)
    return known is not None


def reused(key: RequestKey) -> RequestIdReused:
    """What is answered when an id comes again with something else."""
    return RequestIdReused(f"Request id '{key.request_id}' was used for another request.", path="request_id")


def require_room(step: Step, *, young: int = 0) -> None:
    """Raise `TooManyRequestIds` unless one request more can be remembered; `young` as for `record`."""
    index = step.state.requests
    old = tuple(_outlived(step, young))
    reply_bytes = index.reply_bytes - sum(known.size for known in old)
    if len(index) - len(old) >= REQUEST_IDS_LIMIT or reply_bytes >= REQUEST_REPLIES_LIMIT:
        raise TooManyRequestIds(
            f"{len(index)} requests with an id were done in the last minutes, and their replies have {index.reply_bytes} bytes;"
            f" at most {REQUEST_IDS_LIMIT} requests and {REQUEST_REPLIES_LIMIT} bytes are remembered.",
            path="request_id",
        )


def record(step: Step, key: RequestKey, reply: bytes, *, young: int = 0) -> None:
    """Note that the request was done, and give up what is old.

    Parameters
    ----------
    reply
        JSON text of its reply.
    young
        How many of the newest records are not `PROMISED` seconds old by a clock that never jumps, as far as the shell knows:
        these are kept, whatever the clock says.
    """
    forget_outlived(step, young=young)
    kept = packed(reply)
    made = RequestRecord(request_id=key.request_id, digest=key.digest, time=step.now, size=len(kept))
    step.emit(RequestRecorded(record=made, reply=kept))


def _outlived(step: Step, young: int) -> Iterator[RequestRecord]:
    """Yield the oldest records that may go: after `KEPT`, or after `PROMISED` if there is no room otherwise."""
    index = step.state.requests
    count, reply_bytes = len(index), index.reply_bytes
    for place, known in enumerate(index):
        age = abs(step.now - known.time)  # a clock that was set back must not keep them for ever
        is_needed = count - place >= REQUEST_IDS_LIMIT or reply_bytes >= REQUEST_REPLIES_LIMIT
        if place >= min(_AT_ONCE, count - young) or age <= (PROMISED if is_needed else KEPT):
            return
        reply_bytes -= known.size
        yield known


def forget(step: Step, request_id: str) -> None:
    """Give one record up: the worker refused what had been accepted, so that a retry is judged anew."""
    if step.state.requests.get(request_id) is not None:
        step.emit(RequestsForgotten(request_ids=(request_id,)))


def forget_outlived(step: Step, *, young: int = 0) -> None:
    """Give up what is old, as much as one decision may; `young` as for `record`."""
    if old := tuple(known.request_id for known in _outlived(step, young)):
        step.emit(RequestsForgotten(request_ids=old))
