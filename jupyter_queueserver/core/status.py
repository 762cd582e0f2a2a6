"""What clients know as the status: computed from the state, never kept beside it."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from .rules import pending
from .state import State

_ENVIRONMENT_STATES = {
    "opening": "creating_environment",
    "closing": "closing_environment",
    "destroying": "destroying_environment",
}
_EXECUTION_STATES = {
    "idle": "idle",
    "starting": "starting_queue",
    "running": "executing_queue",
    "paused": "paused",
}
_WORKER_STATES = {"closed": "closed", "opening": "initializing", "closing": "closing"}


def manager_state(state: State) -> str:
    """The state of the manager as existing clients know it."""
    busy = _ENVIRONMENT_STATES.get(state.environment.state)
    if busy is None and has_foreground_task(state):
        busy = "executing_task"
    return busy or _EXECUTION_STATES[state.execution.state]


def has_foreground_task(state: State) -> bool:
    """Whether a task occupies the worker's main thread."""
    return any(not task.background for task in state.tasks)


def worker_state(state: State) -> str:
    """The state of the worker as existing clients know it."""
    known = _WORKER_STATES.get(state.environment.state)
    if known:
        return known
    if has_foreground_task(state):
        return "executing_task"
    return "executing_plan" if state.execution.state in ("starting", "running") else "idle"


def part_uid(epoch: str, part: str, version: int) -> str:
    """A uid that changes exactly when that part of the state does; has the form of a UUID4."""
    digest = hashlib.blake2b(f"{epoch}/{part}/{version}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"


def status(
    state: State,
    *,
    epoch: str,
    time_text: str,
    version: str,
    kernel: Literal["shown", "hidden"],
    store_failure: str | None = None,
    confirm_returned: bool = False,
) -> dict[str, Any]:
    """The status dictionary.

    Parameters
    ----------
    epoch
        Identity of this life of the manager.
    time_text
        ``state.time`` in local time, ISO 8601 without zone.
    version
        Of the package.
    kernel
        Whether the worker's IPython kernel is shown to clients, or the worker answers as a plain one.
    store_failure
        Why the store takes no changes just now; None if it does.
    confirm_returned
        Whether the queue starts only when every item that came back to it was confirmed.
    """
    versions = state.versions
    kernel_state, captured = _kernel(state, kernel)
    return {
        "msg": f"RE Manager v{version}",
        "time": time_text,
        "status_uid": part_uid(epoch, "status", state.seq),
        "items_in_queue": len(state.queue),
        "items_in_history": state.history.size,
        "running_item_uid": state.running.item_uid if state.running else None,
        "manager_state": manager_state(state),
        "queue_stop_pending": state.execution.stop_pending,
        "queue_autostart_enabled": state.autostart,
        "worker_environment_exists": state.environment.state in ("open", "closing", "destroying"),
        "worker_environment_state": worker_state(state),
        "worker_background_tasks": sum(task.background for task in state.tasks),
        "re_state": state.engine,
        "ip_kernel_state": kernel_state,
        "ip_kernel_captured": captured,
        "pause_pending": state.execution.pause_pending,
        "re_pending": pending.shown(state.execution.pending),
        "run_list_uid": part_uid(epoch, "runs", versions.runs),
        "plan_queue_uid": part_uid(epoch, "queue", versions.queue),
        "plan_history_uid": part_uid(epoch, "history", versions.history),
        "devices_existing_uid": part_uid(epoch, "devices_existing", versions.devices_existing),
        "plans_existing_uid": part_uid(epoch, "plans_existing", versions.plans_existing),
        "devices_allowed_uid": part_uid(epoch, "devices_allowed", versions.devices_allowed),
        "plans_allowed_uid": part_uid(epoch, "plans_allowed", versions.plans_allowed),
        "plan_queue_mode": {"loop": state.mode.loop, "ignore_failures": state.mode.ignore_failures},
        "task_results_uid": part_uid(epoch, "task_results", versions.task_results),
        "lock_info_uid": state.lock.uid,
        "lock": {"environment": state.lock.environment, "queue": state.lock.queue},
        "confirmation_needed": state.queue.unconfirmed if confirm_returned else 0,
        "environment_id": state.environment.environment_id,
        "environment_failure": _failure(state),
        "environment_loading": _loading(state),
        "environment_alarm": state.environment.alarm,
        "environment_outdated": state.environment.outdated,
        "environment_unreachable": state.environment.unreachable,
        "store_failure": store_failure,
    }


def _kernel(state: State, shown: str) -> tuple[str | None, bool | None]:
    if state.environment.state == "closed":
        return None, None
    if state.environment.state == "opening":
        return ("starting" if shown == "shown" else "disabled"), False
    if shown == "hidden":
        return "disabled", True
    if state.environment.state in ("closing", "destroying"):
        return "disabled", False
    busy = state.execution.state in ("starting", "running") or has_foreground_task(state)
    return ("busy" if busy or state.cell else "idle"), busy


def _loading(state: State) -> dict[str, Any] | None:
    loading = state.environment.loading
    if loading is None:
        return None
    return {"name": loading.name, "number": loading.number, "count": loading.count, "since": loading.since}


def _failure(state: State) -> dict[str, Any] | None:
    failure = state.environment.failure
    if failure is None:
        return None
    return {
        "msg": failure.msg,
        "file": failure.file,
        "line": failure.line,
        "traceback": failure.traceback,
        "time": failure.time,
    }
