"""Forked children of the worker: they hold a copy of all that it has, and must not act as the worker.

A child that execs, ends by itself or belongs to `multiprocessing` is left alone.  One that comes back out of users' code into
ours (`parent_only`), or into one of the worker's event loops (`watch_forks`), ends there at once, without exit handlers, because
those are the parent's.  What the worker writes (reports, ledger, journal) refuses children by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

#: Process id of the worker; None in processes that are none, where nothing here does anything.
_worker: int | None = None


def watch_forks(loops: Callable[[], Iterable[asyncio.AbstractEventLoop]], run_engine: Callable[[], Any]) -> None:
    """Declare this process the worker; once.

    Parameters
    ----------
    loops
        Gives the event loops of the worker; called in children.
    run_engine
        Gives its RunEngine, or None; called in children.
    """
    global _worker
    _worker = os.getpid()

    def after() -> None:
        for loop in loops():
            # Comes first when the loop goes on in the child, before that takes what was meant for the parent: they share a pipe.
            with contextlib.suppress(RuntimeError):
                loop.call_soon(end_child)
        engine = run_engine()
        if engine is not None:  # no message of a child's plan is obeyed: motors would move twice
            engine.msg_hook = lambda msg: end_child()

    os.register_at_fork(after_in_child=after)


def end_child(err: BaseException | None = None) -> None:
    """End this process if it is a forked child of the worker; otherwise return.

    The exit code is 0; that of a ``sys.exit``; or 1 after another exception, whose traceback goes to the console file.
    """
    if _worker is None or os.getpid() == _worker:
        return
    if isinstance(err, SystemExit):
        os._exit(_code_of(err))
    if err is None or isinstance(err, GeneratorExit):
        os._exit(0)
    try:
        _say("".join(traceback.format_exception(err)))
    finally:
        os._exit(1)


def _code_of(err: SystemExit) -> int:
    if err.code is None:
        return 0
    if isinstance(err.code, int):
        return err.code & 0xFF
    with contextlib.suppress(Exception):  # its text is users' code
        _say(f"{err.code}\n")
    return 1


def _say(text: str) -> None:
    """Not by `sys.stderr`: a thread that does not exist here may hold its lock."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode("utf-8", "backslashreplace"))


class _ParentOnly:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, frames: TracebackType | None) -> None:
        end_child(err)


#: ``with parent_only:`` around users' code: only the worker itself comes out of it.
parent_only = _ParentOnly()
