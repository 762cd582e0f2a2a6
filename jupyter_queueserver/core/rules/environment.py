"""Opening and closing the environment, and what is lost with it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ..changes import CellSet, EngineSet, EnvironmentSet, RunsSet
from ..decision import Step
from ..effects import CloseEnvironment, DestroyEnvironment, OpenEnvironment, StopManager
from ..endings import last_document_details
from ..errors import StateError
from ..reports import WorkerLost
from ..state import Environment, Failure
from ..status import has_foreground_task, manager_state
from .execution import end_before_begin, end_running, go_idle
from .tasks import drop_all

_DESTROYED = "RE Worker environment was destroyed"
_LOST_STATUS = "Plan execution status was lost due to restart of RE Manager: the worker's reports cannot be read"


def open_environment(step: Step) -> None:
    """Start a worker."""
    state = step.state
    if state.environment.state == "opening":
        raise StateError("Manager is already in the process of creating the RE Worker environment.")
    if state.environment.state in ("open", "closing", "destroying"):
        if state.environment.unreachable is not None:
            raise StateError(
                f"RE Worker environment already exists. It does not answer: {state.environment.unreachable}",
                code="worker_unreachable",
                hint="Wait until it answers, or end it with environment_destroy; what it runs is lost by that.",
            )
        raise StateError(
            "RE Worker environment already exists.",
            code="environment_exists",
            hint="Use it, or close it first (method environment_close).",
        )
    if manager_state(state) != "idle":
        raise StateError(f"Manager state is not idle. Current state: {manager_state(state)}")
    environment_id = step.new_uid()
    step.emit(EnvironmentSet(environment=Environment(state="opening", environment_id=environment_id)))
    step.act(OpenEnvironment(environment_id=environment_id))


def close_environment(step: Step) -> None:
    """Ask the worker to end in order."""
    state = step.state
    current = manager_state(state)
    if state.environment.state == "closing":
        raise StateError("Manager is already in the process of closing the RE Worker environment.")
    if state.environment.state in ("closed", "opening"):
        raise StateError("RE Worker environment does not exist.", code="no_environment")
    if current in ("executing_queue", "starting_queue"):
        raise StateError(
            "Queue execution is in progress.",
            code="queue_running",
            hint="Stop the queue first, or use environment_destroy to kill the worker.",
        )
    if current == "executing_task":
        raise StateError(
            "Foreground task execution is in progress.",
            code="task_running",
            hint="Wait for the end of the task, interrupt it (method kernel_interrupt), or use environment_destroy.",
        )
    if current != "idle":
        raise StateError(f"Manager state is not idle. Current state: {current}")
    step.emit(EnvironmentSet(environment=replace(state.environment, state="closing")))
    step.act(CloseEnvironment())


def close_failed(step: Step) -> None:
    """The worker did not want to end."""
    if step.state.environment.state == "closing":
        step.emit(EnvironmentSet(environment=replace(step.state.environment, state="open")))


def destroy_environment(step: Step) -> None:
    """Kill the worker, whatever it does."""
    if step.state.environment.state == "closed":
        raise StateError("RE environment does not exist", code="no_environment")
    if step.state.environment.state != "destroying":
        step.emit(EnvironmentSet(environment=replace(step.state.environment, state="destroying")))
    step.act(DestroyEnvironment())


def end_if_idle(step: Step) -> bool:
    """End the manager unless that would cost something; returns whether it ends."""
    busy = step.state.running is not None or has_foreground_task(step.state)
    if busy or step.state.environment.state in ("closing", "destroying"):
        return False
    step.act(StopManager())
    return True


def end_with_manager(step: Step) -> None:
    """The manager ends and its worker with it: what becomes of the worker now is wished, not a failure."""
    environment = step.state.environment
    if environment.state not in ("closed", "destroying"):
        busy = step.state.running is not None or has_foreground_task(step.state)
        state = "destroying" if busy else "closing"
        step.emit(EnvironmentSet(environment=replace(environment, state=state)))


def worker_ends(step: Step) -> None:
    """The worker is dead, what it told last is applied next: no item may be started by that."""
    environment = step.state.environment
    if environment.state != "closed" and not environment.dead:
        step.emit(EnvironmentSet(environment=replace(environment, dead=True)))


def worker_gone(step: Step, lost: WorkerLost) -> None:
    """The worker's process has ended, on a wish or by itself; everything that it told was applied before."""
    before = step.state.environment
    if before.state == "closed":
        return
    wished = before.state in ("closing", "destroying")
    failure = before.failure if wished else _failure(before, lost.reason, step.now)
    if step.state.engine is not None:
        step.emit(EngineSet(engine=None))
    after = replace(before, state="closed", failure=failure, dead=False, unreachable=None, loading=None)
    step.emit(EnvironmentSet(environment=after))
    drop_all(step)
    if step.state.running is None:
        go_idle(step)
    else:
        _end_interrupted(step, lost, destroyed=before.state == "destroying")
    if step.state.runs:
        step.emit(RunsSet())
    if step.state.cell:
        step.emit(CellSet(running=False))


def _failure(before: Environment, reason: str, now: float) -> Failure:
    """Why it ended by itself, and what it was loading then."""
    loading = before.loading
    if loading is None:
        return Failure(time=now, msg=reason)
    msg = f"{reason} It was loading the startup code '{loading.name}' ({loading.number} of {loading.count})."
    return Failure(time=now, msg=msg, file=loading.name)


def _end_interrupted(step: Step, lost: WorkerLost, *, destroyed: bool) -> None:
    assert step.state.running is not None
    reason = _DESTROYED if destroyed else lost.reason
    runs = runs_known(step, lost)
    if lost.never_taken == step.state.running.item_uid and not runs:
        end_before_begin(step, reason, destroyed=destroyed)
        return
    known: dict[str, Any] = {"run_uids": tuple(runs), "scan_ids": tuple(runs.values())}
    last = lost.last_document
    if last is not None and last.run_uid in runs:
        known["details"] = last_document_details(last)
    if lost.spool_lost:
        end_running(step, ending="lost", exit_status="unknown", msg=_LOST_STATUS, again=False, **known)
    else:
        end_running(step, ending="interrupted", exit_status="failed", msg=reason, destroyed=destroyed, **known)


def runs_known(step: Step, lost: WorkerLost) -> dict[str, int | None]:
    """Runs of the running item by uid, with their scan ids: those reported, and what only the journal has.

    A run is in the journal a moment before it is reported; nothing but the running item can have opened one since it began.
    """
    assert step.state.running is not None
    began = step.state.running.fields.get("properties", {}).get("time_start", step.now)
    runs = {run.uid: run.scan_id for run in step.state.runs}
    return runs | {run.uid: run.scan_id for run in lost.open_runs if run.time >= began and run.uid not in runs}
