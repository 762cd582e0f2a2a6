"""The routes of the HTTP interface that are no methods of the manager: console output, accounts, its own description.

Declarations only; who serves them is the gateway's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .registry import Access
from .schemas import ITEMS

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_NUMBER = {"type": "number"}


@dataclass(frozen=True)
class Operation:
    """A route.

    Attributes
    ----------
    name
        Stable name, as that of a method.
    path
        Below the prefix of the interface; ``{name}`` stands for a part of the path.
    scope, access
        As of a method; empty and None: asked by anybody.
    reply
        JSON Schema of a 200; None: it always refuses.
    media
        Content type of a 200; empty: a websocket.
    body, body_media
        JSON Schema of the body, None if there is none; its content type.
    needs_body
        Whether a body has to be sent.
    query
        Parameters of the query: name -> JSON Schema.
    statuses
        Further statuses that it may answer with.
    is_public
        Whether also somebody without credentials is answered.
    """

    name: str
    verb: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    scope: str = ""
    access: Access | None = None
    reply: Mapping[str, Any] | None = None
    media: str = "application/json"
    body: Mapping[str, Any] | None = None
    body_media: str = "application/json"
    needs_body: bool = False
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    statuses: tuple[int, ...] = ()
    is_public: bool = False


def _object(**keys: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(keys), "properties": keys}


def _body(**keys: Any) -> dict[str, Any]:
    return {"type": "object", "properties": keys}


def _answer(**keys: Any) -> dict[str, Any]:
    made = _object(success={"type": "boolean"}, msg=_TEXT, **keys)
    made["properties"]["error"] = {"$ref": "#/components/schemas/Error"}
    return made


KEY_DATA = _object(
    first_eight={**_TEXT, "description": "the first characters of the key"},
    expiration_time={"type": "null"},
    note=_TEXT_OR_NULL,
    scopes=_TEXTS,
    latest_activity={"type": "null"},
)
PRINCIPAL = _object(
    uuid={**_TEXT, "format": "uuid"},
    type={"enum": ["user"]},
    identities={"type": "array", "items": _object(id=_TEXT, provider=_TEXT, latest_login=_TEXT_OR_NULL)},
    api_keys={"type": "array", "items": KEY_DATA},
    sessions={"type": "array", "maxItems": 0},
    latest_activity=_TEXT_OR_NULL,
    roles=_TEXTS,
    scopes=_TEXTS,
    api_key_scopes={"type": ["array", "null"], "items": _TEXT},
)
#: Longest time that `test_server_sleep` sleeps, in seconds.
LONGEST_SLEEP = 60.0
_MESSAGE = _object(time=_NUMBER, msg=_TEXT)
_CONSOLE: dict[str, Any] = {"scope": "read:console", "access": "read"}
_MONITOR: dict[str, Any] = {"scope": "read:monitor", "access": "read"}
_SOCKET: dict[str, Any] = {"media": "", "statuses": (403, 404)}

_CONSOLE_ROUTES = (
    Operation(
        "console_output",
        "GET",
        "/console_output",
        "Return the last lines of the console output as one text.",
        reply=_answer(text=_TEXT),
        body=_body(nlines={**_NUMBER, "default": 200, "description": "at most 2000; 0 or less: an empty text"}),
        **_CONSOLE,
    ),
    Operation(
        "console_output_uid",
        "GET",
        "/console_output/uid",
        "Return a uid that changes with the console output.",
        reply=_answer(console_output_uid=_TEXT),
        **_CONSOLE,
    ),
    Operation(
        "console_output_update",
        "GET",
        "/console_output_update",
        "Return the console output since a message.",
        reply=_answer(last_msg_uid=_TEXT, console_output_msgs={"type": "array", "items": _MESSAGE}),
        body={
            **_object(last_msg_uid={"description": "uid of the last answer; `ALL`: all that is kept; unknown: nothing"}),
            "additionalProperties": False,
        },
        needs_body=True,
        **_CONSOLE,
    ),
    Operation(
        "stream_console_output",
        "GET",
        "/stream_console_output",
        "Send the console output as it comes, as JSON objects back to back, without end.",
        reply=_TEXT,
        media="text/plain",
        **_CONSOLE,
    ),
)
_SOCKETS = (
    Operation("console_output_socket", "GET", "/console_output/ws", "Websocket: console output.", **_CONSOLE, **_SOCKET),
    Operation("status_socket", "GET", "/status/ws", "Websocket: the status at each change.", **_MONITOR, **_SOCKET),
    Operation("info_socket", "GET", "/info/ws", "Websocket: the same as `/status/ws`.", **_MONITOR, **_SOCKET),
    Operation(
        "events",
        "GET",
        "/events",
        "Websocket: the event stream, numbered changes behind a snapshot.",
        scope="read:monitor",
        access="read",
        query={
            "topics": {**_TEXT, "description": "any of state, console, documents, with commas between"},
            "epoch": _TEXT,
            "since": {"type": "integer", "minimum": 0},
            "console": {"type": "integer", "minimum": 0},
            "history": {"type": "integer", "minimum": 0},
        },
        **_SOCKET,
    ),
)
_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_OTHERS = (
    Operation(
        "queue_upload_spreadsheet",
        "POST",
        "/queue/upload/spreadsheet",
        "Add the plans of a spreadsheet to the back of the queue, all or none.",
        scope="write:queue:edit",
        access="write",
        reply=_answer(items=ITEMS, results=ITEMS),
        body={**_body(spreadsheet=_FILE, data_type=_TEXT), "required": ["spreadsheet"], "additionalProperties": False},
        body_media="multipart/form-data",
        needs_body=True,
        statuses=(413,),
    ),
    Operation(
        "test_server_sleep",
        "GET",
        "/test/server/sleep",
        "Answer after some time: for tests of clients.",
        scope="read:testing",
        access="read",
        reply=_answer(),
        body={
            "type": "object",
            "required": ["time"],
            "properties": {"time": {**_NUMBER, "minimum": 0, "maximum": LONGEST_SLEEP, "description": "seconds"}},
        },
        needs_body=True,
    ),
    Operation(
        "openapi",
        "GET",
        "/openapi.json",
        "Return this description of the interface.",
        scope="read:status",
        access="read",
        reply={"type": "object"},
    ),
)
_FORM = {**_body(username=_TEXT, password=_TEXT), "required": ["username", "password"]}
_NEW_KEY = _body(expires_in={"type": ["integer", "null"]}, scopes=_TEXTS, note=_TEXT_OR_NULL)
_KEYS: dict[str, Any] = {"scope": "user:apikeys"}
_REFRESH = _body(refresh_token=_TEXT)
_ACCOUNTS = (
    Operation("auth_whoami", "GET", "/auth/whoami", "Describe who is logged in.", reply=PRINCIPAL),
    Operation(
        "auth_scopes",
        "GET",
        "/auth/scopes",
        "Return roles and scopes of these credentials; both empty without any.",
        reply=_object(roles=_TEXTS, scopes=_TEXTS),
        is_public=True,
    ),
    Operation(
        "auth_logout",
        "POST",
        "/auth/logout",
        "Delete the login cookie.",
        reply={"type": "object", "maxProperties": 0},
        is_public=True,
    ),
    Operation("auth_apikey", "GET", "/auth/apikey", "Describe the key of this request.", reply=KEY_DATA),
    Operation("auth_apikey_new", "POST", "/auth/apikey", "Refused: keys are those of Jupyter.", body=_NEW_KEY, **_KEYS),
    Operation(
        "auth_apikey_delete",
        "DELETE",
        "/auth/apikey",
        "Refused: keys are those of Jupyter.",
        query={"first_eight": _TEXT},
        **_KEYS,
    ),
    Operation(
        "auth_token",
        "POST",
        "/auth/provider/{provider}/token",
        "Refused: there is no login with a password for programs.",
        body=_FORM,
        body_media="application/x-www-form-urlencoded",
        statuses=(404,),
        is_public=True,
    ),
    Operation("auth_code", "GET", "/auth/provider/{provider}/code", "Refused: Jupyter's own login is used.", statuses=(404,)),
    Operation(
        "auth_code_post",
        "POST",
        "/auth/provider/{provider}/code",
        "Refused: Jupyter's own login is used.",
        statuses=(404,),
        is_public=True,
    ),
    Operation("auth_login", "GET", "/auth/provider/{provider}/login", "Refused: Jupyter's own login is used.", statuses=(404,)),
    Operation(
        "auth_session_refresh",
        "POST",
        "/auth/session/refresh",
        "Refused: Jupyter's tokens need no refresh.",
        body=_REFRESH,
        is_public=True,
    ),
    Operation(
        "auth_session_revoke",
        "DELETE",
        "/auth/session/revoke/{session_uid}",
        "Refused: there are no sessions.",
        statuses=(404,),
        is_public=True,
    ),
    Operation("auth_principals", "GET", "/auth/principal", "Refused: users are kept elsewhere.", scope="admin:read:principals"),
    Operation(
        "auth_principal",
        "GET",
        "/auth/principal/{uuid}",
        "Refused: users are kept elsewhere.",
        scope="admin:read:principals",
    ),
    Operation(
        "auth_principal_apikey",
        "POST",
        "/auth/principal/{uuid}/apikey",
        "Refused: keys are those of Jupyter.",
        scope="admin:apikeys",
        body=_NEW_KEY,
    ),
)


def _by_name(operations: Iterable[Operation]) -> dict[str, Operation]:
    return {operation.name: operation for operation in operations}


#: name -> route
OPERATIONS: Mapping[str, Operation] = _by_name((*_CONSOLE_ROUTES, *_SOCKETS, *_OTHERS, *_ACCOUNTS))
