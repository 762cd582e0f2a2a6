"""The websocket of the event stream: one subscription to the manager for each browser.

Each has its own, not a shared one: the manager keeps the numbered changes, the bounds and the replay already, and every
browser has topics, a position and a pace of its own; sharing would need a second store of changes here, which the gateway must
not have.  The price is one Unix socket for each open page.
"""

from __future__ import annotations

import asyncio
from typing import Any

import zmq.asyncio
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .outbox import Outbox
from .refusals import Refusal, bad_key, refusal_body
from .subscription import TOPICS, Position, Subscription

RESOURCE = "queueserver"
_PING_INTERVAL = 30.0
_PING_TIMEOUT = 20.0


class EventStreamHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):  # type: ignore[misc]
    """``/api/events``: every message of the manager as one text frame of strict JSON."""

    auth_resource = RESOURCE

    def initialize(self, context: zmq.asyncio.Context, address: str | None) -> None:
        """Take the 0MQ address of the event stream; None: the manager was given by an address that has none."""
        self._context = context
        self._address = address
        self._tasks: list[asyncio.Task[None]] = []
        self._outbox = Outbox()
        self._news = asyncio.Event()

    @property
    def ping_interval(self) -> float:
        """Seconds between pings: tornado's own are used, the mixin counts the same name in milliseconds."""
        return _PING_INTERVAL

    @property
    def ping_timeout(self) -> float:
        """Seconds that a browser has for its pong; then the connection is closed."""
        return _PING_TIMEOUT

    def set_default_headers(self) -> None:
        """A websocket has no use for the headers of pages."""

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the stream, if this user may read."""
        allowed = self.authorizer.is_authorized(self, self.current_user, "read", RESOURCE)
        if not await ensure_async(allowed):
            raise Refusal(
                403,
                f"User is not authorized to read on resource: {RESOURCE}.",
                code="forbidden",
                hint="Ask the administrator of this server for the right to read.",
            )
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise Refusal(
                404,
                "The event stream is a websocket; there is nothing to get without the upgrade.",
                code="not_found",
                hint="Open it with a websocket client: ws:// or wss:// instead of http:// or https://.",
            )
        if self._address is None:
            raise Refusal(
                404,
                "This manager was given by its address, and the address of its event stream is not known.",
                code="no_event_stream",
                hint="Set QueueServerExtension.events_address, or give the data directory instead of the address.",
            )
        self._position = self._read_position()
        await ensure_async(super().get(*args, **kwargs))

    def _read_position(self) -> Position:
        """Read the query; raises `Refusal` (400)."""
        topics = tuple(word for word in self.get_query_argument("topics", ",".join(TOPICS)).split(",") if word)
        if not topics or set(topics) - set(TOPICS):
            raise bad_key(f"Topics are {', '.join(TOPICS)}, not {', '.join(topics)!r}", "topics", code="bad_option")
        return Position(
            topics=topics,
            epoch=self.get_query_argument("epoch", "") or None,
            since=self._number("since") or 0,
            console=self._number("console"),
            history=min(self._number("history") or 200, 100_000),
        )

    def _number(self, name: str) -> int | None:
        text = self.get_query_argument(name, "")
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise bad_key(f"'{name}' must be a whole number, 0 or more (at most 15 digits), not {text[:40]!r}", name)
        return int(text)

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Start to pass messages on."""
        assert self._address is not None
        subscription = Subscription(self._context, self._address, self._position)
        for work in (self._receive(subscription), self._write(subscription)):
            task = asyncio.create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def on_message(self, message: str | bytes) -> None:
        """Nothing is expected from the browser; what it sends is ignored."""

    def on_close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Boundary of one subscriber: a fault ends this browser's stream only, and it comes back by itself."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("The event stream of a browser failed.", exc_info=error)
            self.close(1011, "internal error")

    async def _receive(self, subscription: Subscription) -> None:
        try:
            async for message in subscription.messages():
                self._outbox.put(message.text)
                self._news.set()
        finally:
            subscription.close()

    async def _write(self, subscription: Subscription) -> None:
        """Send what waits, at the browser's pace; after an overflow begin with a snapshot."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._outbox:
                    await self.write_message(self._outbox.take())
                if self._outbox.overflowed:
                    self.log.info("A browser reads the event stream too slowly; it gets a snapshot instead.")
                    self._outbox.restart()
                    subscription.start_afresh()
        except WebSocketClosedError:
            self.on_close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Refuse in the form of all routes."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else None
        self.set_header("Content-Type", "application/json")
        self.finish(refusal_body(status_code, error))
