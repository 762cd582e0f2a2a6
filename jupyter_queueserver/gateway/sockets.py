"""The websockets of existing clients: console text and status, as ``{"time", "msg"}`` in text frames.

They only pass on what the `Feed` hears, from the moment of connecting.  The websocket with numbered changes is in `stream`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.websocket import WebSocketClosedError

from ..api.http_routes import OPERATIONS
from .feed import Feed, Topic
from .paths import API_PREFIX, Route
from .socket_handler import SocketHandler

_TOPICS: dict[str, Topic] = {"console_output_socket": "console", "status_socket": "status", "info_socket": "status"}


class FeedSocketHandler(SocketHandler):
    """One topic of the feed for one client, bounded: of a client that is too slow the oldest messages are dropped."""

    def initialize(self, feed: Feed, topic: Topic) -> None:
        """Take the feed, and what of it is wanted."""
        self._feed = feed
        self._topic: Topic = topic
        self._task: asyncio.Task[None] | None = None

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Start to pass messages on."""
        self._task = asyncio.create_task(self._pass_on())
        self._task.add_done_callback(self._ended)

    def on_close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()

    async def _pass_on(self) -> None:
        with self._feed.listen(self._topic) as listener:
            try:
                while (text := await listener.next()) is not None:
                    await self.write_message(text.decode())
            except WebSocketClosedError:
                return  # the client has gone
        self.close(1001, "the server ends")

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Boundary of one subscriber: a fault ends this client's stream only."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("The %s websocket of a client failed.", self._topic, exc_info=error)
            self.close(1011, "internal error")


def socket_routes(feed: Feed) -> list[Route]:
    """Return paths, handlers and their arguments."""
    return [
        (f"{API_PREFIX}{OPERATIONS[name].path}", FeedSocketHandler, {"feed": feed, "topic": topic})
        for name, topic in _TOPICS.items()
    ]
