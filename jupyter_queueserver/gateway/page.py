"""The page of the HTTP interface for people: Swagger UI, from files that are part of this package, so that it works offline.

It needs a login as every page of Jupyter does, and may load nothing from elsewhere.  What it shows is ``openapi.json``.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from string import Template
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import AuthenticatedHandler, JupyterHandler
from tornado import web
from tornado.escape import xhtml_escape

from .handler import QueueServerHandler
from .paths import API_PREFIX, PREFIX, Route
from .refusals import unknown_route
from .rest import MethodHandler

_DOCS = f"{PREFIX}/docs"
_STATIC = Path(__file__).parent / "static"
#: Name in the address -> file below `_STATIC`.
_ASSETS = {
    "api-page.js": "api-page.js",
    "api-page.css": "api-page.css",
    "swagger-ui-bundle.js": "swagger/swagger-ui-bundle.js",
    "swagger-ui.css": "swagger/swagger-ui.css",
}
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
#: What the page may do beyond what Jupyter allows a page of another site: nothing from elsewhere, no script in the page itself.
#: Pictures are within Swagger UI's style sheet.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'"
)


class _Paged(QueueServerHandler):
    """Something that is a page for browsers: who is not logged in is sent to Jupyter's login, but never a program with a key."""

    @property
    def wants_page(self) -> bool:
        """Whether a page is wanted; other clients ask for JSON or for anything."""
        return "text/html" in self.request.headers.get("Accept", "")

    @property
    def _may_be_sent_to_login(self) -> bool:
        return self.wants_page and self.credentials.place == "none" and self.request.method == "GET"

    def _require_user(self) -> None:
        if self.current_user is not None or not self._may_be_sent_to_login:
            super()._require_user()

    def get_login_url(self) -> str:
        """Where a browser goes that is not logged in."""
        return JupyterHandler.get_login_url(self) if self._may_be_sent_to_login else super().get_login_url()

    async def send_page(self) -> None:
        """Send the page."""
        await self.allow("read")
        base = self.base_url.rstrip("/")
        self.xsrf_token  # noqa: B018 - asking for it sets the cookie that the page's requests need
        if "Content-Security-Policy" not in self.settings.get("headers", {}):
            of_jupyter = AuthenticatedHandler.content_security_policy.fget(self)  # type: ignore[attr-defined]
            self.set_header("Content-Security-Policy", f"{_POLICY}; {of_jupyter}")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Vary", "Accept")
        text = _template().substitute(assets=xhtml_escape(base + _DOCS), openapi=xhtml_escape(f"{base}{API_PREFIX}/openapi.json"))
        await self.finish(text, set_content_type="text/html; charset=utf-8")


@functools.lru_cache(maxsize=1)
def _template() -> Template:
    return Template((_STATIC / "api-page.html").read_text(encoding="utf-8"))


class PageHandler(_Paged):
    """``/queueserver/docs``: always the page."""

    @web.authenticated
    async def get(self) -> None:
        """Send it."""
        await self.send_page()


class RootHandler(_Paged, MethodHandler):
    """``/queueserver``: the page for browsers, the status for programs."""

    @web.authenticated
    async def get(self) -> None:  # type: ignore[override] - the decorator hides that it is a coroutine
        """Send what is asked for."""
        if self.wants_page:
            await self.send_page()
        else:
            await super().get()


class AssetHandler(QueueServerHandler):
    """The files of the page.  A browser keeps them and asks whether its copy is still good."""

    _track_activity = False
    _etag: str | None = None

    @allow_unauthenticated  # the base class lets nobody in who is not known
    async def get(self, name: str) -> None:
        """Send a file."""
        if name not in _ASSETS:
            raise unknown_route()
        content, self._etag = _asset(name)
        self.set_header("Cache-Control", "no-cache")
        await self.finish(content, set_content_type=_TYPES[Path(name).suffix])

    def compute_etag(self) -> str | None:
        """The mark of the content; None: there is none."""
        return self._etag


@functools.lru_cache(maxsize=len(_ASSETS))
def _asset(name: str) -> tuple[bytes, str]:
    content = (_STATIC / _ASSETS[name]).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def page_routes(given: dict[str, Any]) -> list[Route]:
    """Return paths, handlers and their arguments.

    Parameters
    ----------
    given
        What a handler of the method ``ping`` takes.
    """
    return [
        (PREFIX, RootHandler, given),
        (_DOCS, PageHandler, {}),
        (f"{_DOCS}/{{file}}", AssetHandler, {}),
    ]
