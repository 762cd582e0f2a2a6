"""What the running plan was told and has not done yet, and what can be done when that takes too long.

The ladder is: deferred pause, immediate pause, abort, halt, destroy.  Nothing here climbs it: that a rung is overdue is a fact
for the status, and the next one is a user's decision.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from ..changes import ExecutionSet
from ..decision import Step
from ..effects import BreakOffPlan
from ..state import Execution, Pending, PendingCommand, State

BreakOff = Literal["abort", "halt"]


class Rung(NamedTuple):
    """A method and its parameters, as a client would call it, and what it does."""

    method: str
    params: dict[str, Any]
    does: str


_PAUSE_NOW = Rung("re_pause", {"option": "immediate"}, "pauses at once, going back to the last checkpoint")
_ABORT = Rung("re_abort", {}, "breaks the plan off with its clean-up")
_HALT = Rung("re_halt", {}, "breaks the plan off without (the rest of) its clean-up")
_DESTROY = Rung("environment_destroy", {}, "ends the worker; devices stay as they are")

_NEXT: dict[PendingCommand, Rung] = {
    "deferred_pause": _PAUSE_NOW,
    "immediate_pause": _ABORT,
    "stop": _HALT,
    "abort": _HALT,
    "resume": _DESTROY,
    "halt": _DESTROY,
}
#: what a plan that is not paused may be told when that is overdue
_BREAKABLE: dict[str, tuple[PendingCommand, ...]] = {"abort": ("immediate_pause",), "halt": ("immediate_pause", "stop", "abort")}
_TEXTS: dict[PendingCommand, str] = {
    "deferred_pause": "The plan has not come to a checkpoint, where it would pause.",
    "immediate_pause": "The plan has not paused: it holds the RunEngine, or a device does not let it.",
    "resume": "The plan does not go on: a device may not resume.",
    "stop": "The plan has not stopped: its clean-up may hang.",
    "abort": "The plan has not ended: its clean-up may hang.",
    "halt": "The plan has not ended: it holds the RunEngine, or a device does not let it.",
}


def expected(execution: Execution, command: PendingCommand, now: float) -> Execution:
    """Return the execution with a command that its plan was told now; one that was told before stays as old as it is."""
    if execution.pending is not None and execution.pending.command == command:
        return execution
    return replace(execution, pending=Pending(command=command, since=now))


def fell_due(step: Step, since: float) -> None:
    """The limit for what was asked for at that time has passed."""
    pending = step.state.execution.pending
    if pending is not None and pending.since == since and not pending.overdue:
        step.emit(ExecutionSet(execution=replace(step.state.execution, pending=replace(pending, overdue=True))))


def may_break_off(state: State, command: str) -> bool:
    """Whether a plan that is not paused may be told this: what it was told before is overdue, and this is a rung above."""
    pending = state.execution.pending
    if pending is None or not pending.overdue or state.running is None:
        return False
    return state.execution.state == "running" and pending.command in _BREAKABLE.get(command, ())


def break_off(step: Step, command: BreakOff) -> None:
    """Tell a plan that is not paused to end."""
    before = step.state.execution
    step.emit(ExecutionSet(execution=expected(before, command, step.now)))
    step.act(BreakOffPlan(command=command, before=before.pending))


def break_off_failed(step: Step, command: BreakOff, before: Pending | None) -> None:
    """The worker did not take it: what was pending before is pending still."""
    execution = step.state.execution
    if execution.pending is not None and execution.pending.command == command:
        step.emit(ExecutionSet(execution=replace(execution, pending=before)))


def sentence(pending: Pending) -> str:
    """Say what is overdue and what can be done next; empty if nothing is overdue."""
    if not pending.overdue:
        return ""
    rung = _NEXT[pending.command]
    params = ", ".join(f"{name}={value}" for name, value in rung.params.items())
    named = f"{rung.method} ({params})" if params else rung.method
    return f"{_TEXTS[pending.command]} Next: {named}, which {rung.does}."


def shown(pending: Pending | None) -> dict[str, Any] | None:
    """The key ``re_pending`` of the status."""
    if pending is None:
        return None
    rung = _NEXT[pending.command] if pending.overdue else None
    return {
        "command": pending.command,
        "since": pending.since,
        "overdue": pending.overdue,
        "next": None if rung is None else {"method": rung.method, "params": rung.params},
        "msg": sentence(pending),
    }
