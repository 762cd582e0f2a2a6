"""Has the store clear away, in slices and in the background, what commits have only marked as gone.

A slice has its turn in the thread that commits, so that a commit waits for one slice at most.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor

from ..core.errors import QueueServerError
from ..storage import Store

_log = logging.getLogger(__name__)

#: Seconds between two slices: the disk is for the others, too.
_PAUSE = 0.05


class Tidying:
    """Calls `Store.tidy` until nothing is left, at the start and whenever it is needed.

    Parameters
    ----------
    thread
        The one that uses the store.
    """

    def __init__(self, store: Store, thread: Executor) -> None:
        self._store = store
        self._thread = thread
        self._needed = asyncio.Event()
        self._needed.set()  # an earlier manager may have left something

    def need(self) -> None:
        """There is something to clear away."""
        self._needed.set()

    async def run(self) -> None:
        """Work until cancelled; what is left then is found by the next life."""
        loop = asyncio.get_running_loop()
        while True:
            await self._needed.wait()
            self._needed.clear()
            try:
                if await loop.run_in_executor(self._thread, self._store.tidy):
                    self._needed.set()
            except QueueServerError as err:
                _log.warning("What was dropped from the history is not cleared away yet: %s", err.msg)
            except Exception:  # noqa: BLE001 - boundary of one slice: the next trim tries again
                _log.exception("What was dropped from the history is not cleared away, by a fault of the store.")
            await asyncio.sleep(_PAUSE)
