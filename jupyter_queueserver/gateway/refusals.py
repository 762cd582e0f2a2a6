"""Refusals of the HTTP layer: one form for every 4xx, readable by old clients (``detail``) and new ones (``error``).

Refusals of the manager are not made here; they pass through unchanged with status 200.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import responses
from typing import Any

from tornado.web import HTTPError

from .strict import path_text

#: What is said of a status that Jupyter or tornado raised: code and hint.
_FOREIGN = {
    400: ("bad_request", "Read the message, correct the request and send it again."),
    403: (
        "forbidden",
        "Send the header 'Authorization: ApiKey <token>' instead of a cookie, or with the cookie also its XSRF token in the"
        " header 'X-XSRFToken'.",
    ),
    404: ("not_found", "Compare the path with the list of routes in openapi.json."),
    405: ("wrong_verb", "Compare the verb with the list of routes in openapi.json."),
    413: ("too_large", "Split the batch into several requests."),
}
_FALLBACK = ("http_error", "Look at the log of the Jupyter server.")


class Refusal(HTTPError):
    """A request that the gateway itself refuses.

    Parameters
    ----------
    status
        HTTP status.
    detail
        Sentence for the user, or the list of faults that the interface wants with 422.
    code, hint, path
        As in `jupyter_queueserver.core.errors.QueueServerError`.
    headers
        Of the reply.
    """

    def __init__(
        self,
        status: int,
        detail: str | list[dict[str, Any]],
        *,
        code: str,
        hint: str,
        path: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status)
        self.detail = detail
        self.error = {"code": code, "hint": hint, "path": path}
        self.headers = headers or {}


def refusal_body(status: int, error: BaseException | None) -> bytes:
    """Return the JSON body of an error reply; ``error`` is what was raised, None if unknown."""
    code, hint = _FOREIGN.get(status, _FALLBACK)
    detail: str | list[dict[str, Any]] = responses.get(status, "Unknown error")
    if isinstance(error, Refusal):
        return _encode(error.detail, error.error)
    if isinstance(error, HTTPError):
        if error.log_message and status != 405:
            detail = error.log_message % error.args if error.args else error.log_message
    elif status == 500:
        detail = "Internal Server Error"
    return _encode(detail, {"code": code, "hint": hint, "path": ""})


def _encode(detail: str | list[dict[str, Any]], error: dict[str, str]) -> bytes:
    return json.dumps({"detail": detail, "error": error}).encode()


def malformed_body(kind: str, place: list[str | int], text: str) -> Refusal:
    """Return the 422 for a body that is missing, is not JSON, or is no object."""
    return Refusal(
        422,
        [{"type": kind, "loc": place, "msg": text, "input": None}],
        code="malformed_body",
        hint="Send one JSON object in the body of the request, for every verb.",
        path="body",
    )


def not_finite(steps: list[str | int]) -> Refusal:
    """Return the 422 for NaN, Infinity or a number like them; ``steps`` are the keys and indexes that lead to it."""
    place = path_text(steps)
    return Refusal(
        422,
        [{"type": "finite_number", "loc": ["body", *steps], "msg": f"Input should be a finite number: {place}", "input": None}],
        code="malformed_body",
        hint="JSON has no NaN and no Infinity. Leave it out, or send null if the plan takes it; over 0MQ they may be sent.",
        path=place,
    )


def bad_key(text: str, path: str, *, code: str = "wrong_type", hint: str = "Correct or remove that key.") -> Refusal:
    """Return the 400 for a key of the body that is unknown or of the wrong type."""
    return Refusal(400, text, code=code, hint=hint, path=path)


def too_large(limit: int) -> Refusal:
    """Return the 413 for a body above the limit, in bytes."""
    return Refusal(
        413,
        f"The body of the request is larger than {limit} bytes.",
        code="too_large",
        hint="Split the batch into several requests.",
    )


def no_answer(seconds: float, reason: str) -> Refusal:
    """Return the 408 for a manager that is silent for some seconds; ``reason`` is what is known of it, or empty."""
    return Refusal(
        408,
        f"Request timeout: the manager did not answer within {seconds:.3g} s. {reason}".rstrip(),
        code="no_answer",
        hint="The request may or may not have been carried out: look at the status before you repeat it.",
    )


def unknown_route() -> Refusal:
    """Return the 404 for a path that leads nowhere."""
    code, hint = _FOREIGN[404]
    return Refusal(404, "Not Found", code=code, hint=hint)


def wrong_verb(allowed: str) -> Refusal:
    """Return the 405; ``allowed`` are the verbs of the route, with commas between."""
    code, hint = _FOREIGN[405]
    return Refusal(405, "Method Not Allowed", code=code, hint=hint, headers={"Allow": allowed})


def foreign_question(origin: str) -> Refusal:
    """Return the 400 for the question of a browser on behalf of a page of another server that is not allowed."""
    return Refusal(400, "Disallowed CORS origin", code="foreign_origin", hint=_origin_hint(origin))


def foreign_origin(origin: str) -> Refusal:
    """Return the 403 for a request of a page of another server that is not allowed."""
    text = f"Requests from pages of {_shown(origin)} (header 'Origin') are not allowed by this server"
    return Refusal(403, text, code="foreign_origin", hint=_origin_hint(origin))


def _origin_hint(origin: str) -> str:
    settings = "ServerApp.allow_origin or ServerApp.allow_origin_pat"
    return f"Pages of {_shown(origin)} may use this server only if its setting {settings} says so."


def _shown(origin: str) -> str:
    return repr(origin if len(origin) <= 100 else f"{origin[:97]}...")
