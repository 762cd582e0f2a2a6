"""The RunEngine: pausing a plan and what follows, and its runs."""

from __future__ import annotations

from typing import Any, Literal

from ..core import codec
from ..core.errors import RequestError
from ..core.rules import execution as rules
from ..core.status import part_uid
from .registry import Context, Key, State, Step, read, write
from .schemas import RUNS, UID

_SCOPE = "write:plan:control"
_RUN_OPTIONS = ("active", "open", "closed")


@write(scope=_SCOPE, lock="environment", words="re pause", shape="option", access="execute", waits=True, even_without_store=True)
def re_pause(step: Step, *, option: Literal["deferred", "immediate"] = "deferred", lock_key: str | None = None) -> dict[str, Any]:
    """Ask the RunEngine to pause the running plan.

    Parameters
    ----------
    option
        ``deferred``: at the next checkpoint; ``immediate``: now, going back to the last checkpoint.
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.pause(step, option)
    return {}


@write(scope=_SCOPE, lock="environment", words="re resume", access="execute", waits=True, even_without_store=True)
def re_resume(step: Step, *, lock_key: str | None = None) -> dict[str, Any]:
    """Go on with the paused plan.

    Parameters
    ----------
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.continue_plan(step, "resume")
    return {}


@write(scope=_SCOPE, lock="environment", words="re stop", access="execute", waits=True, even_without_store=True)
def re_stop(step: Step, *, lock_key: str | None = None) -> dict[str, Any]:
    """End the paused plan as a success; the queue stops.

    Parameters
    ----------
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.continue_plan(step, "stop")
    return {}


@write(scope=_SCOPE, lock="environment", words="re abort", access="execute", waits=True, even_without_store=True)
def re_abort(step: Step, *, lock_key: str | None = None) -> dict[str, Any]:
    """End the paused plan as a failure, with its clean-up; the item comes back to the front of the queue.

    Parameters
    ----------
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.continue_plan(step, "abort")
    return {}


@write(scope=_SCOPE, lock="environment", words="re halt", access="execute", waits=True, even_without_store=True)
def re_halt(step: Step, *, lock_key: str | None = None) -> dict[str, Any]:
    """End the paused plan without its clean-up; the item comes back to the front of the queue.

    Parameters
    ----------
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.continue_plan(step, "halt")
    return {}


@read(
    scope="read:monitor",
    verb="POST",
    prefix="Error: ",
    words="re runs",
    shape="option",
    reply={"run_list": Key(RUNS, []), "run_list_uid": Key(UID, "")},
)
def re_runs(state: State, context: Context, *, option: Literal["active", "open", "closed"] = "active") -> dict[str, Any]:
    """Return the runs of the running plan.

    Parameters
    ----------
    option
        ``active``: all; ``open`` or ``closed``: only those.
    """
    if option not in _RUN_OPTIONS:
        raise RequestError(
            f"Option '{option}' is not supported. Supported options: {_RUN_OPTIONS}",
            code="bad_option",
            hint="Use 'active', 'open' or 'closed'.",
            path="option",
        )
    wanted = {"active": (True, False), "open": (True,), "closed": (False,)}[option]
    return {
        "run_list": codec.to_plain([run for run in state.runs if run.is_open in wanted]),
        "run_list_uid": part_uid(context.epoch, "runs", state.versions.runs),
    }
