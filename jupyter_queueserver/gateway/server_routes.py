"""The routes about the server itself: the description of the interface, and a test of patience for clients."""

from __future__ import annotations

import asyncio
import functools
import json

from jupyter_server.auth.decorator import allow_unauthenticated

from .. import __version__
from ..api.http_routes import LONGEST_SLEEP, OPERATIONS
from .collecting import CollectingHandler
from .handler import QueueServerHandler
from .paths import API_PREFIX, Route
from .refusals import bad_key, malformed_body


class OpenApiHandler(QueueServerHandler):
    """``/api/openapi.json``: the description of all routes."""

    _track_activity = False
    scope = OPERATIONS["openapi"].scope

    @allow_unauthenticated  # the base class lets nobody in who is not known
    async def get(self) -> None:
        """Send it."""
        await self.allow("read")
        await self.finish(_openapi_text(f"{self.base_url.rstrip('/')}{API_PREFIX}"))


@functools.lru_cache(maxsize=4)
def _openapi_text(base: str) -> bytes:
    from ..api.openapi import openapi  # here: few servers are ever asked for it

    return json.dumps(openapi(__version__, base)).encode()


class SleepHandler(CollectingHandler):
    """``/api/test/server/sleep``: answers after some time."""

    _track_activity = False
    scope = OPERATIONS["test_server_sleep"].scope

    @allow_unauthenticated
    async def get(self) -> None:
        """Sleep; other requests are served meanwhile."""
        await self.allow("read")
        wanted = self.json_object()
        if wanted is None:
            raise malformed_body("missing", ["body"], "Field required")
        if "time" not in wanted:
            raise bad_key(
                "Parameter 'time' is missing", "time", code="missing_parameter", hint="Send it: how long to sleep, in seconds."
            )
        seconds = wanted["time"]
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not 0 <= seconds <= LONGEST_SLEEP:
            raise bad_key(
                f"Parameter 'time' must be a number of seconds, 0 to {LONGEST_SLEEP:g}, not {str(seconds)[:40]}", "time"
            )
        await asyncio.sleep(seconds)
        await self.finish(b'{"success": true, "msg": ""}')


def server_routes() -> list[Route]:
    """Return the routes about the server itself."""
    return [
        (f"{API_PREFIX}{OPERATIONS['openapi'].path}", OpenApiHandler, {}),
        (f"{API_PREFIX}{OPERATIONS['test_server_sleep'].path}", SleepHandler, {}),
    ]
