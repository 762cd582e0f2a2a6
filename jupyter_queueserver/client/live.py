"""A live mirror: the manager's public state in this process, kept up by the event stream.

It only listens; to change something call a method of the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from ..core.mirror import Mirror
from ..core.state import State
from ..core.status import part_uid
from .errors import ClientError, RequestTimeout
from .events import ByeEvent, ChangesEvent, Event, LostEvent, SnapshotEvent
from .stream import EventStream

_log = logging.getLogger(__name__)

#: Seconds between two questions to a manager that is being replaced.
_PAUSE = 0.2
#: How many changes back a status may lie behind the mirror when the two are compared.
_LOOK_BACK = 1000


class LiveMirror:
    """A copy of queue, history, environment and execution that follows the manager.

    Made by `AsyncClient.mirror`; use it as an asynchronous context manager, which waits for the first snapshot::

        async with client.mirror() as live:
            await client.queue_start()
            await live.wait_for(lambda live: live.status["manager_state"] == "idle", timeout=60)

    Attributes
    ----------
    status
        The status dictionary as of the last change; empty before the first snapshot.
    epoch
        Identity of this life of the manager; None before the first snapshot.
    is_connected
        Whether the manager is heard.
    """

    def __init__(self, stream: EventStream, ask_status: Callable[[], Awaitable[dict[str, Any]]], timeout: float) -> None:
        self._stream = stream
        self._ask_status = ask_status
        self._timeout = timeout
        self._mirror: Mirror | None = None
        self._news = asyncio.Event()  # a new one after each event
        self._task: asyncio.Task[None] | None = None
        self.status: dict[str, Any] = {}
        self.epoch: str | None = None
        self.is_connected = False

    @property
    def state(self) -> State:
        """The state as last heard (without plans and devices; the newest part of the history)."""
        if self._mirror is None:
            raise ClientError("The mirror has no snapshot yet: enter it with 'async with'.")
        return self._mirror.state

    @property
    def history_size(self) -> int:
        """Length of the whole history."""
        return self._mirror.history_size if self._mirror else 0

    async def __aenter__(self) -> LiveMirror:
        self._task = asyncio.create_task(self._follow(), name="live mirror")
        try:
            async with _time_limit(self._timeout, "no snapshot of the manager's state came"):
                await self._until(lambda: self._mirror is not None)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop following."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (err := task.exception()) is not None:
                _log.warning("The mirror had ended before: %s", err)
        await self._stream.aclose()

    async def wait_for(
        self,
        predicate: Callable[[LiveMirror], Any],
        timeout: float | None = None,  # noqa: ASYNC109 - part of the promise
    ) -> None:
        """Return as soon as ``predicate(mirror)`` is true.

        It first catches up with the manager, so that what a call did before is seen.

        Parameters
        ----------
        timeout
            Seconds; None: for ever.

        Raises
        ------
        RequestTimeout
            It did not become true in time.
        """
        async with _time_limit(timeout, "what was waited for did not happen"):
            await self._catch_up()
            await self._until(lambda: predicate(self))

    async def changed(self) -> None:
        """Return at the next event."""
        await self._news.wait()

    async def _catch_up(self) -> None:
        epoch, checked = self.epoch, max(-1, self.state.seq - _LOOK_BACK)
        wanted = (await self._asked()).get("status_uid")

        def has_passed() -> bool:
            nonlocal checked
            if self.epoch is None or self.epoch != epoch:  # another manager: its snapshot is newer than the question
                return True
            new = range(checked + 1, self.state.seq + 1)
            checked = self.state.seq
            return any(part_uid(self.epoch, "status", number) == wanted for number in new)

        if isinstance(wanted, str):
            await self._until(has_passed)

    async def _asked(self) -> dict[str, Any]:
        """Ask for the status; a manager that is just being replaced is waited for, as long as the caller wants."""
        while True:
            try:
                return await self._ask_status()
            except RequestTimeout as err:
                _log.info("The manager is silent: %s", err)
                await asyncio.sleep(_PAUSE)

    async def _until(self, predicate: Callable[[], Any]) -> None:
        while not predicate():
            if self._task is None:
                raise ClientError("The mirror is closed.")
            if self._task.done():
                self._task.result()
                raise ClientError("The mirror is closed.")
            await self._news.wait()

    async def _follow(self) -> None:
        try:
            async for event in self._stream:
                self._take(event)
                self._wake()
        finally:
            self.is_connected = False
            asyncio.get_running_loop().call_soon(self._wake)  # when this task is done

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _take(self, event: Event) -> None:
        self.is_connected = not isinstance(event, LostEvent | ByeEvent)
        try:
            if isinstance(event, SnapshotEvent):
                self._mirror = Mirror(event.snapshot)
                self.epoch, self.status = event.epoch, event.status
            elif isinstance(event, ChangesEvent) and self._mirror is not None:
                for seq, change in event.changes:
                    self._mirror.apply(seq, change, event.time)
                self.status = event.status
        except (ValueError, KeyError) as err:
            _log.warning("A change could not be applied (%s); asking for a snapshot.", err)
            self._stream.forget()


@contextlib.asynccontextmanager
async def _time_limit(timeout: float | None, what: str) -> AsyncIterator[None]:  # noqa: ASYNC109 - its very purpose
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as err:
        if isinstance(err, RequestTimeout):
            raise
        raise RequestTimeout(f"timeout occurred: {what} within {timeout:g} s") from err
