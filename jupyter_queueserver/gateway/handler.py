"""What all routes have in common: who is let in, JSON refusals, no redirect, no caching.

Authentication, the XSRF check and rights are those of the Jupyter server; the order of the checks is that of the interface: route
and verb, credentials, rights, body.
"""

from __future__ import annotations

from typing import Any, ClassVar

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import APIHandler
from tornado import web
from tornado.httputil import HTTPServerRequest

from ..core.limits import CONNECTION_LIMIT
from . import challenges
from .credentials import Credentials, is_plain, is_wrong, notes_tokens, take_credentials
from .paths import API_PREFIX
from .refusals import Refusal, foreign_origin, foreign_question, refusal_body, wrong_verb
from .rights import RESOURCE, allowed_actions, may, scopes_of

#: Largest body, in bytes, that is taken from somebody who is not logged in; above it the connection is closed instead.
STRANGER_LIMIT = 64 << 10


@web.stream_request_body
class QueueServerHandler(APIHandler):
    """A route: login before the body is read.

    Attributes
    ----------
    scope
        Scope of the interface that it wants; empty: none.
    is_public
        Whether also somebody without credentials is answered.
    credentials
        Those of the request.
    """

    auth_resource = RESOURCE
    scope: str = ""
    is_public: ClassVar[bool] = False
    credentials = Credentials(None, "none")

    def __init__(self, application: web.Application, request: HTTPServerRequest, **given: Any) -> None:
        # Before anything can refuse, because a refusal does not keep tornado from reading the body to its end.
        request.connection.set_max_body_size(STRANGER_LIMIT)  # type: ignore[union-attr]
        if request.method == "POST" and request.headers.get("X-HTTP-Method-Override", "").upper() == "GET":
            request.method = "GET"  # no browser sends a body with GET, as many routes want it
        super().__init__(application, request, **given)
        self.current_user = None

    @property
    def verbs(self) -> tuple[str, ...]:
        """Verbs of the route."""
        missing = web.RequestHandler._unimplemented_method  # noqa: SLF001 - the mark of tornado for a verb that is not served
        found = (verb for verb in self.SUPPORTED_METHODS if verb != "OPTIONS")
        return tuple(verb for verb in found if getattr(type(self), verb.lower()) is not missing)

    @property
    def route(self) -> challenges.Route:
        """What a challenge tells of this route."""
        root = f"{self.request.protocol}://{self.request.host}{self.base_url.rstrip('/')}{API_PREFIX}"
        return challenges.Route(self.scope, root)

    async def prepare(self) -> None:
        """Look at verb and credentials; only who is logged in may send much."""
        self._require_verb()
        self.credentials = take_credentials(self.request)
        self._refuse_early()
        await super().prepare()
        if self.request.method != "OPTIONS":  # asked by browsers, without login
            self._require_user()
            if self.current_user is not None:
                self.request.connection.set_max_body_size(CONNECTION_LIMIT)  # type: ignore[union-attr]

    def _require_verb(self) -> None:
        """Refuse other verbs; ``OPTIONS`` is only for the question that a browser asks on behalf of a page of another server."""
        verb = self.request.method
        asks = verb == "OPTIONS" and "Access-Control-Request-Method" in self.request.headers and self.get_origin()
        if not asks and verb not in self.verbs:
            raise wrong_verb(", ".join(self.verbs))

    def _refuse_early(self) -> None:
        """Refuse what is certainly wrong before the identity provider is asked."""
        provider = self.identity_provider
        if self.credentials.place == "unknown" and is_plain(provider):
            raise challenges.wrong_scheme()
        if self.credentials.key is not None and is_wrong(self.credentials.key, provider):
            raise self._invalid_key()

    def _require_user(self) -> None:
        """Refuse who is not logged in, and who sent a key that did not count."""
        if self.current_user is None:
            if self.credentials.key is not None:
                raise self._invalid_key()
            if self.credentials.place == "unknown":
                raise challenges.wrong_scheme()
            if not self.is_public:
                raise challenges.not_authenticated(self.route)
        elif self.credentials.key is not None and self._came_by_cookie():
            raise self._invalid_key()

    def _came_by_cookie(self) -> bool:
        provider = self.identity_provider
        return bool(provider.auth_enabled) and notes_tokens(provider) and not self.token_authenticated

    def _invalid_key(self) -> Refusal:
        return challenges.invalid_key(self.route, has_tokens=not is_plain(self.identity_provider) or bool(self.token))

    def get_login_url(self) -> str:
        """Refuse instead of a redirect to a page for people."""
        self._require_user()
        return super().get_login_url()

    def check_xsrf_cookie(self) -> None:
        """Jupyter's check for who came by a cookie.

        Without login there is nothing to forge: that is refused as such.  A page of another server cannot make a browser send the
        header with a key, unless the server allows that page's origin.
        """
        if not hasattr(self, "_jupyter_current_user"):
            return  # tornado asks before Jupyter knows the user; Jupyter asks again
        self._require_user()
        if self.current_user is not None and self.credentials.place != "header":
            super().check_xsrf_cookie()

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        """Jupyter's check for pages of other servers; Jupyter itself would say that there is no such route."""
        if not super().check_origin(origin_to_satisfy_tornado):
            raise foreign_origin(self.get_origin() or "")
        return True

    def set_cookie(self, name: str, value: str | bytes, *args: Any, **kwargs: Any) -> None:
        """Set a cookie, but not for a program that sends its key with each request.

        Its HTTP library would send it back, and be logged in when it has given up the key.  An empty value takes one away.
        """
        if self.credentials.place != "header" or not value:
            super().set_cookie(name, value, *args, **kwargs)

    def data_received(self, chunk: bytes) -> None:
        """Drop the body: most routes have none."""

    async def allow(self, action: str) -> None:
        """Raise `Refusal` (401, or 403 for a browser) unless the user may read, write or execute."""
        if not await may(self, action):
            scopes = scopes_of(await allowed_actions(self))
            route = self.route if self.scope else self.route._replace(scope=action)
            raise challenges.not_permitted(route, scopes, by_key=self.credentials.key is not None)

    @allow_unauthenticated
    def options(self, *args: str, **kwargs: str) -> None:
        """Tell a browser whether a page of another server may ask, as the settings of the Jupyter server say."""
        origin = self.get_origin() or ""
        if self._headers.get("Access-Control-Allow-Origin") not in ("*", origin):
            raise foreign_question(origin)
        super().options(*args, **kwargs)
        self.set_header("Access-Control-Allow-Methods", ", ".join(self.verbs))
        self.set_header("Vary", "Origin")

    def compute_etag(self) -> str | None:
        """None: hashing megabytes of history costs more than sending them."""
        return None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Refuse in one form; a page of another server that may ask may also read why it was refused."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        self.set_cors_headers()
        body = getattr(self.request, "_body_future", None)
        if body is not None and not body.done():
            self.set_header("Connection", "close")  # tornado does not read on for who was refused; the client must know
        if isinstance(error, Refusal):
            for name, value in error.headers.items():
                self.set_header(name, value)
        elif status_code == 405:
            self.set_header("Allow", ", ".join(self.verbs))
        self.finish(refusal_body(status_code, error))
