"""Working off the queue: start, stop, pause, and what follows when an item ends.

The decision which item is next is taken here and nowhere else (`take_next`); an item leaves the queue in the same commit in
which it becomes the running one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec.structs import replace

from ..changes import AutostartSet, EngineSet, ExecutionSet, HistoryAppended, QueueInserted, QueueRemoved, RunningSet, RunsSet
from ..decision import Step
from ..effects import ContinueEngine, PauseEngine, StartItem
from ..endings import RETURNED, returned_mark, summary
from ..errors import RequestError, StateError
from ..items import Item
from ..state import Execution, State
from ..status import manager_state
from .pending import break_off, expected, may_break_off, sentence
from .returned import require_confirmed

Command = Literal["resume", "stop", "abort", "halt"]

_ENVIRONMENT_MISSING = "Open the environment first (method environment_open)."
_PAUSE_OPTIONS = ("deferred", "immediate")
#: endings after which the queue goes on
_SUCCESS = ("completed", "stopped")


def start_queue(step: Step, *, confirm_returned: Any = False) -> None:
    """Begin to work off the queue; an empty one ends at once.  `confirm_returned`: see `require_confirmed`."""
    require_ready(step)
    require_confirmed(step, confirm=confirm_returned)
    step.emit(ExecutionSet(execution=Execution(state="starting")))
    take_next(step)


def require_ready(step: Step) -> None:
    """Raise unless an item could be started now."""
    state = step.state
    if state.environment.state in ("closing", "destroying"):
        raise _busy(state)
    if not state.is_open:
        raise StateError("RE Worker environment does not exist.", code="no_environment", hint=_ENVIRONMENT_MISSING)
    require_worker(state)
    if state.engine is None:
        raise StateError(
            "Run Engine is not found in the RE Worker environment.",
            code="no_engine",
            hint="The startup code has to leave a RunEngine named RE in the namespace.",
        )
    if manager_state(state) != "idle":
        raise _busy(state)
    if state.engine != "idle":
        raise StateError(
            "IPython kernel (RE Worker) is busy.",
            code="busy",
            hint=f"The Run Engine is in state '{state.engine}' by a plan that was started outside the queue: end that first.",
        )
    if state.cell and step.config.kernel == "shown":
        raise StateError(
            "IPython kernel (RE Worker) is busy.", code="busy", hint="A cell of an attached console is running in the worker."
        )


def _busy(state: State) -> StateError:
    return StateError("RE Manager is busy.", code="busy", hint=f"It is in state '{manager_state(state)}'.")


def require_worker(state: State) -> None:
    """Raise unless the worker of the open environment takes what it is given."""
    if state.environment.dead:
        raise StateError("RE Worker environment does not exist.", code="no_environment", hint="Its process has just ended.")
    if state.environment.outdated:
        raise StateError(
            "RE Worker environment was opened by an earlier version of the server, or with another store.",
            code="worker_outdated",
            hint="Close the environment and open it again; the queue stays as it is.",
        )
    require_answer(state)


def require_answer(state: State) -> None:
    """Raise if the worker does not answer: what it is told now it might do much later."""
    if state.environment.unreachable is not None:
        raise StateError(
            f"RE Worker does not answer: {state.environment.unreachable}",
            code="worker_unreachable",
            hint="Wait until it answers, or end it with environment_destroy; its plan is lost by that.",
        )


def stop_queue(step: Step) -> None:
    """Stop after the running item."""
    if manager_state(step.state) not in ("executing_queue", "starting_queue"):
        shown = f"MState.{manager_state(step.state).upper()}"
        raise StateError(f"Failed to pause the queue. Queue is not running. Manager state: {shown}")
    step.emit(ExecutionSet(execution=replace(step.state.execution, stop_pending=True)))


def stop_queue_cancel(step: Step) -> None:
    """Take `stop_queue` back."""
    if step.state.execution.stop_pending:
        step.emit(ExecutionSet(execution=replace(step.state.execution, stop_pending=False)))


def pause(step: Step, option: Any) -> None:
    """Ask the RunEngine to pause."""
    state = step.state
    if option not in _PAUSE_OPTIONS:
        raise RequestError(
            f"Option '{option}' is not supported. Available options: {_PAUSE_OPTIONS}",
            code="bad_option",
            hint="Use 'deferred' or 'immediate'.",
            path="option",
        )
    if not state.is_open:
        raise StateError(
            "Environment does not exist. Can not pause Run Engine.", code="no_environment", hint=_ENVIRONMENT_MISSING
        )
    if state.engine is None:
        raise StateError("Run Engine is not found in the RE Worker environment.", code="no_engine")
    if state.engine != "running":
        raise StateError(
            f"Run engine can be paused only in 'running' state. Current state: '{state.engine}'",
            hint="Between two plans there is nothing to pause: repeat the request, or use queue_stop.",
        )
    require_answer(state)
    expect_pause(step, "deferred_pause" if option == "deferred" else "immediate_pause")
    step.act(PauseEngine(deferred=option == "deferred"))


def expect_pause(step: Step, command: Literal["deferred_pause", "immediate_pause"]) -> None:
    """The plan was told to pause; a deferred pause does not take an immediate one back."""
    before = step.state.execution
    after = replace(before, pause_pending=True)
    if command == "immediate_pause" or before.pending is None:
        after = expected(after, command, step.now)
    if after != before:
        step.emit(ExecutionSet(execution=after))


def pause_failed(step: Step) -> None:
    """The worker did not take the request to pause."""
    if step.state.execution.pause_pending:
        step.emit(ExecutionSet(execution=replace(step.state.execution, pause_pending=False, pending=None)))


def continue_plan(step: Step, command: Command, *, keep_first: bool = False) -> None:
    """Resume, stop, abort or halt the paused plan; `keep_first`: a stopped one comes back to the front of the queue too."""
    state = step.state
    if command in ("abort", "halt") and may_break_off(state, command):
        require_answer(state)
        break_off(step, command)
        return
    if manager_state(state) != "paused":
        late = sentence(state.execution.pending) if state.execution.pending is not None else ""
        raise StateError(
            f"RE Manager is not paused: current state is '{manager_state(state)}'",
            code="not_paused",
            hint=late or "Pause the plan first (method re_pause) and wait for the state 'paused'.",
        )
    require_answer(state)
    told = replace(state.execution, state="running", command=command, keep_first=keep_first)
    step.emit(ExecutionSet(execution=expected(told, command, step.now)))
    step.act(ContinueEngine(command=command))


def continue_failed(step: Step) -> None:
    """The worker did not take the command: the plan is still paused."""
    execution = step.state.execution
    if execution.state == "running" and execution.command is not None:
        step.emit(ExecutionSet(execution=replace(execution, state="paused", command=None, keep_first=False, pending=None)))


def take_next(step: Step) -> None:
    """Decide what comes next: an item, or idle (the only instruction, ``queue_stop``, leads to idle too)."""
    state = step.state
    execution = state.execution
    wished = execution.stop_pending or execution.pause_pending or execution.alone
    if wished or not state.is_open or state.environment.outdated or state.environment.dead or not len(state.queue):
        if execution.stop_pending:
            autostart_off(step)
        go_idle(step)
        return
    item = state.queue.at(0)
    step.emit(QueueRemoved(uids=(item.item_uid,)))
    if item.is_plan:
        begin(step, item)
        return
    if state.mode.loop:
        _put_copy_at_back(step, item)
    autostart_off(step)
    go_idle(step)


def execute(step: Step, item: Item) -> None:
    """Start one item at once, past the queue, which does not go on after it."""
    try:
        require_ready(step)
    except StateError as err:
        err.data["item"] = item
        raise
    if item.is_plan:
        begin(step, item, alone=True)
    else:
        autostart_off(step)


def autostart_off(step: Step) -> None:
    """The queue was stopped by somebody or something: it must not start by itself."""
    if step.state.autostart:
        step.emit(AutostartSet(enabled=False))


def begin(step: Step, item: Item, *, alone: bool = False) -> None:
    """Make an item the running one and hand it to the worker."""
    properties = item.fields.get("properties", {}) | {"time_start": step.now}
    if alone:
        properties["immediate_execution"] = True
    running = item.replaced(properties=properties)
    step.emit(RunningSet(item=running))
    if step.state.runs:
        step.emit(RunsSet())
    _expect_taking(step, alone)
    step.act(StartItem(item=running))


def _expect_taking(step: Step, alone: bool) -> None:
    """Between two items clients see ``executing_queue``; a command that the item before was told is not for this one."""
    before = step.state.execution
    state = "starting" if before.state == "idle" else before.state
    after = replace(before, state=state, alone=alone, command=None, pending=None)
    if after != before:
        step.emit(ExecutionSet(execution=after))


def go_idle(step: Step) -> None:
    """End the execution; whatever was pending is dropped."""
    if step.state.execution != Execution():
        step.emit(ExecutionSet(execution=Execution()))


def taken(step: Step) -> None:
    """The worker has begun with the running item."""
    if step.state.execution.state == "starting":
        step.emit(ExecutionSet(execution=replace(step.state.execution, state="running")))


def paused(step: Step) -> None:
    """The plan is paused."""
    execution = step.state.execution
    if execution.state in ("starting", "running"):
        step.emit(ExecutionSet(execution=replace(execution, state="paused", pause_pending=False, command=None, pending=None)))


def went_on(step: Step) -> None:
    """The paused plan was told to go on by a manager; an earlier one that died with its store away, if this one does not know."""
    if step.state.execution.state == "paused":
        step.emit(ExecutionSet(execution=replace(step.state.execution, state="running", pending=None)))


def engine_changed(step: Step, engine: str | None) -> None:
    """The RunEngine says in which state it is; without an environment that is no news."""
    if step.state.environment.state == "closed":
        return
    if engine != step.state.engine:
        step.emit(EngineSet(engine=engine))
    execution = step.state.execution
    if engine == "running" and execution.pending is not None and execution.pending.command == "resume":
        step.emit(ExecutionSet(execution=replace(execution, pending=None)))
    if step.state.running is None and engine not in ("running", "pausing"):
        pause_failed(step)  # it was for a plan started outside the queue, and nothing else would take it back


def end_running(
    step: Step,
    *,
    ending: str,
    exit_status: str,
    run_uids: tuple[str, ...],
    scan_ids: tuple[int | None, ...],
    msg: str = "",
    traceback: str = "",
    again: bool = True,
    destroyed: bool = False,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write down how the running item ended and decide what becomes of it and of the queue.

    Parameters
    ----------
    ending
        The honest ending: ``completed``, ``stopped``, ``aborted``, ``halted``, ``failed``, ``refused``, ``interrupted``
        or ``lost``.
    exit_status
        One of the six values of the interface.
    run_uids, scan_ids
        Of the runs that it opened, in order.
    again
        False: the item must not come back to the queue in any way.
    destroyed
        True: it ended because the environment was destroyed on a wish.
    details
        Further keys of ``result`` (`jupyter_queueserver.core.endings`).
    """
    item = step.state.running
    assert item is not None
    marks = item.fields.get("properties", {})
    result: dict[str, Any] = {
        "exit_status": exit_status,
        "ending": ending,
        "run_uids": list(run_uids),
        "scan_ids": list(scan_ids),
        "time_start": marks.get("time_start", step.now),
        "time_stop": step.now,
        "msg": msg,
        "traceback": traceback,
        **(details or {}),
    }
    if sentence := summary(result):
        result["summary"] = sentence
    _conclude_running(step, item, result, again)
    if not destroyed and ending != "completed" and not _is_forgiven(step, result):
        autostart_off(step)


def _conclude_running(step: Step, item: Item, result: dict[str, Any], again: bool) -> None:
    plain = _unmarked(item)
    step.emit(RunningSet(item=None))
    step.emit(HistoryAppended(items=(plain.replaced(result=result),)))
    step.emit(RunsSet())  # also when there were none: clients see by it that a plan has ended
    _after_end(step, plain, result, again)


def end_before_begin(step: Step, reason: str, *, destroyed: bool) -> None:
    """The worker died with the running item in hand, and its plan had not begun: the item is queued as it was before.

    One that was started by itself has no place in the queue: what became of it is written down.
    """
    item = step.state.running
    assert item is not None
    if step.state.execution.alone:
        details = {"begun": False}
        none: dict[str, Any] = {"run_uids": (), "scan_ids": ()}
        end_running(step, ending="interrupted", exit_status="failed", msg=reason, destroyed=destroyed, details=details, **none)
        return
    step.emit(RunningSet(item=None))
    step.emit(QueueInserted(items=(_without_marks(item),), before=_front(step)))
    if not destroyed:
        autostart_off(step)
    go_idle(step)


def _is_forgiven(step: Step, result: Mapping[str, Any]) -> bool:
    """Whether the queue goes on after a failure: of the plan or of its parameters, not of the worker."""
    own_fault = result["ending"] == "failed" or (result["ending"] == "refused" and "problems" in result)
    return own_fault and step.state.mode.ignore_failures


def _front(step: Step) -> str | None:
    return step.state.queue.at(0).item_uid if len(step.state.queue) else None


def _after_end(step: Step, item: Item, result: dict[str, Any], again: bool) -> None:
    mode, ending = step.state.mode, result["ending"]
    forgiven = _is_forgiven(step, result)
    execution = step.state.execution
    keep_first = execution.keep_first and ending == "stopped"
    if again and not execution.alone:
        if (ending in _SUCCESS and not keep_first) or forgiven:
            if mode.loop:
                _put_copy_at_back(step, item)
        else:
            mark = {RETURNED: returned_mark(result, item.item_uid)}
            back = item.replaced(item_uid=step.new_uid(), result=result, **mark)
            step.emit(QueueInserted(items=(back,), before=_front(step)))
    outside = execution.state == "paused"  # nobody told it here to go on: a console did, the queue stops
    if outside:
        autostart_off(step)
    if again and not outside and (ending == "completed" or forgiven):
        take_next(step)
    else:
        go_idle(step)


def _put_copy_at_back(step: Step, item: Item) -> None:
    step.emit(QueueInserted(items=(item.replaced(item_uid=step.new_uid()),)))


def _unmarked(item: Item) -> Item:
    """Take off what a new ending makes obsolete: the marks of the running item, and why it came back before."""
    plain = _without_marks(item)
    return plain.replaced(**{RETURNED: None}) if RETURNED in plain.fields else plain


def _without_marks(item: Item) -> Item:
    """Take the marks of the running item off."""
    properties = dict(item.fields.get("properties", {}))
    properties.pop("time_start", None)
    properties.pop("immediate_execution", None)
    return item.replaced(properties=properties or None)
