"""The REST routes: one for each method of the registry, and the few that are not methods.

Replies of the manager pass through as bytes.  Authentication and the XSRF check are Jupyter's own; the authorizer is asked for
``read``, ``write`` or ``execute`` on the resource ``queueserver``, as the method declares.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler
from tornado import web
from tornado.httputil import HTTPServerRequest

from .. import __version__
from ..api import Method
from ..core.errors import TooLarge
from ..core.limits import CONNECTION_LIMIT, check_size
from ..core.limits import REQUEST_LIMIT as BODY_LIMIT
from .bodies import Submitter, make_request
from .identity import user_name
from .refusals import Refusal, bad_key, refusal_body, too_large
from .requests import Requests

RESOURCE = "queueserver"
#: Largest body, in bytes, that is taken from somebody who is not logged in; above it the connection is closed instead.
STRANGER_LIMIT = 64 << 10


@web.stream_request_body
class QueueServerHandler(APIHandler):
    """What all routes have in common: login before the body is read, JSON refusals, the authorizer asked directly, no caching."""

    auth_resource = RESOURCE

    def __init__(self, application: web.Application, request: HTTPServerRequest, **given: Any) -> None:
        # Before anything can refuse, because a refusal does not keep tornado from reading the body to its end.
        request.connection.set_max_body_size(STRANGER_LIMIT)  # type: ignore[union-attr]
        super().__init__(application, request, **given)

    async def prepare(self) -> None:
        """Authenticate; only who is logged in may send much."""
        await super().prepare()
        if self.request.method != "OPTIONS":  # asked by browsers, without login
            if self.current_user is None:
                raise web.HTTPError(403)
            self.request.connection.set_max_body_size(CONNECTION_LIMIT)  # type: ignore[union-attr]

    def data_received(self, chunk: bytes) -> None:
        """Drop the body: most routes have none."""

    async def allow(self, action: str) -> None:
        """Raise `Refusal` (403) unless the user may; not by the decorator, which remembers its first question."""
        allowed = self.authorizer.is_authorized(self, self.current_user, action, RESOURCE)
        if not await ensure_async(allowed):
            raise Refusal(
                403,
                f"User is not authorized to {action} on resource: {RESOURCE}.",
                code="forbidden",
                hint=f"Ask the administrator of this server for the right to {action}.",
            )

    def compute_etag(self) -> str | None:
        """None: hashing megabytes of history costs more than sending them."""
        return None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Refuse in one form."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        self.finish(refusal_body(status_code, error))


class MethodHandler(QueueServerHandler):
    """One method.  The body is collected here, so that one that is too large is refused without being kept."""

    def initialize(self, method: Method, requests: Requests, user_group: str, fixed: dict[str, Any] | None) -> None:
        """Take the method and, for a route that stands for one of its options, the parameters that this gives."""
        self._method = method
        self._requests = requests
        self._user_group = user_group
        self._fixed = fixed
        self._chunks: list[bytes] = []
        self._received = 0
        # Reading is what panels do all day; it must not keep a server alive that nobody uses.
        self._track_activity = method.kind == "write"

    async def prepare(self) -> None:
        """Authenticate, then look at the announced length of the body."""
        await super().prepare()
        announced = self.request.headers.get("Content-Length", "0")
        if announced.isdigit() and int(announced) > BODY_LIMIT:
            if int(announced) > CONNECTION_LIMIT:
                self.set_header("Connection", "close")
            raise too_large(BODY_LIMIT)

    def data_received(self, chunk: bytes) -> None:
        """Collect the body; of one that turns out to be too large nothing is kept."""
        self._received += len(chunk)
        if self._received > BODY_LIMIT:
            self._chunks.clear()
        else:
            self._chunks.append(chunk)

    @web.authenticated
    async def get(self) -> None:
        """Answer a method whose verb is GET."""
        await self._serve("GET")

    @web.authenticated
    async def post(self) -> None:
        """Answer a method whose verb is POST."""
        await self._serve("POST")

    async def _serve(self, verb: str) -> None:
        method = self._method
        if verb != ("GET" if self._fixed is not None else method.verb):
            raise web.HTTPError(405)
        await self.allow(method.access)
        if self._received > BODY_LIMIT:
            raise too_large(BODY_LIMIT)
        body = b"".join(self._chunks)
        try:
            check_size(body)
        except TooLarge as err:
            raise Refusal(413, err.msg, code=err.code, hint=err.hint) from err
        submitter = Submitter(user_name(self.identity_provider, self.current_user), self._user_group)
        try:
            request = make_request(method, body, submitter, self._fixed)
        except UnicodeEncodeError as err:
            raise bad_key(f"A name is no valid text: {err}", "body") from err
        await self.finish(await self._requests.send(request, repeatable=method.kind == "read"))


class OpenApiHandler(QueueServerHandler):
    """``/api/openapi.json``: the description of all routes."""

    _track_activity = False

    @web.authenticated
    async def get(self) -> None:
        """Send it."""
        await self.allow("read")
        await self.finish(_openapi_text(f"{self.base_url.rstrip('/')}/queueserver/api"))


@functools.lru_cache(maxsize=4)
def _openapi_text(base: str) -> bytes:
    from ..api.openapi import openapi  # here: few servers are ever asked for it

    return json.dumps(openapi(__version__, base)).encode()


class UnknownRouteHandler(QueueServerHandler):
    """Everything else below ``/api``: 404 as JSON, for any verb, after authentication."""

    _track_activity = False

    @web.authenticated
    async def get(self, path: str) -> None:
        """Refuse."""
        raise Refusal(404, "Not Found", code="not_found", hint="Compare the path with the list of routes in openapi.json.")

    post = put = delete = patch = get
