"""The route that takes a spreadsheet and adds its plans to the queue, all or none.

It unpacks the form and speaks for the user who is logged in; what is in the file is read by `sheets`, and whether the plans may
be added is for the manager to say.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from tornado import web
from tornado.httputil import HTTPFile, HTTPInputError, parse_body_arguments

from ..api import methods
from ..api.http_form import ID_HEADER
from ..api.http_routes import OPERATIONS
from .bodies import Submitter, header_id, make_request
from .collecting import CollectingHandler
from .identity import UserGroups, login_name, user_name
from .paths import API_PREFIX, Route
from .refusals import Refusal
from .requests import Requests
from .sheet_items import Items, SheetError
from .sheets import read_items
from .strict import strict

_OPERATION = OPERATIONS["queue_upload_spreadsheet"]
_HINT = (
    "First row: headings. First column: name of the plan; second: positional arguments with commas between them; the others: one"
    " argument each, named by the heading. Texts, such as names of devices, stand in quotes."
)


class SpreadsheetHandler(CollectingHandler):
    """``/queue/upload/spreadsheet``: a form with the file ``spreadsheet`` and, if wished, the text ``data_type``."""

    scope = _OPERATION.scope

    def initialize(self, requests: Requests, user_groups: UserGroups, turn: asyncio.Lock) -> None:
        """Take the way to the manager, the groups of users, and a lock: one file at a time is read."""
        self._requests = requests
        self._user_groups = user_groups
        self._turn = turn

    @web.authenticated
    async def post(self) -> None:
        """Add the plans."""
        await self.allow(_OPERATION.access or "write")
        sent = _file_of(self.request.headers.get("Content-Type", ""), self.body())
        try:
            async with self._turn:
                found = await asyncio.to_thread(read_items, sent.filename, bytes(sent.body))
        except SheetError as err:
            await self.finish(msgspec.json.encode(_refusal(sent.filename, err)))
            return
        await self.finish(await self._add(found))

    async def _add(self, found: Items) -> bytes:
        """Add the plans and return the manager's reply; in a refusal also which rows they come from."""
        name = login_name(self.identity_provider, self.current_user)
        submitter = Submitter(user_name(self.identity_provider, self.current_user), self._user_groups.of(name))
        body = msgspec.json.encode({"items": found.items})
        request_id = header_id(self.request.headers.get(ID_HEADER))
        request = make_request(methods()["queue_item_add_batch"], body, submitter, request_id=request_id)
        reply = strict(await self._requests.send(request, repeatable=request_id is not None, is_wish=True))
        decoded = msgspec.json.decode(reply, type=dict[str, msgspec.Raw])
        if bytes(decoded.get("success", msgspec.Raw(b"true"))) == b"true":
            return reply
        return msgspec.json.encode(decoded | {"rows": msgspec.Raw(msgspec.json.encode(found.rows))})


def _file_of(content_type: str, body: bytes) -> HTTPFile:
    """Return the file of a form; raises `Refusal` (422)."""
    arguments: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    if not content_type.lower().startswith("multipart/form-data"):
        raise _no_file("The body of the request is no form of the type multipart/form-data")
    try:
        parse_body_arguments(content_type, body, arguments, files)
    except (HTTPInputError, ValueError) as err:
        raise _no_file(f"The form cannot be read: {err}") from err
    sent = files.get("spreadsheet", [])
    if not sent:
        raise _no_file("Field required: there is no file in it" if "spreadsheet" in arguments else "Field required")
    return sent[0]


def _no_file(text: str) -> Refusal:
    return Refusal(
        422,
        [{"type": "missing", "loc": ["body", "spreadsheet"], "msg": text, "input": None}],
        code="malformed_body",
        hint="Send a form (multipart/form-data) with a file in the field 'spreadsheet', as of `curl -F spreadsheet=@plans.xlsx`.",
        path="spreadsheet",
    )


def _refusal(file_name: str, error: SheetError) -> dict[str, Any]:
    return {
        "success": False,
        "msg": f"Failed to convert the spreadsheet '{file_name:.80}': {error}",
        "items": [],
        "results": [],
        "error": {"code": "spreadsheet_invalid", "hint": _HINT, "path": ", ".join(error.cells)},
    }


def spreadsheet_routes(requests: Requests, user_groups: UserGroups) -> list[Route]:
    """Return paths, handlers and their arguments."""
    given = {"requests": requests, "user_groups": user_groups, "turn": asyncio.Lock()}
    return [(f"{API_PREFIX}{_OPERATION.path}", SpreadsheetHandler, given)]
