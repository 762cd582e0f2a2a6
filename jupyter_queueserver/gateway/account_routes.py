"""The routes about accounts, answered from Jupyter's identity as far as it goes.

There is no database of users, sessions and keys here: what would need one is refused, with a sentence on what to do instead.
"""

from __future__ import annotations

from typing import Any

import msgspec
from jupyter_server.auth.decorator import allow_unauthenticated
from tornado import web

from ..api.http_routes import OPERATIONS, Operation
from . import challenges
from .handler import QueueServerHandler
from .identity import key_data, principal
from .paths import API_PREFIX, Route
from .refusals import Refusal
from .rights import allowed_actions, roles_of, scopes_of

_MSGPACK = "application/x-msgpack"
_INSTEAD = (
    "This server keeps no users, sessions and keys of its own: Jupyter's are used. Send a token of the Jupyter server in the"
    " header 'Authorization: ApiKey <token>'"
)
_HINT = "`jupyter server list` shows the token of a server of yours; with JupyterHub, make one on the hub's page Token."


class AccountHandler(QueueServerHandler):
    """An answer about who is logged in: JSON or, if the client prefers it, MessagePack; with an ETag."""

    _track_activity = False

    def compute_etag(self) -> str | None:
        """As of tornado: these answers are small."""
        return web.RequestHandler.compute_etag(self)

    async def send(self, value: dict[str, Any]) -> None:
        """Send it in the form that the client wants."""
        if _MSGPACK in self.request.headers.get("Accept", ""):
            await self.finish(msgspec.msgpack.encode(value), set_content_type=_MSGPACK)
        else:
            await self.finish(msgspec.json.encode(value))


class WhoAmIHandler(AccountHandler):
    """``/auth/whoami``."""

    @allow_unauthenticated  # the base class lets nobody in who is not known
    async def get(self) -> None:
        """Describe who is logged in."""
        actions = await allowed_actions(self)
        user = self.current_user
        await self.send(principal(self.identity_provider, user, roles_of(actions), scopes_of(actions), self.credentials.key))


class ScopesHandler(AccountHandler):
    """``/auth/scopes``: also for who sends nothing."""

    is_public = True

    @allow_unauthenticated
    async def get(self) -> None:
        """Tell what these credentials are good for."""
        actions = await allowed_actions(self)
        await self.send({"roles": roles_of(actions), "scopes": scopes_of(actions)})


class LogoutHandler(AccountHandler):
    """``/auth/logout``."""

    is_public = True

    @allow_unauthenticated
    async def post(self) -> None:
        """Delete the login cookie; a token stays good."""
        self.identity_provider.clear_login_cookie(self)
        await self.send({})


class KeyHandler(AccountHandler):
    """``/auth/apikey``: the key of this request; others can be neither made nor deleted."""

    @property
    def scope(self) -> str:  # type: ignore[override]
        """Of the verb."""
        return "" if self.request.method == "GET" else OPERATIONS["auth_apikey_new"].scope

    def _require_user(self) -> None:
        if self.request.method == "GET" and self.credentials.key is None:
            raise Refusal(401, "No API key was provided with this request.", code="not_authenticated", hint=_HINT)
        super()._require_user()

    @allow_unauthenticated
    async def get(self) -> None:
        """Describe the key."""
        assert self.credentials.key is not None
        await self.send(key_data(self.credentials.key))

    @allow_unauthenticated
    async def post(self) -> None:
        """Refuse: this server makes no keys."""
        await _refuse_scope(self)

    delete = post


class RefusingHandler(AccountHandler):
    """A route that needs accounts of its own."""

    def initialize(self, operations: tuple[Operation, ...]) -> None:
        """Take the declarations, one for each verb."""
        self._verbs = tuple(operation.verb for operation in operations)
        self._statuses = operations[0].statuses
        self.scope = operations[0].scope

    @property
    def verbs(self) -> tuple[str, ...]:
        """Those that are declared."""
        return self._verbs

    def _require_user(self) -> None:
        """Only what wants a scope asks who it is; logging in does not."""
        if self.scope:
            super()._require_user()

    @allow_unauthenticated
    async def get(self, *path: str) -> None:
        """Refuse."""
        if self.scope:
            await _refuse_scope(self)
        if 404 in self._statuses:
            raise Refusal(404, f"There is no {_nouns(self.request.path)} here. {_INSTEAD}", code="jupyter_accounts", hint=_HINT)
        raise Refusal(401, f"Could not validate credentials. {_INSTEAD}", code="jupyter_accounts", hint=_HINT)

    post = delete = get


def _nouns(path: str) -> str:
    return "session" if "/session/" in path else "login provider"


async def _refuse_scope(handler: QueueServerHandler) -> None:
    """Refuse as the interface does for a scope that nobody has."""
    scopes = scopes_of(await allowed_actions(handler))
    by_key = handler.credentials.key is not None
    raise challenges.not_permitted(handler.route, scopes, by_key=by_key, remark=_INSTEAD)


_ANSWERED: dict[str, type[AccountHandler]] = {
    "auth_whoami": WhoAmIHandler,
    "auth_scopes": ScopesHandler,
    "auth_logout": LogoutHandler,
    "auth_apikey": KeyHandler,
}


def account_routes() -> list[Route]:
    """Return the routes about accounts."""
    by_path: dict[str, list[Operation]] = {}
    for operation in OPERATIONS.values():
        if operation.path.startswith("/auth/"):
            by_path.setdefault(operation.path, []).append(operation)
    return [
        (f"{API_PREFIX}{path}", handler, {})
        if (handler := _ANSWERED.get(operations[0].name))
        else (f"{API_PREFIX}{path}", RefusingHandler, {"operations": tuple(operations)})
        for path, operations in by_path.items()
    ]
