"""Tasks: scripts and functions in the environment, what came of them, and interrupts."""

from __future__ import annotations

from typing import Any

from ..core.codec import Verbatim
from ..core.errors import RequestError, shortened
from ..core.rules import tasks as rules
from ..core.rules.guard import require_environment
from ..core.state import State
from .registry import Context, Key, Sent, Step, read, write
from .schemas import OBJECT, UID_OR_NULL

_READ_SCOPE = "read:monitor"
_TASK_UID = Key(UID_OR_NULL, None, "uid of the task, for task_status and task_result")
_STATUS = {"enum": ["running", "completed", "not_found", None]}


@write(
    scope="write:scripts",
    lock="environment",
    access="execute",
    words="script upload",
    shape="script",
    reply={"task_uid": _TASK_UID},
    waits=True,
)
def script_upload(
    step: Step,
    *,
    script: str,
    update_lists: bool = True,
    update_re: bool = False,
    run_in_background: bool = False,
    environment_id: str | None = None,
    lock_key: str | None = None,
) -> dict[str, Any]:
    """Run a script in the environment, as startup code.

    Parameters
    ----------
    script
        Its Python code.
    update_lists
        Whether the lists of plans and devices are made again afterwards.
    update_re
        Whether ``RE`` and ``db`` may be replaced by the script; else what it makes of them is discarded.
    run_in_background
        Whether it runs in a thread of its own, beside plans; else in the main thread, while the manager is busy.
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    uid = rules.start_script(step, script, update_lists=update_lists, update_re=update_re, background=run_in_background)
    return {"task_uid": uid}


@write(
    scope="write:queue:control",
    lock="environment",
    access="execute",
    words="environment update",
    shape="background",
    reply={"task_uid": _TASK_UID},
    waits=True,
)
def environment_update(
    step: Step, *, run_in_background: bool = False, environment_id: str | None = None, lock_key: str | None = None
) -> dict[str, Any]:
    """Look through the namespace again: make the lists of plans and devices, and use the RunEngine that is there now.

    Parameters
    ----------
    run_in_background
        Whether that is done in a thread of its own, beside plans.
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    return {"task_uid": rules.start_update(step, background=run_in_background)}


@write(
    scope="write:execute",
    lock="environment",
    access="execute",
    prefix="Error: ",
    words="function execute",
    shape="function",
    reply={
        "item": Key(OBJECT, Sent("item"), "the function with its arguments, who called it, and its uid"),
        "task_uid": _TASK_UID,
    },
    waits=True,
)
def function_execute(
    step: Step,
    *,
    item: dict,
    user_group: str,
    user: str,
    run_in_background: bool = False,
    environment_id: str | None = None,
    lock_key: str | None = None,
) -> dict[str, Any]:
    """Call a function of the environment.

    Parameters
    ----------
    item
        The call: ``item_type`` (``function``), ``name``, ``args``, ``kwargs``.
    user_group, user
        Who calls it.
    run_in_background
        Whether it runs in a thread of its own, beside plans; else in the main thread, while the manager is busy.
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    call = rules.start_function(step, item, user=user, user_group=user_group, background=run_in_background)
    return {"item": Verbatim(call), "task_uid": call["item_uid"]}


@read(
    scope=_READ_SCOPE,
    prefix="Error: ",
    words="task status",
    shape="uid",
    reply={
        "task_uid": Key({}, Sent("task_uid"), "as it was sent"),
        "status": Key({"anyOf": [_STATUS, {"type": "object", "additionalProperties": _STATUS}]}, None),
    },
)
def task_status(state: State, context: Context, *, task_uid: str | list) -> dict[str, Any]:
    """Tell whether tasks are running, completed or not known (any more).

    Parameters
    ----------
    task_uid
        Uid of a task, or a list of several.
    """
    if isinstance(task_uid, str):
        return {"task_uid": task_uid, "status": _statuses(state).get(task_uid, "not_found")}
    if not isinstance(task_uid, list) or not all(isinstance(uid, str) for uid in task_uid):
        raise RequestError(
            f"Parameter 'task_uid' must be a string or a list of strings: task_uid = {shortened(task_uid)}",
            code="wrong_type",
            hint="Send the uid that the method which started the task has returned.",
            path="task_uid",
        )
    known = _statuses(state)
    return {"task_uid": task_uid, "status": {uid: known.get(uid, "not_found") for uid in task_uid}}


@read(
    scope=_READ_SCOPE,
    prefix="Error: ",
    words="task result",
    shape="uid",
    reply={
        "task_uid": Key({}, Sent("task_uid"), "as it was sent"),
        "status": Key(_STATUS, None),
        "result": Key({"type": ["object", "null"]}, None, "empty for an unknown task"),
    },
)
def task_result(state: State, context: Context, *, task_uid: str) -> dict[str, Any]:
    """Return what came of a task; results are kept for two minutes at least.

    Parameters
    ----------
    task_uid
        Uid of the task.
    """
    if task_uid is None:
        raise RequestError(
            "Required 'task_uid' parameter is missing in the API call.",
            code="missing_parameter",
            hint="Send the uid that the method which started the task has returned.",
            path="task_uid",
        )
    if not isinstance(task_uid, str):
        raise RequestError(
            f"Parameter 'task_uid' must be a string: task_uid = {shortened(task_uid)}",
            code="wrong_type",
            hint="Send the uid of one task; task_status takes a list.",
            path="task_uid",
        )
    return {"task_uid": task_uid, "status": _statuses(state).get(task_uid, "not_found"), "result": _result(state, task_uid)}


def _statuses(state: State) -> dict[str, str]:
    known = {result.task_uid: "completed" for result in state.task_results}
    return known | {task.task_uid: "running" for task in state.tasks}


def _result(state: State, uid: str) -> dict[str, Any]:
    for task in state.tasks:
        if task.task_uid == uid:
            return {"task_uid": uid, "time_start": task.time_start, "run_in_background": task.background}
    for result in state.task_results:
        if result.task_uid == uid:
            return {
                "task_uid": uid,
                "success": result.success,
                "msg": result.msg,
                "traceback": result.traceback,
                "return_value": result.return_value,
                "time_start": result.time_start,
                "time_stop": result.time_stop,
            }
    return {}


@write(
    scope="write:queue:control",
    lock="environment",
    access="execute",
    prefix="Failed to interrupt IPython kernel: ",
    envelope_prefix="Error: ",
    words="kernel interrupt",
    shape="interrupt",
    waits=True,
)
def kernel_interrupt(
    step: Step,
    *,
    interrupt_task: bool = False,
    interrupt_plan: bool = False,
    environment_id: str | None = None,
    lock_key: str | None = None,
) -> dict[str, Any]:
    """Interrupt the worker's kernel: a plan is paused, a task or a cell ends; nothing happens to an idle kernel.

    Parameters
    ----------
    interrupt_task
        Whether a running foreground task may be interrupted.
    interrupt_plan
        Whether a running plan may be interrupted.
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    rules.interrupt(step, plan=bool(interrupt_plan), task=bool(interrupt_task))
    return {}
