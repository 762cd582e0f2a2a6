"""What follows when a store on another machine says that it is away, back, or somebody else's.

The status tells it at once, also while nobody writes; a store that is back with something else than was committed is brought
to the present state.  What is written is the store's matter.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from contextlib import suppress

from ..core.changes import HistoryTrimmed
from ..core.decision import Step
from ..core.errors import ServiceError
from ..storage import Store
from ..storage.watched import Condition, HistoryLost
from .once import SaidOnce
from .writer import Writer

_log = logging.getLogger(__name__)


async def attend_store(store: Store, writer: Writer, on_lost: Callable[[], None]) -> None:
    """Take what the store says by itself, until cancelled; a store that never does is waited for.

    Parameters
    ----------
    on_lost
        Called when another manager has it.
    """
    loop = asyncio.get_running_loop()
    said: asyncio.Queue[Condition] = asyncio.Queue()

    def told(condition: Condition) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(said.put_nowait, condition)

    watch = getattr(store, "watch", None)  # not isinstance: the store may be wrapped for a test
    if watch is not None:
        watch(told)
    waiting = SaidOnce(_log)
    while True:
        condition = await said.get()
        while not said.empty():  # only the last word counts
            condition = said.get_nowait()
        if condition.lost:
            on_lost()
            continue
        writer.store_says(condition.failure, condition.alarm)
        if condition.stale:
            await _write_anew(writer, waiting)


async def _write_anew(writer: Writer, waiting: SaidOnce) -> None:
    """Bring the store to the present state; if it fails, the store says again that it is stale."""
    try:
        try:
            await writer.submit(functools.partial(_begin_history, first=0))
        except HistoryLost as lost:
            waiting.failed(lost.msg)
            await writer.submit(functools.partial(_begin_history, first=lost.first))
    except ServiceError as err:
        waiting.failed(f"The store could not be written anew yet: {err.msg}")
    else:
        waiting.over("The store is written anew.")


def _begin_history(step: Step, first: int) -> None:
    """Drop the entries below a number; a change in any case, so that there is a commit."""
    step.emit(HistoryTrimmed(count=max(0, first - step.state.history.first)))
