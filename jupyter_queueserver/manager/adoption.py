"""Finds the worker that an earlier manager left: alive, dead, or alive and not answering.

It waits and kills, and reads what is on disk; what the finding means for the queue is not its matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from ..instance import Instance, boot_id
from ..link.environment import EnvironmentRecord, read_copied_environment, read_environment
from ..link.errors import NotAdoptable
from ..link.launch import IDENTITY_FILE, WorkerProcess, find_process
from ..link.worker import WorkerLink

_log = logging.getLogger(__name__)

#: Seconds between two attempts at a worker that does not answer.
_RETRY = 0.5
#: Seconds after which a worker that never said who it is was never started: its manager died in between.
_LAUNCH_LIMIT = 10.0


class Gone(NamedTuple):
    """The recorded worker is dead, with the reason as a sentence; ``copied``: it may live, but is that of another instance."""

    record: EnvironmentRecord
    reason: str
    copied: bool = False


async def find_worker(
    instance: Instance,
    fence: int,
    wanted: Callable[[], bool],
    meanwhile: Callable[[EnvironmentRecord, str], Awaitable[None]] | None = None,
) -> WorkerLink | Gone | None:
    """Adopt the worker that ``environment.json`` names; None if it names none.

    As long as that process lives and does not answer, nothing may be concluded about its plan but what it reports: this waits,
    until it answers, is dead, or is no longer wanted (asked before each attempt); then it is killed.

    Parameters
    ----------
    meanwhile
        Called after each attempt in vain, with the reason as a sentence.
    """
    told = ""
    while True:
        record = read_environment(instance)
        if record is None:
            return _copied(instance)
        try:
            return await WorkerLink.adopt(instance, fence)
        except NotAdoptable as err:
            if not err.alive or _was_never_launched(record):
                return Gone(record, err.reason)
            if not wanted():
                return Gone(record, await kill_recorded(record))
            if err.reason != told:
                _log.warning("The worker cannot be adopted yet: %s", err.reason)
                told = err.reason
            if meanwhile is not None:
                await meanwhile(record, err.reason)
        await asyncio.sleep(_RETRY)


def _copied(instance: Instance) -> Gone | None:
    found = read_copied_environment(instance)
    if found is None:
        return None
    record, home = found
    reason = f"This data directory is a copy of {home.path}: the worker stayed there, and so did the rest of what it did."
    return Gone(record, reason, copied=True)


def _was_never_launched(record: EnvironmentRecord) -> bool:
    if record.identity is not None or (Path(record.directory) / IDENTITY_FILE).exists():
        return False
    return record.boot_id != boot_id() or time.monotonic() - record.began > _LAUNCH_LIMIT


def may_live(record: EnvironmentRecord) -> bool:
    """Whether a process is, or may be, there that is the recorded worker."""
    try:
        _, watch = find_process(record)
    except NotAdoptable as err:
        return err.alive and not _was_never_launched(record)
    watch.close()
    return True


async def kill_recorded(record: EnvironmentRecord) -> str:
    """SIGKILL the recorded worker, whether it answers or not; returns the reason of its death."""
    try:
        identity, watch = find_process(record)
    except NotAdoptable as err:
        return err.reason
    process = WorkerProcess(identity, watch, None)
    try:
        return await process.kill()
    finally:
        await process.close()
