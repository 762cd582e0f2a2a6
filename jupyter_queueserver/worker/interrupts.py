"""Interrupts of the main thread: SIGINT raises ``KeyboardInterrupt`` in users' code, and never in ours around it.

It is sent by another thread, so that code which blocks or swallows it holds up nobody but itself.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from .forks import parent_only

T = TypeVar("T")

INTERRUPTED = "It was interrupted."

#: An interrupt came while none of users' code was running; the next of it ends at once.
_missed = threading.Event()


def interruptible(work: Callable[[], T]) -> T:
    """Do users' work, which an interrupt may end if it is done in the main thread."""
    if _missed.is_set() and threading.current_thread() is threading.main_thread():
        _missed.clear()
        raise KeyboardInterrupt(INTERRUPTED)
    with parent_only:
        return work()


@contextmanager
def interrupts_taken() -> Iterator[None]:
    """Let interrupts reach what is done by `interruptible`; main thread."""
    _missed.clear()
    before = signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


def interrupt_main_thread() -> None:
    """Send SIGINT to the main thread; from any thread, returns at once."""
    ident = threading.main_thread().ident
    if ident is not None:
        signal.pthread_kill(ident, signal.SIGINT)


def _interrupted(number: int, frame: FrameType | None) -> None:
    above = frame.f_back if frame is not None else None
    while above is not None:
        if above.f_code is interruptible.__code__:
            raise KeyboardInterrupt(INTERRUPTED)
        above = above.f_back
    _missed.set()
