"""Looks the store over while the manager serves, so that damage is known before the data are needed.

It only reads, in a thread of its own; what it finds is told and nothing else: the manager goes on with what it has.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from ..storage import Store
from ..storage.soundness import Checkable

_log = logging.getLogger(__name__)

#: Seconds after the start until the first look: those who wait for the manager come first.
_FIRST = 5.0
#: Seconds between two looks; a manager may live for months.
_PERIOD = 24 * 3600.0


async def watch_store(store: Store, on_damage: Callable[[str], None], first: float = _FIRST) -> None:
    """Look the store over again and again, until cancelled; `on_damage` is given a sentence."""
    stop = threading.Event()
    delay = first
    try:
        while True:
            await asyncio.sleep(delay)
            delay = _PERIOD
            if isinstance(store, Checkable) and (found := await asyncio.to_thread(store.check, stop)):
                _log.error("%s Stop the manager when it is idle and run `jupyter queueserver recover`.", found)
                on_damage(found)
    finally:
        stop.set()  # a look that goes on would hold up the end of the process
