"""The one tree of refusals: every one has a stable code, a sentence and a hint.

Branches say who can mend it: the caller by another request (`RequestError`), the caller by waiting or by another method
first (`StateError`), or the people who run the server (`ServiceError`).  Nothing here knows how a refusal is transported.
"""

from __future__ import annotations

from typing import Any


def shortened(value: Any, limit: int = 400) -> str:
    """Return a value as it stands in a sentence, of bounded length."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


class QueueServerError(Exception):
    """A request that was refused; nothing changed.

    Parameters
    ----------
    msg
        The sentence for the user, in the wording that existing clients know.
    code
        Stable identifier, ``snake_case``.
    hint
        What to do about it, one sentence.
    path
        Where in the request the fault is, e.g. ``"item.kwargs.num"``; empty if it is not about one place.
    """

    code = "refused"
    hint = "Read the message, correct the request and send it again."
    http_status = 200
    #: put before the text in place of the method's own prefix; None: the method's own
    prefix: str | None = None

    def __init__(self, msg: str, *, code: str | None = None, hint: str | None = None, path: str = "", **data: Any) -> None:
        super().__init__(msg)
        self.msg = msg
        self.code = code or type(self).code
        self.hint = hint or type(self).hint
        self.path = path
        self.data = data

    def to_wire(self) -> dict[str, str]:
        """Return the extra key ``error`` of a refusing reply."""
        return {"code": self.code, "hint": self.hint, "path": self.path}


class RequestError(QueueServerError):
    """The request itself is wrong; sent again unchanged it would be refused again."""

    code = "bad_request"


class MalformedRequest(RequestError):
    """The envelope cannot be understood (undecodable, no method, unknown keys)."""

    code = "malformed_request"
    hint = 'Send one JSON object of the form {"method": "...", "params": {...}}.'
    http_status = 400


class UnknownMethod(RequestError):
    """There is no such method."""

    code = "unknown_method"
    hint = "Ask for the list of methods in the reference, or check the spelling."
    http_status = 404


class UnsupportedParameters(RequestError):
    """The method does not have a parameter of that name."""

    code = "unsupported_parameters"
    hint = "Remove the unknown parameters or check their spelling."
    http_status = 400


class TooLarge(RequestError):
    """The request is bigger than the server reads."""

    code = "too_large"
    hint = "Split the batch into several requests."
    http_status = 413


class ReplyTooLarge(RequestError):
    """The reply would be bigger than the server sends."""

    code = "reply_too_large"
    hint = "Ask for a part at a time: with 'limit', and 'before_uid' for the part before it."


class ItemInvalid(RequestError):
    """A plan or instruction does not fit what the environment offers."""

    code = "item_invalid"
    hint = "Compare the item with the plan's description (method plans_allowed)."


class NotInQueue(RequestError):
    """A position or uid does not name a queued item."""

    code = "not_in_queue"
    hint = "Read the queue again (method queue_get): it may have changed meanwhile."


class NotInHistory(RequestError):
    """A uid does not name an entry of the history."""

    code = "not_in_history"
    hint = "Read the history again from its newest entries (method history_get): it may have been trimmed."


class PermissionsInvalid(RequestError):
    """User group permissions that cannot be used as they are."""

    code = "permissions_invalid"
    hint = "Correct the named entry; nothing was changed."


class StateError(QueueServerError):
    """Right request, wrong moment."""

    code = "wrong_state"
    hint = "Look at the status (method status) and repeat the request when the state allows it."


class WorkerRefused(StateError):
    """The worker did not take what it was asked to do."""

    code = "worker_refused"
    hint = "The message is the worker's own; look at the console output for more."


class ServiceError(QueueServerError):
    """The server cannot do it now; who runs it has to look."""

    code = "service_error"
    hint = "Look at the manager's log; the request may be repeated."
    http_status = 503


class StoreUnavailable(ServiceError):
    """The store did not take the change; nothing changed."""

    code = "store_unavailable"
    hint = "Nothing was changed. Check disk space and permissions of the data directory, then repeat."
