"""The shared parts of the OpenAPI document: forms of refusals, and the ways to say who you are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.requests import ID_LIMIT
from .http_form import ID_HEADER
from .registry import REQUEST_ID
from .status_schema import STATUS

ERROR: dict[str, Any] = {
    "type": "object",
    "description": "only in a refusal",
    "required": ["code", "hint", "path"],
    "properties": {
        "code": {"type": "string", "description": "stable name of the reason"},
        "hint": {"type": "string", "description": "what to do"},
        "path": {"type": "string", "description": "which parameter is meant; empty: none"},
    },
}
_FAULT = {
    "type": "object",
    "required": ["type", "loc", "msg", "input"],
    "properties": {
        "type": {"type": "string"},
        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
        "msg": {"type": "string"},
    },
}


class Failure(NamedTuple):
    """A 4xx: its name in the document, what it means, and the schema of its body."""

    name: str
    text: str
    schema: str = "Detail"


#: status -> failure
FAILURES: Mapping[int, Failure] = {
    400: Failure("BadRequest", "unknown keys, wrong types, or a header `Authorization` of another form"),
    401: Failure("Unauthorized", "no credentials, a wrong key, or insufficient permissions"),
    403: Failure("Forbidden", "a browser without the XSRF token, or with insufficient permissions"),
    404: Failure("NotFound", "there is nothing of that name"),
    408: Failure("Timeout", "the manager did not answer"),
    413: Failure("TooLarge", "the body is too large"),
    422: Failure("Invalid", "the body is missing, is no JSON object, or says that it is something else", "Faults"),
}


def components() -> dict[str, Any]:
    """Return the components of the document."""
    return {
        "schemas": {
            "Error": ERROR,
            "Status": STATUS,
            "Detail": _refusal({"type": "string", "description": "what is wrong"}),
            "Faults": _refusal({"type": "array", "items": _FAULT}),
        },
        "responses": {failure.name: _response(status, failure) for status, failure in FAILURES.items()},
        "parameters": {
            "RequestId": {
                "name": ID_HEADER,
                "in": "header",
                "description": f"the same as the key `{REQUEST_ID.name}` of the body: {REQUEST_ID.doc}",
                "schema": {"type": "string", "minLength": 1, "maxLength": ID_LIMIT},
            },
        },
        "securitySchemes": _security(),
    }


def _refusal(detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["detail", "error"],
        "properties": {"detail": detail, "error": {"$ref": "#/components/schemas/Error"}},
    }


def _response(status: int, failure: Failure) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": failure.text,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{failure.schema}"}}},
    }
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "the scope that is wanted"}}
    return response


def _security() -> dict[str, Any]:
    query = {"type": "apiKey", "in": "query"}
    return {
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`ApiKey <token>` or `token <token>`, with a token of the Jupyter server",
        },
        "bearer": {"type": "http", "scheme": "bearer"},
        "keyInQuery": {**query, "name": "api_key", "description": "it is then in the history of a browser"},
        "tokenInQuery": {**query, "name": "token"},
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "_xsrf",
            "description": "the browser's login cookie; with verbs other than GET the value of `_xsrf` is repeated in the"
            " header `X-XSRFToken`",
        },
    }
