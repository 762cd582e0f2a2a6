"""Changes: the facts that the core emits.  Applying them to a snapshot gives the state, here, in the store and in browsers.

A change says what is so now, not why.  Places in the queue are told by the uid that follows, never by an index, so that a
change means the same wherever it is applied.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import msgspec

from .items import Item
from .locks import Lock
from .permissions import Permissions
from .requests import RequestRecord
from .state import Environment, Execution, QueueMode, Run, State, Versions
from .tasks import Task, TaskResult


class Change(msgspec.Struct, frozen=True, tag_field="change", kw_only=True):
    """Base of all changes."""


class QueueInserted(Change, tag="queue_inserted", frozen=True, kw_only=True):
    """Items were put before the item `before`; None: at the back."""

    items: tuple[Item, ...]
    before: str | None = None


class QueueRemoved(Change, tag="queue_removed", frozen=True, kw_only=True):
    """Items left the queue."""

    uids: tuple[str, ...]


class QueueMoved(Change, tag="queue_moved", frozen=True, kw_only=True):
    """Items, in this order, now stand before the item `before` (not one of them); None: at the back."""

    uids: tuple[str, ...]
    before: str | None = None


class QueueReplaced(Change, tag="queue_replaced", frozen=True, kw_only=True):
    """Another item stands in the place of the one with that uid."""

    uid: str
    item: Item


class QueueCleared(Change, tag="queue_cleared", frozen=True, kw_only=True):
    """The queue is empty now (it may have been before)."""


class RunningSet(Change, tag="running_set", frozen=True, kw_only=True):
    """Which item is running; None: none."""

    item: Item | None = None


class HistoryAppended(Change, tag="history_appended", frozen=True, kw_only=True):
    """Items ended."""

    items: tuple[Item, ...]


class HistoryTrimmed(Change, tag="history_trimmed", frozen=True, kw_only=True):
    """The oldest `count` entries were dropped."""

    count: int


class ModeSet(Change, tag="mode_set", frozen=True, kw_only=True):
    """The queue mode."""

    mode: QueueMode


class EnvironmentSet(Change, tag="environment_set", frozen=True, kw_only=True):
    """The environment's state and what is known of its start."""

    environment: Environment


class ReportApplied(Change, tag="report_applied", frozen=True, kw_only=True):
    """The worker's reports up to that number are part of the state."""

    number: int


class ExecutionSet(Change, tag="execution_set", frozen=True, kw_only=True):
    """The execution's state."""

    execution: Execution


class EngineSet(Change, tag="engine_set", frozen=True, kw_only=True):
    """The RunEngine's state."""

    engine: str | None = None


class RunsSet(Change, tag="runs_set", frozen=True, kw_only=True):
    """The runs of the running plan, all of them."""

    runs: tuple[Run, ...] = ()


class RunAdded(Change, tag="run_added", frozen=True, kw_only=True):
    """The running plan opened a run."""

    run: Run


class RunEnded(Change, tag="run_ended", frozen=True, kw_only=True):
    """A run of the running plan was closed."""

    uid: str
    exit_status: str | None = None


class PlansSet(Change, tag="plans_set", frozen=True, kw_only=True):
    """The existing plans, in the wire form."""

    plans: dict[str, Any]


class DevicesSet(Change, tag="devices_set", frozen=True, kw_only=True):
    """The existing devices, in the wire form."""

    devices: dict[str, Any]


class PermissionsSet(Change, tag="permissions_set", frozen=True, kw_only=True):
    """The user group permissions, in the wire form."""

    permissions: dict[str, Any]


class AutostartSet(Change, tag="autostart_set", frozen=True, kw_only=True):
    """Whether the queue starts by itself whenever it can."""

    enabled: bool


class LockSet(Change, tag="lock_set", frozen=True, kw_only=True):
    """Who has locked what."""

    lock: Lock


class CellSet(Change, tag="cell_set", frozen=True, kw_only=True):
    """Whether a cell of an attached console holds the worker's main thread."""

    running: bool


class TaskStarted(Change, tag="task_started", frozen=True, kw_only=True):
    """There is one task more."""

    task: Task


class TaskAccepted(Change, tag="task_accepted", frozen=True, kw_only=True):
    """The worker has the task: what it has to do need not be kept any more."""

    task_uid: str


class TasksDropped(Change, tag="tasks_dropped", frozen=True, kw_only=True):
    """Tasks ended of which no result will be known."""

    task_uids: tuple[str, ...]


class TaskFinished(Change, tag="task_finished", frozen=True, kw_only=True):
    """A task is over."""

    result: TaskResult


class TaskResultsForgotten(Change, tag="task_results_forgotten", frozen=True, kw_only=True):
    """Old results were given up."""

    task_uids: tuple[str, ...]


class RequestRecorded(Change, tag="request_recorded", frozen=True, kw_only=True):
    """A request with an id was done; to subscribers only that there was one is told.

    Attributes
    ----------
    record
        What a retry is known by; None: it is not told here.
    reply
        The reply as the store keeps it (`jupyter_queueserver.core.requests.packed`); None: it is not told here.
    """

    record: RequestRecord | None = None
    reply: bytes | None = None


class RequestsForgotten(Change, tag="requests_forgotten", frozen=True, kw_only=True):
    """Records of old requests were given up; their ids are not told to subscribers."""

    request_ids: tuple[str, ...] = ()


AnyChange = (
    QueueInserted
    | QueueRemoved
    | QueueMoved
    | QueueReplaced
    | QueueCleared
    | RunningSet
    | HistoryAppended
    | HistoryTrimmed
    | ModeSet
    | EnvironmentSet
    | ExecutionSet
    | EngineSet
    | RunsSet
    | RunAdded
    | RunEnded
    | PlansSet
    | DevicesSet
    | PermissionsSet
    | ReportApplied
    | AutostartSet
    | LockSet
    | CellSet
    | TaskStarted
    | TaskAccepted
    | TasksDropped
    | TaskFinished
    | TaskResultsForgotten
    | RequestRecorded
    | RequestsForgotten
)

#: what the versions of a state count: change type -> parts that it touches
_TOUCHES: dict[type, tuple[str, ...]] = {
    QueueInserted: ("queue",),
    QueueRemoved: ("queue",),
    QueueMoved: ("queue",),
    QueueReplaced: ("queue",),
    QueueCleared: ("queue",),
    RunningSet: ("queue",),
    HistoryAppended: ("history",),
    HistoryTrimmed: ("history",),
    RunsSet: ("runs",),
    RunAdded: ("runs",),
    RunEnded: ("runs",),
    PlansSet: ("plans_existing", "plans_allowed"),
    DevicesSet: ("devices_existing", "devices_allowed", "plans_allowed"),
    PermissionsSet: ("plans_allowed", "devices_allowed"),
    TaskFinished: ("task_results",),
}


def apply(state: State, change: AnyChange, time: float) -> State:
    """Return the state after one change made at `time` (seconds since the epoch)."""
    parts = _parts(change, state)
    seq = state.seq + 1
    versions = state.versions
    if touched := _TOUCHES.get(type(change)):
        versions = msgspec.structs.replace(versions, **dict.fromkeys(touched, seq))
    return msgspec.structs.replace(state, seq=seq, time=time, versions=versions, **parts)


def begin_life(state: State) -> State:
    """Return a loaded state as the first of a new life of the manager: counting starts anew."""
    return msgspec.structs.replace(state, seq=0, versions=Versions())


@singledispatch
def _parts(change: AnyChange, state: State) -> dict[str, Any]:
    raise TypeError(f"{type(change).__name__} is not a change")


@_parts.register
def _(change: QueueInserted, state: State) -> dict[str, Any]:
    return {"queue": state.queue.insert(change.items, change.before)}


@_parts.register
def _(change: QueueRemoved, state: State) -> dict[str, Any]:
    return {"queue": state.queue.remove(change.uids)}


@_parts.register
def _(change: QueueMoved, state: State) -> dict[str, Any]:
    moved = [item for item in map(state.queue.get, change.uids) if item is not None]
    return {"queue": state.queue.remove(change.uids).insert(moved, change.before)}


@_parts.register
def _(change: QueueReplaced, state: State) -> dict[str, Any]:
    return {"queue": state.queue.replace(change.uid, change.item)}


@_parts.register
def _(change: QueueCleared, state: State) -> dict[str, Any]:
    return {"queue": type(state.queue)()}


@_parts.register
def _(change: RunningSet, state: State) -> dict[str, Any]:
    return {"running": change.item}


@_parts.register
def _(change: HistoryAppended, state: State) -> dict[str, Any]:
    return {"history": state.history.appended(change.items)}


@_parts.register
def _(change: HistoryTrimmed, state: State) -> dict[str, Any]:
    return {"history": state.history.trimmed(change.count)}


@_parts.register
def _(change: ModeSet, state: State) -> dict[str, Any]:
    return {"mode": change.mode}


@_parts.register
def _(change: EnvironmentSet, state: State) -> dict[str, Any]:
    return {"environment": change.environment}


@_parts.register
def _(change: ExecutionSet, state: State) -> dict[str, Any]:
    return {"execution": change.execution}


@_parts.register
def _(change: EngineSet, state: State) -> dict[str, Any]:
    return {"engine": change.engine}


@_parts.register
def _(change: RunsSet, state: State) -> dict[str, Any]:
    return {"runs": change.runs}


@_parts.register
def _(change: RunAdded, state: State) -> dict[str, Any]:
    return {"runs": (*state.runs, change.run)}


@_parts.register
def _(change: RunEnded, state: State) -> dict[str, Any]:
    return {"runs": tuple(_ended(run, change) if run.uid == change.uid else run for run in state.runs)}


def _ended(run: Run, change: RunEnded) -> Run:
    return msgspec.structs.replace(run, is_open=False, exit_status=change.exit_status)


@_parts.register
def _(change: PlansSet, state: State) -> dict[str, Any]:
    return {"catalogue": state.catalogue.replaced(plans=change.plans)}


@_parts.register
def _(change: DevicesSet, state: State) -> dict[str, Any]:
    return {"catalogue": state.catalogue.replaced(devices=change.devices)}


@_parts.register
def _(change: PermissionsSet, state: State) -> dict[str, Any]:
    return {"catalogue": state.catalogue.replaced(permissions=Permissions.parse(change.permissions))}


@_parts.register
def _(change: ReportApplied, state: State) -> dict[str, Any]:
    return {"environment": msgspec.structs.replace(state.environment, reports_applied=change.number)}


@_parts.register
def _(change: AutostartSet, state: State) -> dict[str, Any]:
    return {"autostart": change.enabled}


@_parts.register
def _(change: LockSet, state: State) -> dict[str, Any]:
    return {"lock": change.lock}


@_parts.register
def _(change: CellSet, state: State) -> dict[str, Any]:
    return {"cell": change.running}


@_parts.register
def _(change: TaskStarted, state: State) -> dict[str, Any]:
    return {"tasks": (*state.tasks, change.task)}


@_parts.register
def _(change: TaskAccepted, state: State) -> dict[str, Any]:
    return {"tasks": tuple(_accepted(task) if task.task_uid == change.task_uid else task for task in state.tasks)}


def _accepted(task: Task) -> Task:
    return msgspec.structs.replace(task, payload="")


@_parts.register
def _(change: TasksDropped, state: State) -> dict[str, Any]:
    return {"tasks": tuple(task for task in state.tasks if task.task_uid not in change.task_uids)}


@_parts.register
def _(change: TaskFinished, state: State) -> dict[str, Any]:
    over = change.result.task_uid
    return {
        "tasks": tuple(task for task in state.tasks if task.task_uid != over),
        "task_results": (*(result for result in state.task_results if result.task_uid != over), change.result),
    }


@_parts.register
def _(change: TaskResultsForgotten, state: State) -> dict[str, Any]:
    return {"task_results": tuple(result for result in state.task_results if result.task_uid not in change.task_uids)}


@_parts.register
def _(change: RequestRecorded, state: State) -> dict[str, Any]:
    return {"requests": state.requests.added(change.record)} if change.record is not None else {}


@_parts.register
def _(change: RequestsForgotten, state: State) -> dict[str, Any]:
    return {"requests": state.requests.without(change.request_ids)}
