"""What follows when a store says that it is away, back, or somebody else's; one that says nothing is tried while it refuses.

The status tells it at once, also while nobody writes; a store that is back with something else than was committed is brought
to the present state.  What is written is the store's matter.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ..core.changes import HistoryTrimmed
from ..core.decision import Step
from ..core.errors import QueueServerError, ServiceError
from ..storage import Store
from ..storage.watched import Condition, HistoryLost
from .once import SaidOnce
from .writer import Writer

_log = logging.getLogger(__name__)

#: Seconds between two tries of a store that takes no changes and does not say by itself when it does again.
_TRY = 5.0


async def attend_store(store: Store, writer: Writer, on_lost: Callable[[], None], pause: float = _TRY) -> None:
    """Take what the store says by itself, until cancelled; one that never does is tried while it takes no changes.

    Parameters
    ----------
    on_lost
        Called when another manager has it.
    pause
        Seconds between two tries.
    """
    loop = asyncio.get_running_loop()
    said: asyncio.Queue[Condition] = asyncio.Queue()

    def told(condition: Condition) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(said.put_nowait, condition)

    watch = getattr(store, "watch", None)  # not isinstance: the store may be wrapped for a test
    if watch is None:
        return await _try_again_and_again(writer, pause)
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


async def _try_again_and_again(writer: Writer, pause: float) -> NoReturn:
    """A file system does not say when it has room again, and there may be no other change for a whole night."""
    while True:
        await asyncio.sleep(pause)
        if writer.store_refusal is not None:
            with suppress(QueueServerError):  # it was told when the refusal began
                await writer.submit(functools.partial(_begin_history, first=0))


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
