"""Places between two steps of the manager where a test may let it die, stop, wait, or find its store out of order.

Inactive unless an environment variable names a script in the data directory of the instance; no request can reach it, and
what it does is written in that script alone.  It must not decide anything, and must cost nothing when it is inactive.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from ..core.errors import StoreUnavailable
from ..instance import Instance, write_private
from ..storage import Store

_log = logging.getLogger(__name__)

#: Environment variable with the path of the script: a JSON list of `Fault`.
VARIABLE = "JUPYTER_QUEUESERVER_FAULT_SCRIPT"

Point = Literal["commit", "committed", "publish", "published", "act", "acted"]


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What shall go wrong, and where.

    Attributes
    ----------
    point
        Before and after a commit (in the store's thread), before and after its changes are published, before an effect is
        started and after the worker has answered.
    about
        Type of a change or effect that must be among those of the moment; empty: any.
    action
        ``kill`` or ``stop`` this process; ``wait`` for some seconds; ``refuse`` the commit; ``sql``: execute a statement in the
        store's connection first.
    seconds
        How long ``wait`` waits.
    statement
        What ``sql`` executes, e.g. ``PRAGMA query_only = 1``.
    skip, times
        How many such moments are passed over, and how many are struck then.
    """

    point: Point
    about: str = ""
    action: Literal["kill", "stop", "wait", "refuse", "sql"] = "kill"
    seconds: float = 0.0
    statement: str = ""
    skip: int = 0
    times: int = 1


class _Script:
    """The faults that are still to come; each is crossed out before it happens, so that no later life repeats it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def due(self, point: Point, about: set[str]) -> Fault | None:
        with self._lock:
            try:
                faults = msgspec.json.decode(self._path.read_bytes(), type=list[Fault])
            except FileNotFoundError:
                return None
            met = next((fault for fault in faults if fault.point == point and (not fault.about or fault.about in about)), None)
            if met is None:
                return None
            is_due = met.skip == 0
            if is_due:
                met.times -= 1
            else:
                met.skip -= 1
            write_private(self._path, msgspec.json.encode([fault for fault in faults if fault.times > 0]))
            return met if is_due else None


_script: _Script | None = None


def activate(instance: Instance) -> None:
    """Look whether a script is named; one that does not lie in the instance is not followed."""
    global _script
    named = os.environ.get(VARIABLE)
    if named is None:
        return
    if Path(named).resolve().parent != instance.data_dir.resolve():
        _log.warning("%s names a file outside of the data directory; it is ignored.", VARIABLE)
        return
    _log.warning("This manager lets things go wrong as %s says: it is a test.", named)
    _script = _Script(Path(named))


def reach(point: Point, things: Sequence[Any]) -> None:
    """Note that this point is reached with these changes or effects."""
    if _script is not None:
        fault = _script.due(point, {type(thing).__name__ for thing in things})
        if fault is not None:
            _strike(fault)


def reach_later(task: asyncio.Task[Any], point: Point, things: Sequence[Any]) -> None:
    """`reach` at the end of a task."""
    if _script is not None:
        task.add_done_callback(lambda _: reach(point, things))


def watched(store: Store) -> Store:
    """Return the store, with the points before and after each commit if there is a script."""
    return store if _script is None else cast(Store, _WatchedStore(store))


def _strike(fault: Fault) -> None:
    if fault.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif fault.action == "wait":
        time.sleep(fault.seconds)
    elif fault.action == "refuse":
        raise StoreUnavailable("The store cannot be written: a test wants it so.")


class _WatchedStore:
    """A store whose commits are such moments; everything else is the store's own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, changes: Sequence[Any], *rest: Any, **more: Any) -> Any:
        assert _script is not None
        fault = _script.due("commit", {type(change).__name__ for change in changes})
        if fault is not None and fault.action == "sql":
            getattr(self._store, "_connection").execute(fault.statement)  # noqa: B009 - only a test may reach in there
        elif fault is not None:
            _strike(fault)
        result = self._store.commit(changes, *rest, **more)
        reach("committed", changes)
        return result
