"""The list of routes, made from the registry and from what the other modules of the gateway serve."""

from __future__ import annotations

from typing import Any, NamedTuple

import zmq.asyncio

from ..api import Method, methods
from ..api.http_form import FURTHER_ROUTES, NOT_SERVED, REDUCIBLE
from ..api.http_routes import OPERATIONS
from .account_routes import account_routes
from .console import console_routes
from .feed import Feed
from .first_version import first_version_routes
from .hub import Hub
from .identity import UserGroups
from .page import page_routes
from .paths import API_PREFIX, PREFIX, Route
from .requests import Requests
from .rest import MethodHandler, PlanListHandler, UnknownRouteHandler
from .server_routes import server_routes
from .sockets import socket_routes
from .spreadsheet import spreadsheet_routes
from .stream import EventStreamHandler


class Means(NamedTuple):
    """What the handlers work with.

    Attributes
    ----------
    events_address
        0MQ address of the event stream; None: the manager was given by an address that has none.
    """

    requests: Requests
    context: zmq.asyncio.Context
    events_address: str | None
    feed: Feed
    user_groups: UserGroups


def make_routes(means: Means) -> list[Route]:
    """Return plain paths (without base URL), handlers and their arguments; the last one takes every other path."""
    given = {"requests": means.requests, "user_groups": means.user_groups}
    hub = None if means.events_address is None else Hub(means.context, means.events_address)
    return [
        *_method_routes(given),
        (f"{API_PREFIX}{OPERATIONS['events'].path}", EventStreamHandler, {"hub": hub}),
        *server_routes(),
        *account_routes(),
        *console_routes(means.feed),
        *socket_routes(means.feed),
        *spreadsheet_routes(means.requests, means.user_groups),
        *page_routes({"method": methods()["ping"], "fixed": None, **given}),
        *first_version_routes(given),
        (f"{PREFIX}/*", UnknownRouteHandler, {}),
    ]


def _method_routes(given: dict[str, Any]) -> list[Route]:
    served = [method for method in methods().values() if method.name not in NOT_SERVED]
    routes = [_method_route(method.path, method, None, given) for method in served]
    routes += [
        _method_route(path, methods()[name], None if fixed is None else dict(fixed), given)
        for path, (name, fixed) in FURTHER_ROUTES.items()
    ]
    return routes


def _method_route(path: str, method: Method, fixed: dict[str, Any] | None, given: dict[str, Any]) -> Route:
    handler = PlanListHandler if method.name in REDUCIBLE else MethodHandler
    return f"{API_PREFIX}{path}", handler, {"method": method, "fixed": fixed, **given}
