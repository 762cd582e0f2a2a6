"""Tasks: scripts and functions that run in the environment outside of the queue, and what came of them.

Values only; who may start one, and when, is decided in `jupyter_queueserver.core.rules.tasks`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .codec import Verbatim

TaskKind = Literal["script", "function", "update"]

#: What existing clients know as the kinds of tasks.
TASK_TITLES: dict[TaskKind, str] = {"script": "Load script", "function": "Execute function", "update": "Load script"}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is not over.

    Attributes
    ----------
    task_uid
        Its identity.
    kind
        ``script``: uploaded code; ``function``: a call of a function of the namespace; ``update``: the namespace is looked
        through again.
    background
        Whether it runs in a thread of its own, beside plans; else in the worker's main thread, and the manager is busy.
    time_start
        When it was accepted, seconds since the epoch.
    payload
        JSON text of what the worker has to do; empty once the worker has it.
    """

    task_uid: str
    kind: TaskKind
    background: bool
    time_start: float
    payload: str = ""


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a task ended.

    Attributes
    ----------
    success
        Whether it ended without an exception.
    msg, traceback
        What went wrong; empty if nothing did.
    return_value
        What a function returned, as JSON text; None: nothing, or it is not told here.
    time_start, time_stop
        Seconds since the epoch.
    time_known
        When the manager learned of it, which may be later: it was away, or just starting.
    """

    task_uid: str
    success: bool
    msg: str = ""
    traceback: str = ""
    return_value: Verbatim | None = None
    time_start: float
    time_stop: float
    time_known: float = 0.0
