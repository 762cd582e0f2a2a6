"""The websocket of the event stream: every message of the manager for each browser, at its own pace.

All of them listen to one `Hub`; topics, position and what waits are each browser's own (`Follower`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.auth.decorator import ws_authenticated
from tornado.websocket import WebSocketClosedError

from ..core.history import TAIL_ENTRIES
from .follower import Follower
from .hub import Hub
from .refusals import Refusal, bad_key
from .socket_handler import SocketHandler
from .subscription import TOPICS, Message, Position


class EventStreamHandler(SocketHandler):
    """``/api/events``: every message of the manager as one text frame of strict JSON."""

    def initialize(self, hub: Hub | None) -> None:
        """Take what all browsers hear; None: the manager was given by an address that has no event stream."""
        self._hub = hub
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._fell_behind = asyncio.Event()

    def get_compression_options(self) -> None:
        """No compression: it costs more here than it saves, and memory for each open page."""

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the stream, if this user may read."""
        await self.require_reader()
        if self._hub is None:
            raise Refusal(
                404,
                "This manager was given by its address, and the address of its event stream is not known.",
                code="no_event_stream",
                hint="Set QueueServerExtension.events_address, or give the data directory instead of the address.",
            )
        self._position = self._read_position()
        await super().get(*args, **kwargs)

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
            history=min(self._number("history") or TAIL_ENTRIES, TAIL_ENTRIES),
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
        assert self._hub is not None
        self._follower = Follower(self._position)
        for work in (self._follow(self._hub), self._write()):
            task = asyncio.create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def on_close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Boundary of one subscriber: a fault ends this browser's stream only, and it comes back by itself."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("The event stream of a browser failed.", exc_info=error)
            self.close(1011, "internal error")

    def _hear(self, message: Message) -> None:
        self._follower.hear(message)
        self._news.set()

    async def _follow(self, hub: Hub) -> None:
        """Listen to what is said to all, and ask for what this browser misses."""
        with hub.listen(self._hear):
            while True:
                self._fell_behind.clear()
                if self._follower.is_behind:
                    await hub.catch_up(self._follower)
                    self._news.set()
                else:
                    await self._fell_behind.wait()

    async def _write(self) -> None:
        """Send what waits, at the browser's pace; after an overflow begin with a snapshot."""
        outbox = self._follower.outbox
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while outbox:
                    await self.write_message(outbox.take())
                if outbox.overflowed:
                    self.log.info("A browser reads the event stream too slowly; it gets a snapshot instead.")
                    self._follower.start_afresh()
                if self._follower.is_behind:
                    self._fell_behind.set()
        except WebSocketClosedError:
            self.on_close()
