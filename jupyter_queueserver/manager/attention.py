"""Notices a worker that lives and does not answer: stopped, swapped out, or held by code that never lets go of Python.

It asks and tells; it never ends such a worker, because its plan may be all right.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable

from ..core.errors import WorkerRefused
from ..core.rules.recovery import worker_answers, worker_unreachable
from ..instance import is_stopped
from ..link.errors import WorkerUnreachable
from ..link.worker import WorkerLink
from .intake import Intake
from .writer import Writer

#: Seconds between two questions.
_PAUSE = 1.0
#: Seconds that an answer may take.
_PATIENCE = 1.0


class Attention:
    """Watches the worker of this moment.

    Parameters
    ----------
    link
        Gives the worker; None: there is none.
    limit
        Seconds without an answer after which the worker counts as unreachable.
    """

    def __init__(self, link: Callable[[], WorkerLink | None], fence: int, writer: Writer, intake: Intake, limit: float) -> None:
        self._link = link
        self._fence = fence
        self._writer = writer
        self._intake = intake
        self._limit = limit
        self._silent = 0.0

    async def run(self) -> None:
        """Ask until cancelled."""
        asked: WorkerLink | None = None
        while True:
            if not self._silent:
                await asyncio.sleep(_PAUSE)
            link = self._link()
            if link is not asked:
                asked, self._silent = link, 0.0
            if link is None or link.facts is None or link.died.done():  # or nobody has greeted it yet
                self._silent = 0.0
            else:
                await self._ask(link)

    async def _ask(self, link: WorkerLink) -> None:
        began = time.monotonic()
        try:
            await link.status(self._fence, limit=_PATIENCE)
        except WorkerUnreachable:
            # Time in which this process itself was stopped does not count.
            self._silent += min(time.monotonic() - began, _PATIENCE) or _PAUSE
            if self._silent >= self._limit and not link.died.done():
                await self._tell(link)
            return
        except WorkerRefused:
            pass  # it has answered
        self._silent = 0.0
        if self._writer.state.environment.unreachable is not None:
            await self._intake.submit(functools.partial(worker_answers, environment_id=link.environment_id), durable=False)

    async def _tell(self, link: WorkerLink) -> None:
        if self._writer.state.environment.unreachable is not None:
            return
        reason = f"It has not answered for {self._limit:g} s."
        if is_stopped(link.pid):
            reason += f" Its process ({link.pid}) is stopped, as by SIGSTOP: it goes on with SIGCONT."
        rule = functools.partial(worker_unreachable, environment_id=link.environment_id, reason=reason)
        await self._intake.submit(rule, durable=False)
