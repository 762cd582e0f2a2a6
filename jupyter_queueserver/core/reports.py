"""Reports: what a worker tells its manager, numbered and kept on disk by the worker until they are acknowledged.

A report is a fact and cannot be refused.  It is applied once: the number of the last one applied is part of the state and
is committed together with what it changed.  `WorkerLost` is made by the manager itself.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .endings import FailurePoint, LastDocument, OpenRun


class Report(msgspec.Struct, frozen=True, tag_field="report", kw_only=True):
    """Base of all reports.

    Attributes
    ----------
    time
        When it happened in the worker, seconds since the epoch.
    """

    time: float


class StartupFile(msgspec.Struct, frozen=True, kw_only=True):
    """How the loading of one startup file (or script, or module) went.

    Attributes
    ----------
    name
        File name, or module name.
    seconds
        How long it took.
    names
        Names that it added to the namespace.
    warnings
        Text of the Python warnings that it raised.
    error
        ``"Type: text"`` of the exception that ended it; None if it was loaded.
    line
        Line in that file where the exception came from; None if there was none or it is not known.
    traceback
        The Python traceback; empty if there was no exception.
    """

    name: str
    seconds: float
    names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None
    line: int | None = None
    traceback: str = ""


class StartupLoading(Report, tag="startup_loading", frozen=True, kw_only=True):
    """The loading of one startup file (or script, or module) begins: the `number`-th of `count`."""

    name: str
    number: int
    count: int


class EnvironmentReady(Report, tag="environment_ready", frozen=True, kw_only=True):
    """The startup code is loaded; the lists are whole.

    ``plans`` and ``devices`` are the existing ones in the wire form; ``engine`` is the RunEngine's state, None without an RE.
    ``problems`` are sentences about plans or devices that were left out.
    """

    plans: dict[str, Any]
    devices: dict[str, Any]
    engine: str | None
    files: tuple[StartupFile, ...] = ()
    problems: tuple[str, ...] = ()
    seconds: float = 0.0


class EnvironmentFailed(Report, tag="environment_failed", frozen=True, kw_only=True):
    """The startup code could not be loaded; the worker ends itself after this report."""

    msg: str
    files: tuple[StartupFile, ...] = ()
    traceback: str = ""


class EnvironmentClosed(Report, tag="environment_closed", frozen=True, kw_only=True):
    """The worker ends in order, because its manager asked for it."""


class EngineState(Report, tag="engine_state", frozen=True, kw_only=True):
    """The RunEngine changed its state; ``state`` None: there is no RunEngine (any more).

    ``deferred`` is whether a deferred pause is waiting for its checkpoint.
    """

    state: str | None
    deferred: bool = False


class ItemTaken(Report, tag="item_taken", frozen=True, kw_only=True):
    """The main thread has taken the accepted item and starts its plan now."""

    item_uid: str


class RunOpened(Report, tag="run_opened", frozen=True, kw_only=True):
    """A run of the running item was opened."""

    item_uid: str | None
    run_uid: str
    scan_id: int | None


class RunClosed(Report, tag="run_closed", frozen=True, kw_only=True):
    """A run of the running item was closed; ``exit_status`` is that of its stop document."""

    item_uid: str | None
    run_uid: str
    exit_status: str


class ItemPaused(Report, tag="item_paused", frozen=True, kw_only=True):
    """The running plan is paused and the main thread is free again."""

    item_uid: str


class ItemEnded(Report, tag="item_ended", frozen=True, kw_only=True):
    """The running plan ended.

    ``ending`` is the honest one; ``refused`` means that the worker could not even start it (``msg`` says why).

    Attributes
    ----------
    failure
        Where it failed; None: it did not, or nothing is known.
    problems
        Sentences about all that is wrong with the parameters, if the worker refused it because of them.
    by_hand
        Whether the paused plan was continued by a cell of a console; None: an older worker does not say.
    """

    item_uid: str
    ending: Literal["completed", "failed", "stopped", "aborted", "halted", "refused"]
    run_uids: tuple[str, ...] = ()
    scan_ids: tuple[int | None, ...] = ()
    msg: str = ""
    traceback: str = ""
    time_start: float = 0.0
    failure: FailurePoint | None = None
    problems: tuple[str, ...] = ()
    by_hand: bool | None = None


class TaskEnded(Report, tag="task_ended", frozen=True, kw_only=True):
    """A task is over; ``return_value`` is what a function returned, as JSON text, None if there is nothing."""

    task_uid: str
    success: bool
    msg: str = ""
    traceback: str = ""
    return_value: str | None = None
    time_start: float


class ListsUpdated(Report, tag="lists_updated", frozen=True, kw_only=True):
    """The namespace was looked through again; all as in `EnvironmentReady`.

    The RunEngine's state is not told here: this may come from a thread beside it, and `EngineState` tells it in order.
    """

    plans: dict[str, Any]
    devices: dict[str, Any]
    problems: tuple[str, ...] = ()


class CellState(Report, tag="cell_state", frozen=True, kw_only=True):
    """A cell of an attached console holds the main thread, or no longer does."""

    running: bool


class Alarm(Report, tag="alarm", frozen=True, kw_only=True):
    """Documents of the running plan could not be kept as they came; the plan goes on.

    Attributes
    ----------
    msg
        Sentence that says what was lost and why.
    stop_queue
        Whether the queue shall stop after the running item (a setting of the environment).
    """

    msg: str
    stop_queue: bool = False


class WorkerLost(Report, tag="worker_lost", frozen=True, kw_only=True):
    """The worker's process is gone without having said goodbye.  Made by the manager.

    Attributes
    ----------
    reason
        Sentence, e.g. ``"The worker process was killed by signal 9 (SIGKILL)."``
    spool_lost
        Whether the worker's reports could not be read, so that the fate of the running item is unknown.
    never_taken
        uid of the running item, if the worker's ledger proves that its plan had not begun; else None.
    last_document, open_runs
        What the journal of the environment tells of its end.
    """

    reason: str
    spool_lost: bool = False
    never_taken: str | None = None
    last_document: LastDocument | None = None
    open_runs: tuple[OpenRun, ...] = ()


AnyReport = (
    StartupLoading
    | EnvironmentReady
    | EnvironmentFailed
    | EnvironmentClosed
    | EngineState
    | ItemTaken
    | RunOpened
    | RunClosed
    | ItemPaused
    | ItemEnded
    | TaskEnded
    | ListsUpdated
    | CellState
    | Alarm
    | WorkerLost
)
