"""The routes of the first version of the interface, made from its one table; and all routes once more without prefix, if wished.

A request is turned into one of today's routes, with its authentication, its checks and its refusals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jupyter_server.base.handlers import TrailingSlashHandler
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import Application

from ..api.first_version import COMMANDS, Command, modern_params
from ..core import codec
from ..core.errors import QueueServerError
from .bodies import Submitter
from .paths import PREFIX, Route
from .refusals import bad_key
from .rest import MethodHandler, UnknownRouteHandler
from .stream import EventStreamHandler

#: Not without prefix: there, Jupyter's own routes go on, and it has events of its own.
_NOT_AT_ROOT = (UnknownRouteHandler, EventStreamHandler)


class FirstVersionHandler(MethodHandler):
    """One command of the first version."""

    def initialize(self, command: Command, **given: Any) -> None:  # type: ignore[override]
        """Take the command, and what every handler of a method takes."""
        super().initialize(method=command.modern, fixed=None, **given)
        self._command = command
        self._verb = command.verb

    def _make_request(self, body: bytes, submitter: Submitter) -> bytes:
        return super()._make_request(modern_body(self._command, body), submitter)


def modern_body(command: Command, body: bytes) -> bytes:
    """Return the body for today's route; raises `Refusal` (400) for keys that are unknown, missing or wrong.

    What is no JSON object is returned as it is: it is refused there, in the words of all routes.
    """
    try:
        given = codec.from_json(body) if body.strip() else {}
    except (ValueError, RecursionError):
        return body
    if not isinstance(given, dict):
        return body
    try:
        return codec.python_json(modern_params(command, given))
    except QueueServerError as err:
        raise bad_key(err.msg, err.path, code=err.code, hint=err.hint) from err


def first_version_routes(given: dict[str, Any]) -> list[Route]:
    """Return the routes below the prefix; the one without a path is not among them.

    Parameters
    ----------
    given
        What every handler of a method takes.
    """
    return [
        (f"{PREFIX}{path}", FirstVersionHandler, {"command": command, **given})
        for command in COMMANDS.values()
        for path in command.paths
        if path
    ]


def at_root(routes: Sequence[Route]) -> list[Route]:
    """Return the routes once more, without the prefix; what else begins as those of the first version is refused as there."""
    moved = [(path.removeprefix(PREFIX) or "/", handler, given) for path, handler, given in routes if handler not in _NOT_AT_ROOT]
    heads = dict.fromkeys(path.split("/")[1] for command in COMMANDS.values() for path in command.paths if path)
    return [*moved, *((f"/{head}/*", UnknownRouteHandler, {}) for head in heads)]


class _FromProgram(Matcher):
    """Matches what is asked by a program: with a key as programs send it, or without wish for a page."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return no arguments for the handler; None: it is a browser's request, or another kind."""
        sends_key = "Authorization" in request.headers or "api_key" in request.query_arguments
        return {} if sends_key or "text/html" not in request.headers.get("Accept", "") else None


class _SlashToNowhere(_FromProgram):
    """Matches a program's path with a slash at its end that leads nowhere without it either: Jupyter would redirect it."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return no arguments for the handler; None: something else answers."""
        path = "/" + request.path.strip("/")
        if not request.path.endswith("/") or path == "/" or super().match(request) is None:
            return None
        uri = f"{path}?{request.query}" if request.query else path
        bare = HTTPServerRequest(request.method, uri, headers=request.headers, host=request.host, connection=request.connection)
        found = self._application.find_handler(bare)
        return {} if getattr(found, "handler_class", None) is UnknownRouteHandler else None


def refuse_the_rest(application: Application) -> None:
    """Let programs be refused in JSON where Jupyter has no route; browsers get Jupyter's own page.

    These are asked after all routes of Jupyter and its extensions, but before Jupyter's redirect of slashes and its last rule,
    which takes everything.
    """
    rules = application.wildcard_router.rules
    slash = next((number for number, rule in enumerate(rules) if rule.target is TrailingSlashHandler), len(rules) - 1)
    rules.insert(slash, Rule(_SlashToNowhere(application), UnknownRouteHandler))
    rules.insert(len(rules) - 1, Rule(_FromProgram(), UnknownRouteHandler))
