"""The REST routes of methods: one for each method of the registry, and a few that stand for one of its options.

Replies of the manager pass through as bytes; only what is no strict JSON, NaN and Infinity, becomes null.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from jupyter_server.auth.decorator import allow_unauthenticated

from ..api import Method
from ..api.http_form import ID_HEADER
from ..core.errors import TooLarge
from ..core.limits import CONNECTION_LIMIT, check_size
from ..core.limits import REQUEST_LIMIT as BODY_LIMIT
from ..core.reduced import reduced_plans
from .bodies import Submitter, header_id, ignores_body, make_request, require_json
from .collecting import CollectingHandler
from .handler import STRANGER_LIMIT, QueueServerHandler
from .identity import UserGroups, login_name, user_name
from .refusals import Refusal, bad_key, unknown_route
from .requests import Requests
from .rights import RESOURCE
from .strict import strict

__all__ = [
    "BODY_LIMIT",
    "CONNECTION_LIMIT",
    "RESOURCE",
    "STRANGER_LIMIT",
    "MethodHandler",
    "PlanListHandler",
    "QueueServerHandler",
    "UnknownRouteHandler",
]


class MethodHandler(CollectingHandler):
    """One method."""

    def initialize(self, method: Method, requests: Requests, user_groups: UserGroups, fixed: dict[str, Any] | None) -> None:
        """Take the method and, for a route that stands for one of its options, the parameters that this gives."""
        self._method = method
        self._requests = requests
        self._user_groups = user_groups
        self._fixed = fixed
        self._verb = method.verb if fixed is None else "GET"
        self.scope = method.scope
        # Reading is what panels do all day; it must not keep a server alive that nobody uses.
        self._track_activity = method.kind == "write"

    @property
    def verbs(self) -> tuple[str, ...]:
        """The one verb of the method or of its route."""
        return (self._verb,)

    @allow_unauthenticated  # the base class lets nobody in; see there
    async def get(self) -> None:
        """Answer a method whose verb is GET."""
        await self._serve()

    post = get

    async def _serve(self) -> None:
        method = self._method
        await self.allow(method.access)
        body = self.body()
        try:
            check_size(body)
        except TooLarge as err:
            raise Refusal(413, err.msg, code=err.code, hint=err.hint) from err
        if self._fixed is None and body.strip() and not ignores_body(method):
            require_json(self.request.headers.get("Content-Type"))
        provider = self.identity_provider
        login = login_name(provider, self.current_user)
        submitter = Submitter(
            user_name(provider, self.current_user), self._user_groups.of(login), login in self._user_groups.trusted
        )
        try:
            request = self._make_request(body, submitter)
        except UnicodeEncodeError as err:
            raise bad_key(f"A name is no valid text: {err}", "body") from err
        is_read = method.kind == "read"
        repeatable = is_read or self._request_id is not None
        await self.finish(self._answer(await self._requests.send(request, repeatable=repeatable, is_wish=not is_read)))

    @property
    def _request_id(self) -> str | None:
        """The id that the header gives."""
        return header_id(self.request.headers.get(ID_HEADER)) if self._method.is_recorded else None

    def _make_request(self, body: bytes, submitter: Submitter) -> bytes:
        """Make the manager's request frame of the body; raises `Refusal`."""
        return make_request(self._method, body, submitter, self._fixed, self._request_id)

    def _answer(self, reply: bytes) -> bytes:
        """Return what is sent for the manager's reply."""
        return strict(reply)


class _Wish(msgspec.Struct):
    reduced: bool = False


class PlanListHandler(MethodHandler):
    """A list of plans, in the short form if wished."""

    _reduced = False

    def _make_request(self, body: bytes, submitter: Submitter) -> bytes:
        request = super()._make_request(body, submitter)
        self._reduced = bool(body.strip()) and msgspec.json.decode(body, type=_Wish).reduced
        return request

    def _answer(self, reply: bytes) -> bytes:
        reply = super()._answer(reply)
        return _reduced(self._method.name, reply) if self._reduced else reply


@functools.lru_cache(maxsize=8)
def _reduced(key: str, reply: bytes) -> bytes:
    """Return the reply with the list under the key in the short form; a list stays the same for a long time."""
    decoded = msgspec.json.decode(reply)
    return msgspec.json.encode(decoded | {key: reduced_plans(decoded[key])})


class UnknownRouteHandler(QueueServerHandler):
    """Everything else below ``/queueserver``: 404 as JSON, for any verb."""

    _track_activity = False

    @property
    def verbs(self) -> tuple[str, ...]:
        """All: it is the path that is wrong."""
        return self.SUPPORTED_METHODS

    def _refuse_early(self) -> None:
        raise unknown_route()

    @allow_unauthenticated
    async def get(self) -> None:
        """Refuse, as before the credentials are looked at."""
        raise unknown_route()

    post = put = delete = patch = head = get
