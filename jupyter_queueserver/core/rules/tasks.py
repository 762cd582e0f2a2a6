"""Tasks: who may start one and when, what the worker is given, and what is kept of the outcome.

A task is in the state, with what it has to do, before the worker hears of it; so a new manager can repeat the start, and the
worker refuses what it has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..changes import TaskAccepted, TaskFinished, TaskResultsForgotten, TasksDropped, TaskStarted
from ..codec import Verbatim, python_json
from ..decision import Step
from ..effects import InterruptKernel, StartTask
from ..errors import ItemInvalid, RequestError, StateError, WorkerRefused
from ..limits import TASK_RESULTS_LIMIT
from ..reports import TaskEnded
from ..state import State
from ..status import has_foreground_task, manager_state
from ..tasks import Task, TaskKind, TaskResult
from .execution import expect_pause, require_worker
from .submission import item_shape, nested_too_deeply, submitter

#: Seconds that a result is kept at least, once it is known.
KEPT = 120.0
#: Bytes of a result beside its texts.
_OVERHEAD = 300

_NOT_OPEN = "RE Worker environment is not open"
_KERNEL_BUSY = "Failed to start the task: IPython kernel (RE Worker) is busy."
_OPEN_FIRST = "Open the environment first (method environment_open)."


class TaskRequestError(RequestError):
    """A request for a task that is wrong in itself."""

    prefix = "Error: "


class KernelBusy(StateError):
    """The worker's main thread has something else in hand."""

    code = "kernel_busy"
    hint = "End the cell or the plan that runs in the worker's kernel, or run the task in the background."
    prefix = "Error: "


def start_script(step: Step, script: Any, *, update_lists: Any, update_re: Any, background: Any) -> str:
    """Have a script run in the environment; returns the task's uid."""
    if script is None:
        raise TaskRequestError(
            "Required 'script' parameter is is missing in API call.",
            code="missing_parameter",
            hint="Send the code as text in 'script'.",
            path="script",
        )
    if not isinstance(script, str):
        raise TaskRequestError(
            "Type of the 'script' parameter in API call is incorrect.",
            code="wrong_type",
            hint="Send the code as text in 'script'.",
            path="script",
        )
    payload = {"script": script, "update_lists": bool(update_lists), "update_re": bool(update_re)}
    return _start(step, step.new_uid(), "script", payload, bool(background))


def start_update(step: Step, *, background: Any) -> str:
    """Have the namespace looked through again; returns the task's uid."""
    return _start(step, step.new_uid(), "update", {}, bool(background))


def start_function(step: Step, item: Any, *, user: Any, user_group: Any, background: Any) -> dict[str, Any]:
    """Have a function of the namespace called; returns the item, whose uid is the task's."""
    fields = _function(step.state, item, user, user_group)
    uid = step.new_uid()
    call = {"name": fields["name"], "args": fields.get("args", []), "kwargs": fields.get("kwargs", {})}
    call |= {"user": user, "user_group": user_group, "item_uid": uid}
    try:
        _start(step, uid, "function", call, bool(background))
    except StateError as err:
        err.data["item"] = Verbatim({**fields, "user": user, "user_group": user_group, "item_uid": uid})
        raise
    return call


def _function(state: State, item: Any, user: Any, user_group: Any) -> Mapping[str, Any]:
    """Check a function item; returns it."""
    fields = item_shape(item, ("function",))
    submitter(user, user_group)
    name = fields.get("name")
    if not isinstance(name, str):
        raise _wrong_item(
            "'name' of the function is not specified" if name is None else f"'name' must be a text: {name!r}", "name"
        )
    if not isinstance(fields.get("args", []), list):
        raise _wrong_item(f"'args' must be a list, not {type(fields['args']).__name__}", "args")
    if not isinstance(fields.get("kwargs", {}), dict):
        raise _wrong_item(f"'kwargs' must be a dictionary, not {type(fields['kwargs']).__name__}", "kwargs")
    if nested_too_deeply([fields, user]):
        raise _wrong_item("the item is nested too deeply", "item")
    try:
        python_json([fields, user])
    except (TypeError, ValueError, RecursionError) as err:
        hint = "Send only what JSON can carry: text, numbers, lists and objects."
        raise ItemInvalid(str(err), code="not_json", hint=hint, path="item") from err
    if not state.catalogue.permissions.function_allowed(name, user_group):
        raise RequestError(
            f"Function '{name}' is not allowed for users from '{user_group}' group.",
            code="function_not_allowed",
            hint="Look at the permissions (method permissions_get): the group's and those of the group 'root' both count.",
            path="item.name",
        )
    return fields


def _wrong_item(text: str, path: str) -> RequestError:
    hint = "A function item is an object with 'item_type' = 'function', 'name', 'args' (a list) and 'kwargs' (an object)."
    return RequestError(f"Incorrect request format: {text}", code="item_format", hint=hint, path=f"item.{path}")


def _start(step: Step, uid: str, kind: TaskKind, payload: Mapping[str, Any], background: bool) -> str:
    _require_free(step.state, background)
    text = python_json(payload).decode()
    task = Task(task_uid=uid, kind=kind, background=background, time_start=step.now, payload=text)
    step.emit(TaskStarted(task=task))
    step.act(StartTask(task=task))
    return uid


def _require_free(state: State, background: bool) -> None:
    """Raise unless a task could be started now."""
    if state.environment.state in ("closed", "opening"):
        raise StateError(_NOT_OPEN, code="no_environment", hint=_OPEN_FIRST)
    current = manager_state(state)
    if not background and current != "idle":
        raise StateError(
            f"Failed to start the task: RE Manager must be in idle state. Current state: '{current}'",
            code="busy",
            hint="Wait for the state 'idle', or run the task in the background.",
        )
    if not state.is_open:
        raise StateError(_NOT_OPEN, code="no_environment", hint="It is being closed: wait for that, and open it again.")
    require_worker(state)
    if not background and state.engine in ("running", "pausing"):
        raise KernelBusy(_KERNEL_BUSY)


def accepted(step: Step, task_uid: str) -> None:
    """The worker has it."""
    if any(task.task_uid == task_uid and task.payload for task in step.state.tasks):
        step.emit(TaskAccepted(task_uid=task_uid))


def refused(step: Step, task_uid: str) -> None:
    """The worker does not want it."""
    if any(task.task_uid == task_uid for task in step.state.tasks):
        step.emit(TasksDropped(task_uids=(task_uid,)))


def refusal(task_uid: str, err: WorkerRefused) -> StateError:
    """What is answered when the worker does not want it."""
    if err.code == "kernel_busy":
        return KernelBusy(_KERNEL_BUSY)
    return WorkerRefused(f"Task '{task_uid}' was rejected by RE Worker process: {err.msg}", code=err.code)


def drop_all(step: Step) -> None:
    """The worker is gone: what it had not ended is not known any more."""
    if step.state.tasks:
        step.emit(TasksDropped(task_uids=tuple(task.task_uid for task in step.state.tasks)))


def repeat_starts(step: Step) -> None:
    """Tell the worker again what it may not have heard."""
    for task in step.state.tasks:
        if task.payload:
            step.act(StartTask(task=task))


def ended(step: Step, report: TaskEnded) -> None:
    """A task is over: keep the result, and give up old ones."""
    if not any(task.task_uid == report.task_uid for task in step.state.tasks):
        return
    value = None if report.return_value is None else Verbatim.of_text(report.return_value.encode())
    result = TaskResult(
        task_uid=report.task_uid,
        success=report.success,
        msg=report.msg,
        traceback=report.traceback,
        return_value=value,
        time_start=report.time_start,
        time_stop=report.time,
        time_known=step.now,
    )
    step.emit(TaskFinished(result=result))
    if old := _outlived(step.state.task_results, step.now):
        step.emit(TaskResultsForgotten(task_uids=old))


def _outlived(results: tuple[TaskResult, ...], now: float) -> tuple[str, ...]:
    """Results that need not be kept: after their time, and so many that the newer ones take all the room.  Not the newest."""
    old, room = [], TASK_RESULTS_LIMIT
    for index, result in enumerate(reversed(results)):
        room -= _size(result)
        if index and (room < 0 or now - result.time_known > KEPT):
            old.append(result.task_uid)
    return tuple(old)


def _size(result: TaskResult) -> int:
    value = result.return_value
    return _OVERHEAD + len(result.msg) + len(result.traceback) + (len(value.text) if value is not None else 0)


def interrupt(step: Step, *, plan: bool, task: bool) -> None:
    """Interrupt the worker's kernel.

    Parameters
    ----------
    plan, task
        Whether a running plan, or a running foreground task, may be interrupted.
    """
    state = step.state
    if step.config.kernel == "hidden":
        raise StateError(
            "RE Manager is not in IPython mode: IPython kernel is not used",
            code="no_kernel",
            hint="Start the server with --use-ipython-kernel=ON; a plan is paused with re_pause in any case.",
        )
    if not state.is_open:
        raise StateError("Worker environment does not exist", code="no_environment", hint=_OPEN_FIRST)
    require_worker(state)
    runs = manager_state(state) in ("starting_queue", "executing_queue")
    if runs and not plan:
        raise StateError(
            "Not allowed to interrupt running plan",
            code="plan_running",
            hint="Send interrupt_plan=true, or use re_pause, which does the same.",
        )
    if has_foreground_task(state) and not task:
        raise StateError("Not allowed to interrupt running task", code="task_running", hint="Send interrupt_task=true.")
    if runs and state.engine == "running":
        expect_pause(step, "immediate_pause")
    step.act(InterruptKernel(plan=plan, task=task))
