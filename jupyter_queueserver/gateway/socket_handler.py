"""What the websockets have in common: who is let in, pings, compression, and the form of refusals.

A websocket client cannot read the reason of a refusal in most cases, so all of "not you" is one status: 403, before the upgrade.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.websocket import WebSocketHandler

from .credentials import Credentials, is_plain, is_wrong, notes_tokens, take_credentials
from .refusals import Refusal, refusal_body, unknown_route
from .rights import RESOURCE, may

_PING_INTERVAL = 30.0
_PING_TIMEOUT = 20.0


class SocketHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):  # type: ignore[misc]
    """A websocket for who may read.  Credentials are those of every route: a key in header or query, or the browser's cookie."""

    auth_resource = RESOURCE
    credentials = Credentials(None, "none")

    @property
    def ping_interval(self) -> float:
        """Seconds between pings: tornado's own are used, the mixin counts the same name in milliseconds."""
        return _PING_INTERVAL

    @property
    def ping_timeout(self) -> float:
        """Seconds that a client has for its pong; then the connection is closed."""
        return _PING_TIMEOUT

    def get_compression_options(self) -> dict[str, Any] | None:
        """Accept ``permessage-deflate`` where a client offers it."""
        return {}

    def set_default_headers(self) -> None:
        """A websocket has no use for the headers of pages."""

    async def prepare(self, *args: Any, **kwargs: Any) -> None:
        """Look at the credentials, then authenticate."""
        self.current_user = None
        self.credentials = take_credentials(self.request)
        key, provider = self.credentials.key, self.identity_provider
        if (self.credentials.place == "unknown" and is_plain(provider)) or (key is not None and is_wrong(key, provider)):
            raise _invalid_token()
        await super().prepare(*args, **kwargs)
        if key is not None and (self.current_user is None or self._came_by_cookie()):
            raise _invalid_token()

    def _came_by_cookie(self) -> bool:
        provider = self.identity_provider
        return bool(provider.auth_enabled) and notes_tokens(provider) and not self.token_authenticated

    async def require_reader(self) -> None:
        """Raise `Refusal`: 403 for who may not read, 404 for a request that is no websocket's."""
        if not await may(self, "read"):
            raise Refusal(
                403,
                f"User is not authorized to read on resource: {RESOURCE}.",
                code="forbidden",
                hint="Ask the administrator of this server for the right to read.",
            )
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise unknown_route()

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the websocket; what is in the query has no say in who may."""
        await self.require_reader()
        await super().get(*args, **kwargs)

    def on_message(self, message: str | bytes) -> None:
        """Nothing is expected from the client; what it sends is ignored."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Refuse in the form of all routes."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        self.set_header("Content-Type", "application/json")
        if status_code == 405:
            self.set_header("Allow", "GET")
        self.finish(refusal_body(status_code, error))


def _invalid_token() -> Refusal:
    return Refusal(
        403,
        "Invalid token",
        code="invalid_api_key",
        hint="Send the header 'Authorization: ApiKey <token>' with a token of this Jupyter server.",
    )
