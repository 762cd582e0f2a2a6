"""What can go wrong between a client and the manager.

These are errors of the client's side; refusals of the manager arrive as `RequestFailed` with the manager's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Base of all errors that a client raises."""


class SettingsError(ClientError):
    """An address, key or encoding that cannot be used; nothing was sent."""


class CommunicationError(ClientError):
    """The manager's answer cannot be read: usually another encoding, or something else listens at that address."""


class RequestTimeout(CommunicationError, TimeoutError):
    """No answer in time.  The manager may or may not have done what was asked.

    Attributes
    ----------
    request_id
        Repeated with this ``request_id`` within 10 minutes, the request is not done twice; None: it had none.
    """

    request_id: str | None = None


class EventsUnavailable(ClientError):
    """The address of the event stream is not known."""


class RequestFailed(ClientError):
    """The manager refused.

    Attributes
    ----------
    reply
        The whole refusing reply.
    msg
        The manager's sentence; may be empty.
    code
        Stable code of the refusal; empty if the manager gave none.
    hint
        What to do; empty if the manager gave none.
    path
        Which parameter is meant, e.g. ``items[2].kwargs.num``; empty if none.
    """

    def __init__(self, reply: Mapping[str, Any]) -> None:
        error = reply.get("error")
        details: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
        self.reply = reply
        self.msg = str(reply.get("msg") or "")
        self.code = str(details.get("code", ""))
        self.hint = str(details.get("hint", ""))
        self.path = str(details.get("path", ""))
        hint = f" {self.hint}" if self.hint else ""
        super().__init__(f"Request failed: {self.msg or '(no error message)'}{hint}")

    def __reduce__(self) -> tuple[type[RequestFailed], tuple[Mapping[str, Any]]]:
        return type(self), (self.reply,)
