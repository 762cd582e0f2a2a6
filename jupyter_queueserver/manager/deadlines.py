"""Tells the core when what the running plan was told takes longer than the settings allow.

It counts seconds, by a clock that nobody sets; what follows from it is the core's matter
(`jupyter_queueserver.core.rules.pending`).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time

from ..core.errors import QueueServerError
from ..core.rules.pending import fell_due
from ..core.state import Pending
from .settings import Settings
from .writer import Writer

_log = logging.getLogger(__name__)

#: Seconds between two attempts at a decision that failed.
_RETRY = 1.0


class Deadlines:
    """Watches the pending command of one writer's state."""

    def __init__(self, writer: Writer, settings: Settings) -> None:
        self._writer = writer
        ending = settings.ending_limit
        self._limits: dict[str, float] = {
            "deferred_pause": settings.deferred_pause_limit,
            "immediate_pause": settings.pause_limit,
            **dict.fromkeys(("resume", "stop", "abort", "halt"), ending),
        }
        self._changed = asyncio.Event()
        self._known: Pending | None = None
        self._due = 0.0

    def look(self) -> None:
        """The state has changed."""
        if self._writer.state.execution.pending is not self._known:
            self._changed.set()

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            self._changed.clear()
            left = self._left(self._writer.state.execution.pending)
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                await self._tell()

    def _left(self, pending: Pending | None) -> float | None:
        """Seconds until it is due; None: nothing is waited for."""
        if pending is None or pending.overdue:
            self._known = pending
            return None
        if pending != self._known:
            limit = self._limits[pending.command]
            passed = max(0.0, time.time() - pending.since)  # it may be older than this manager
            self._due = time.monotonic() + max(0.0, limit - passed)
        self._known = pending
        return max(0.0, self._due - time.monotonic())

    async def _tell(self) -> None:
        pending = self._known
        if pending is None:
            return
        try:
            await self._writer.submit(functools.partial(fell_due, since=pending.since), durable=False)
        except QueueServerError as err:
            _log.warning("That %s is overdue could not be told: %s", pending.command, err.msg)
            await asyncio.sleep(_RETRY)
