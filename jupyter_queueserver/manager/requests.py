"""Retries within one life of the manager: those that come while the first is under way, and how long the newest must be known.

It keeps no replies; which requests were done is in the state, and their replies are in the store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..core.requests import RequestKey, unpacked
from ..core.rules.requests import PROMISED, reused
from ..storage import Store

T = TypeVar("T")

_log = logging.getLogger(__name__)


def stored_reply(store: Store, request_id: str) -> bytes | None:
    """Return the reply (JSON text) of a recorded request, None if it is not there or damaged; in the store's thread."""
    kept = store.request_reply(request_id)
    try:
        return None if kept is None else unpacked(kept)
    except ValueError as err:
        _log.error("The reply to the request '%s' is lost: %s.", request_id, err)
        return None


class UnderWay:
    """Requests with an id that are not answered yet."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[str, asyncio.Task[Any]]] = {}

    async def once(self, key: RequestKey, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do the work, or wait for what comes of the same request that is under way; raises what the work raises.

        Raises
        ------
        RequestIdReused
            Another request with this id is under way.
        """
        digest, task = self._tasks.get(key.request_id, ("", None))
        if task is None:
            task = asyncio.create_task(work())
            self._tasks[key.request_id] = key.digest, task
            task.add_done_callback(lambda _: self._ended(key.request_id))
        elif digest != key.digest:
            raise reused(key)
        return await asyncio.shield(task)  # who asked first may go away; who asked again waits on

    def _ended(self, request_id: str) -> None:
        _, task = self._tasks.pop(request_id)
        if not task.cancelled():
            task.exception()  # perhaps nobody waits any more


class Recent:
    """How many requests were recorded not long ago, by a clock that does not jump.

    Parameters
    ----------
    clock
        Seconds since whenever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[float] = deque()
        self._is_full = False

    def note(self) -> None:
        """One was recorded."""
        self._is_full = False
        self._times.append(self._clock())

    def count(self) -> int:
        """Return how many were, in the time for which a retry is known in any case."""
        oldest = self._clock() - PROMISED
        while self._times and self._times[0] < oldest:
            self._times.popleft()
        return len(self._times)

    def refused(self, why: str) -> None:
        """There was no room for one: say so in the log, once until there is room again."""
        if not self._is_full:
            self._is_full = True
            _log.warning("Requests with an id are refused, and clients do without: %s", why)
