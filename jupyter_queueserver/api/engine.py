"""The RunEngine: pausing a plan and what follows, and its runs."""

from __future__ import annotations

from typing import Any, Literal

from ..core import codec
from ..core.errors import RequestError, StateError
from ..core.rules import execution as rules
from ..core.rules.guard import require_environment
from ..core.rules.pending import sentence
from ..core.status import part_uid
from .registry import Context, Key, State, Step, read, write
from .schemas import OBJECT, RUNS, UID

_SCOPE = "write:plan:control"
_RUN_OPTIONS = ("active", "open", "closed")


@write(scope=_SCOPE, lock="environment", words="re pause", shape="option", access="execute", waits=True, even_without_store=True)
def re_pause(
    step: Step,
    *,
    option: Literal["deferred", "immediate"] = "deferred",
    environment_id: str | None = None,
    lock_key: str | None = None,
) -> dict[str, Any]:
    """Ask the RunEngine to pause the running plan.

    Parameters
    ----------
    option
        ``deferred``: at the next checkpoint; ``immediate``: now, going back to the last checkpoint.
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    rules.pause(step, option)
    pending = step.state.execution.pending
    return {"msg": sentence(pending)} if pending is not None and pending.overdue else {}


@write(scope=_SCOPE, lock="environment", words="re resume", access="execute", waits=True, even_without_store=True)
def re_resume(step: Step, *, environment_id: str | None = None, lock_key: str | None = None) -> dict[str, Any]:
    """Go on with the paused plan.

    Parameters
    ----------
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    rules.continue_plan(step, "resume")
    return {}


@write(scope=_SCOPE, lock="environment", words="re stop", access="execute", waits=True, even_without_store=True)
def re_stop(
    step: Step, *, keep_first: bool = False, environment_id: str | None = None, lock_key: str | None = None
) -> dict[str, Any]:
    """End the paused plan as a success; the queue stops.

    Parameters
    ----------
    keep_first
        Whether the item comes back to the front of the queue, as it does after an abort.
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    rules.continue_plan(step, "stop", keep_first=bool(keep_first))
    return {}


@write(scope=_SCOPE, lock="environment", words="re abort", access="execute", waits=True, even_without_store=True)
def re_abort(
    step: Step, *, keep_first: bool = False, environment_id: str | None = None, lock_key: str | None = None
) -> dict[str, Any]:
    """End the paused plan as a failure, with its clean-up; the item comes back to the front of the queue.

    Also accepted when the plan is not paused although an immediate pause is overdue (status ``re_pending``).

    Parameters
    ----------
    keep_first
        As for ``re_stop``; here the item comes back in any case.
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    rules.continue_plan(step, "abort", keep_first=bool(keep_first))
    return {}


@write(scope=_SCOPE, lock="environment", words="re halt", access="execute", waits=True, even_without_store=True)
def re_halt(
    step: Step, *, keep_first: bool = False, environment_id: str | None = None, lock_key: str | None = None
) -> dict[str, Any]:
    """End the paused plan without its clean-up; the item comes back to the front of the queue.

    Also accepted when the plan is not paused although an immediate pause, a stop or an abort is overdue (status ``re_pending``).

    Parameters
    ----------
    keep_first
        As for ``re_stop``; here the item comes back in any case.
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    rules.continue_plan(step, "halt", keep_first=bool(keep_first))
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


class _NoMetadata(StateError):
    prefix = ""


@read(
    scope="read:monitor",
    prefix="Error: ",
    words="re metadata",
    reply={"re_metadata": Key(OBJECT, {}, "the metadata, values as they are at this moment")},
    fetch="re_metadata",
)
def re_metadata(state: State, context: Context, *, fetched: str | None) -> dict[str, Any]:
    """Return the RunEngine's metadata, as far as the settings permit."""
    if fetched is None:
        raise _NoMetadata(
            "Environment does not exist. Cannot retrieve RE metadata.",
            code="no_environment",
            hint="Open the environment first (method environment_open).",
        )
    return {"re_metadata": codec.Verbatim(codec.from_json(fetched))}
