"""What the gateway itself hears of the manager: one subscription for all old-style subscribers of console text and status.

It keeps the last console text, and hands every piece and every status on to who listens.  A listener that does not keep up loses
its oldest messages; nobody waits for it.  It neither starts a manager nor asks for anything but the status.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal

import msgspec
import zmq.asyncio

from .console_buffer import MessageLog, Printed, Screen
from .refusals import Refusal
from .subscription import Message, Position, Subscription

_log = logging.getLogger(__name__)

Topic = Literal["console", "status"]

#: Seconds after which listeners get the status again though nothing changed.
REPEAT_AFTER = 1.0
#: Seconds from one question to the next where a manager has no event stream and nobody listens.
_ASK_EVERY = 5.0
#: Bounds of one listener's backlog: messages and bytes.
MAX_MESSAGES = 1000
_MAX_BYTES = 8 << 20


class _Console(msgspec.Struct):
    environment_id: str
    offset: int
    text: str
    time: float
    end: int | None = None


class _LogText(msgspec.Struct):
    text: str
    time: float


class Listener:
    """What waits for one subscriber; bounded, the oldest goes first."""

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = _MAX_BYTES) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._news = asyncio.Event()

    def put(self, text: bytes) -> None:
        """Add a message."""
        self._waiting.append(text)
        self._bytes += len(text)
        while len(self._waiting) > self._max_messages or (self._bytes > self._max_bytes and len(self._waiting) > 1):
            self._bytes -= len(self._waiting.popleft())
        self._news.set()

    def end(self) -> None:
        """Let nothing come after what waits."""
        self._ended = True
        self._news.set()

    async def next(self) -> bytes | None:
        """Return the next message, as JSON text; None: there will be none any more."""
        while not self._waiting:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        text = self._waiting.popleft()
        self._bytes -= len(text)
        return text


class Feed:
    """Console text and status of the manager, for any number of listeners.

    Parameters
    ----------
    address
        0MQ address of the manager's event stream; None: it has none, so there is no console text, and the status is asked for.
    ask_status
        Gives the status dictionary as JSON text; may raise `Refusal`.
    on_status
        Called with each status (JSON text).
    on_goodbye
        Called when the manager has ended in order.

    Attributes
    ----------
    screen, log
        The console text that was heard last.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        address: str | None,
        ask_status: Callable[[], Awaitable[bytes]],
        on_status: Callable[[bytes], None],
        on_goodbye: Callable[[], None],
    ) -> None:
        self._context = context
        self._address = address
        self._ask_status = ask_status
        self._on_status = on_status
        self._on_goodbye = on_goodbye
        self._listeners: dict[Topic, set[Listener]] = {"console": set(), "status": set()}
        self._status_news = asyncio.Event()
        self._environment_id = ""
        self._end = 0
        self.screen = Screen()
        self.log = MessageLog(str(uuid.uuid4()))

    @property
    def has_console(self) -> bool:
        """Whether console text can be heard."""
        return self._address is not None

    @contextlib.contextmanager
    def listen(self, topic: Topic) -> Iterator[Listener]:
        """Give what comes from now on."""
        listener = Listener()
        self._listeners[topic].add(listener)
        if topic == "status":
            self._status_news.set()  # the second begins now
        try:
            yield listener
        finally:
            self._listeners[topic].discard(listener)

    async def run(self) -> None:
        """Hear the manager until cancelled; then the listeners end."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._repeat_status())
                if self._address is not None:
                    group.create_task(self._follow(self._address))
        finally:
            for listener in [*self._listeners["console"], *self._listeners["status"]]:
                listener.end()

    async def _follow(self, address: str) -> None:
        subscription = Subscription(self._context, address, Position(topics=("state", "console"), history=0))
        try:
            async for message in subscription.messages():
                self._take(message)
        finally:
            subscription.close()

    def _take(self, message: Message) -> None:
        if message.status is not None:
            self._take_status(message.status)
        elif message.kind == "console":
            try:
                self._take_console(msgspec.json.decode(message.text, type=_Console))
            except msgspec.MsgspecError as err:
                _log.error("Console text of the manager (%d bytes) cannot be read: %s", len(message.text), err)
        elif message.kind == "log":
            self._print(msgspec.json.decode(message.text, type=_LogText))
        elif message.kind == "bye":
            self._on_goodbye()

    async def _repeat_status(self) -> None:
        while True:
            self._status_news.clear()
            wanted = bool(self._listeners["status"])
            try:
                async with asyncio.timeout(REPEAT_AFTER if wanted else _ASK_EVERY):
                    await self._status_news.wait()
            except TimeoutError:
                if wanted or self._address is None:
                    with contextlib.suppress(Refusal):
                        self._take_status(await self._ask_status())

    def _take_status(self, status: bytes) -> None:
        self._on_status(status)
        self._status_news.set()
        self._tell("status", b'{"time":%r,"msg":{"status":%b}}' % (time.time(), status))

    def _take_console(self, message: _Console) -> None:
        """Note a piece of text; of one that comes again after a break only what is new."""
        text = message.text
        end = message.offset + len(text.encode()) if message.end is None else message.end
        if message.environment_id == self._environment_id and message.offset < self._end:
            if end <= self._end:
                return
            text = text.encode()[self._end - message.offset :].decode(errors="replace")
        self._environment_id, self._end = message.environment_id, end
        self._print(_LogText(text, message.time))

    def _print(self, message: _LogText) -> None:
        """Note text as it appears on a screen."""
        self.screen.write(message.text)
        printed = Printed(message.time, message.text)
        self.log.add(printed)
        self._tell("console", json.dumps(printed._asdict()).encode())

    def _tell(self, topic: Topic, text: bytes) -> None:
        for listener in self._listeners[topic]:
            listener.put(text)
