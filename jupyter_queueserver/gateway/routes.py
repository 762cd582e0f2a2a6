"""The list of routes, made from the registry."""

from __future__ import annotations

import re
from typing import Any

import zmq.asyncio

from ..api import methods
from .requests import Requests
from .rest import MethodHandler, OpenApiHandler, UnknownRouteHandler
from .stream import EventStreamHandler

PREFIX = "/queueserver/api"

#: Further routes of methods: path -> method and the parameters that the path gives.
_FURTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "": ("status", {}),
    "/re/runs/active": ("re_runs", {"option": "active"}),
    "/re/runs/open": ("re_runs", {"option": "open"}),
    "/re/runs/closed": ("re_runs", {"option": "closed"}),
}

Route = tuple[str, type[Any], dict[str, Any]]


def make_routes(requests: Requests, context: zmq.asyncio.Context, events_address: str | None, user_group: str) -> list[Route]:
    """Return patterns (without base URL; a slash at the end is allowed), handlers and their arguments."""
    routes: list[Route] = []
    table = {method.path: (method.name, None) for method in methods().values()} | _FURTHER
    for path, (name, fixed) in table.items():
        given = {"method": methods()[name], "requests": requests, "user_group": user_group, "fixed": fixed}
        routes.append((_pattern(path), MethodHandler, given))
    routes.append((_pattern("/events"), EventStreamHandler, {"context": context, "address": events_address}))
    routes.append((_pattern("/openapi.json"), OpenApiHandler, {}))
    routes.append((rf"{PREFIX}(/.*)", UnknownRouteHandler, {}))
    return routes


def _pattern(path: str) -> str:
    return f"{PREFIX}{re.escape(path)}/?"
