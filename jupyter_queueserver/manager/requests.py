"""Retries within one life of the manager: those that come while the first is under way, and how long the newest must be known.

It keeps no replies; which requests were done is in the state, and their replies are in the store.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..core.requests import RequestKey
from ..core.rules.requests import PROMISED, reused

T = TypeVar("T")


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

    def note(self) -> None:
        """One was recorded."""
        self._times.append(self._clock())

    def count(self) -> int:
        """Return how many were, in the time for which a retry is known in any case."""
        oldest = self._clock() - PROMISED
        while self._times and self._times[0] < oldest:
            self._times.popleft()
        return len(self._times)
