"""The routes of console output: the last lines as one text, the messages since the last look, and an endless stream.

They read what the `Feed` keeps; the console websocket is in `sockets`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any

import msgspec
from tornado import web
from tornado.iostream import StreamClosedError

from ..api.http_routes import OPERATIONS
from .collecting import CollectingHandler
from .feed import Feed
from .handler import QueueServerHandler
from .paths import API_PREFIX, Route
from .refusals import bad_key, malformed_body

_SCOPE = OPERATIONS["console_output"].scope

#: Lines that are shown if nothing else is wanted.
_DEFAULT_LINES = 200

_NO_CONSOLE = {
    "success": False,
    "msg": "Console output is not available: the address of the manager's event stream is not known",
    "error": {
        "code": "no_event_stream",
        "hint": "Set QueueServerExtension.events_address, or give the data directory instead of the address.",
        "path": "",
    },
}


class _ConsoleHandler(CollectingHandler):
    scope = _SCOPE
    _track_activity = False

    def initialize(self, feed: Feed) -> None:
        """Take the feed."""
        self._feed = feed

    async def send(self, **values: Any) -> None:
        """Answer; with a refusal in the same form where there is no console."""
        known = {"success": True, "msg": ""} if self._feed.has_console else _NO_CONSOLE
        await self.finish(msgspec.json.encode(known | values))


class ConsoleTextHandler(_ConsoleHandler):
    """``/console_output``: the last lines, as a terminal shows them."""

    @web.authenticated
    async def get(self) -> None:
        """Send them."""
        await self.allow("read")
        await self.send(text=self._feed.screen.text(_line_count((self.json_object() or {}).get("nlines"))))


def _line_count(value: object) -> int:
    """Return how many lines are wanted; raises `Refusal` (400)."""
    if value is None:
        return _DEFAULT_LINES
    if isinstance(value, bool) or not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise bad_key(f"Parameter 'nlines' must be a number of lines, not {value!r:.40}", "nlines")
    return int(value)


class ConsoleUidHandler(_ConsoleHandler):
    """``/console_output/uid``: a uid that changes with the text.  What is in the body is ignored."""

    @web.authenticated
    async def get(self) -> None:
        """Send it."""
        await self.allow("read")
        await self.send(console_output_uid=self._feed.log.uid)


class ConsoleUpdateHandler(_ConsoleHandler):
    """``/console_output_update``: what was printed since the message that the client has."""

    @web.authenticated
    async def get(self) -> None:
        """Send it."""
        await self.allow("read")
        wanted = self.json_object()
        if wanted is None:
            raise malformed_body("missing", ["body"], "Field required")
        for name in wanted.keys() - {"last_msg_uid"}:
            raise bad_key(
                f"console_output_update() got an unexpected keyword argument '{name}'",
                name,
                code="unsupported_parameters",
                hint="Keys of this route: last_msg_uid.",
            )
        if "last_msg_uid" not in wanted:
            raise bad_key(
                "Parameter 'last_msg_uid' is missing",
                "last_msg_uid",
                code="missing_parameter",
                hint='Send it; "ALL" for all that is kept.',
            )
        log = self._feed.log
        messages = [message._asdict() for message in log.since(wanted["last_msg_uid"])]
        await self.send(last_msg_uid=log.uid, console_output_msgs=messages)


class ConsoleStreamHandler(QueueServerHandler):
    """``/stream_console_output``: new messages as JSON objects, back to back, until the client goes."""

    scope = _SCOPE
    _track_activity = False
    _reading: asyncio.Task[None] | None = None

    def initialize(self, feed: Feed) -> None:
        """Take the feed."""
        self._feed = feed

    @web.authenticated
    async def get(self) -> None:
        """Send them as they come."""
        await self.allow("read")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")  # a proxy that gathers the stream would hold it back
        self._reading = asyncio.ensure_future(self._stream())
        await asyncio.wait([self._reading])
        if not self._reading.cancelled():
            self._reading.result()
        with contextlib.suppress(StreamClosedError):
            await self.finish(set_content_type="text/plain; charset=utf-8")

    async def _stream(self) -> None:
        with contextlib.suppress(StreamClosedError), self._feed.listen("console") as listener:
            await self.flush()
            while (text := await listener.next()) is not None:
                self.write(text)
                await self.flush()

    def on_connection_close(self) -> None:
        """Stop at once, not at the next message."""
        if self._reading is not None:
            self._reading.cancel()
        super().on_connection_close()


_HANDLERS = {
    "console_output": ConsoleTextHandler,
    "console_output_uid": ConsoleUidHandler,
    "console_output_update": ConsoleUpdateHandler,
    "stream_console_output": ConsoleStreamHandler,
}


def console_routes(feed: Feed) -> list[Route]:
    """Return paths, handlers and their arguments."""
    return [(f"{API_PREFIX}{OPERATIONS[name].path}", handler, {"feed": feed}) for name, handler in _HANDLERS.items()]
