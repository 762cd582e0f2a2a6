"""What the world outside sees of the state: a snapshot, then numbered changes; and the copy that is kept of them.

A mirror is the state without the catalogue (plans, devices, permissions are asked for when their version changes) and with
the newest part of the history only.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from .catalogue import Catalogue
from .changes import (
    AnyChange,
    DevicesSet,
    LockSet,
    PermissionsSet,
    PlansSet,
    RequestRecorded,
    RequestsForgotten,
    TaskFinished,
    TaskStarted,
    apply,
)
from .codec import convert
from .history import TAIL_ENTRIES, History
from .items import Item
from .locks import Lock
from .permissions import Permissions
from .sequence import ItemSequence
from .state import Environment, Execution, QueueMode, Run, State, Versions
from .tasks import Task, TaskResult


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The public part of the state at one moment.

    Attributes
    ----------
    seq
        Number of the last change that is in it.
    history
        The newest entries, oldest first.
    history_size
        Length of the whole history.
    """

    seq: int
    time: float
    queue: tuple[Item, ...]
    running: Item | None
    history: tuple[Item, ...]
    history_size: int
    mode: QueueMode
    environment: Environment
    execution: Execution
    engine: str | None
    runs: tuple[Run, ...]
    versions: Versions
    autostart: bool = False
    cell: bool = False
    lock: Lock = Lock()
    tasks: tuple[Task, ...] = ()
    task_results: tuple[TaskResult, ...] = ()


def snapshot(state: State, history_limit: int = TAIL_ENTRIES) -> Snapshot:
    """Return the public part of a state with at most that many history entries (and never more than the state holds)."""
    return Snapshot(
        seq=state.seq,
        time=state.time,
        queue=tuple(state.queue),
        running=state.running,
        history=state.history.tail.newest(history_limit),
        history_size=state.history.size,
        mode=state.mode,
        environment=state.environment,
        execution=state.execution,
        engine=state.engine,
        runs=state.runs,
        versions=state.versions,
        autostart=state.autostart,
        cell=state.cell,
        lock=state.lock.public(),
        tasks=tuple(map(_public_task, state.tasks)),
        task_results=tuple(map(_public_result, state.task_results)),
    )


def _public_task(task: Task) -> Task:
    return replace(task, payload="")


def _public_result(result: TaskResult) -> TaskResult:
    return replace(result, return_value=None)


def public(change: AnyChange) -> AnyChange:
    """Return a change as it is published: what is big is asked for, and what is secret is nobody's business."""
    if isinstance(change, PlansSet):
        return PlansSet(plans={})
    if isinstance(change, DevicesSet):
        return DevicesSet(devices={})
    if isinstance(change, PermissionsSet):
        return PermissionsSet(permissions=Permissions.default().to_wire())
    if isinstance(change, LockSet):
        return LockSet(lock=change.lock.public())
    if isinstance(change, TaskStarted):
        return TaskStarted(task=_public_task(change.task))
    if isinstance(change, TaskFinished):
        return TaskFinished(result=_public_result(change.result))
    if isinstance(change, RequestRecorded):
        return RequestRecorded()
    if isinstance(change, RequestsForgotten):
        return RequestsForgotten()
    return change


class Mirror:
    """A copy of the public state, kept up by numbered changes.

    Parameters
    ----------
    start
        Where it begins: a `Snapshot` or its plain form.
    """

    def __init__(self, start: Snapshot | dict[str, Any]) -> None:
        first = start if isinstance(start, Snapshot) else convert(start, Snapshot)
        self.state = State(
            queue=ItemSequence(first.queue),
            history=History(end=first.history_size, tail=ItemSequence(first.history)),
            running=first.running,
            mode=first.mode,
            environment=first.environment,
            execution=first.execution,
            engine=first.engine,
            runs=first.runs,
            catalogue=Catalogue({}, {}, Permissions.default()),
            versions=first.versions,
            autostart=first.autostart,
            cell=first.cell,
            lock=first.lock,
            tasks=first.tasks,
            task_results=first.task_results,
            seq=first.seq,
            time=first.time,
        )

    def apply(self, seq: int, change: AnyChange | dict[str, Any], time: float) -> bool:
        """Apply the change of that number; False: it was applied before.  Raises ``ValueError`` at a gap."""
        if seq <= self.state.seq:
            return False
        if seq != self.state.seq + 1:
            raise ValueError(f"change {seq} does not follow {self.state.seq}: ask for a snapshot")
        typed = convert(change, AnyChange) if isinstance(change, dict) else change  # type: ignore[arg-type]
        self.state = apply(self.state, typed, time)
        return True

    @property
    def history_size(self) -> int:
        """Length of the whole history, of which the mirror holds the newest part."""
        return self.state.history.size

    def snapshot(self) -> Snapshot:
        """Return what it holds."""
        return snapshot(self.state)
