"""The first decision of a new manager: what the store says against what the worker says.

A crash between a commit and its effect shows here as a wish that the worker never heard of; it is made again.  What the
worker reported meanwhile is applied before this rule runs.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..changes import EngineSet, EnvironmentSet, RunsSet
from ..decision import Step
from ..effects import CloseEnvironment, ContinueEngine, DestroyEnvironment, PauseEngine, StartItem
from ..state import Environment, State
from .execution import go_idle
from .tasks import repeat_starts


def worker_adopted(step: Step, *, outdated: bool = False) -> None:
    """A living worker of the environment in the store was found: repeat what it may not have heard.

    Repeating is safe: the worker refuses an item that it has seen, and a command to a plan that is not paused.

    Parameters
    ----------
    outdated
        The worker speaks an older version of the conversation than this manager.
    """
    before = step.state.environment
    outdated = outdated or before.outdated  # once so, it is so until the environment is opened again
    if outdated != before.outdated or before.unreachable is not None:
        step.emit(EnvironmentSet(environment=replace(before, outdated=outdated, unreachable=None)))
    state = step.state
    environment = state.environment
    if environment.state == "destroying":
        step.act(DestroyEnvironment())
    elif environment.state == "closing":
        step.act(CloseEnvironment())
    elif environment.state == "closed":
        step.emit(EnvironmentSet(environment=replace(environment, state="destroying")))
        step.act(DestroyEnvironment())
    elif state.running is not None:
        _repeat_for_running(step)
    elif state.execution.state != "idle":
        go_idle(step)
    if environment.state == "open":
        repeat_starts(step)


def worker_unreachable(step: Step, environment_id: str, reason: str) -> None:
    """The worker of the environment in the store lives, but this manager cannot talk to it (yet).

    One that should have ended is destroyed: a second one must not be opened beside it.
    """
    environment = step.state.environment
    if environment.environment_id == environment_id and environment.unreachable != reason:
        state = "destroying" if environment.state == "closed" else environment.state
        step.emit(EnvironmentSet(environment=replace(environment, state=state, unreachable=reason)))


def worker_answers(step: Step, environment_id: str) -> None:
    """A worker that had been silent answers again."""
    environment = step.state.environment
    if environment.environment_id == environment_id and environment.unreachable is not None:
        step.emit(EnvironmentSet(environment=replace(environment, unreachable=None)))


def foreign_worker_adopted(
    step: Step, environment_id: str, *, engine: str | None, last_report: int, unreachable: str | None = None
) -> None:
    """A living worker was found of which this store knows nothing: it finishes what it does, and starts nothing more.

    As long as it lives no other can be opened, whether it answers or not; one whose end was wished meanwhile is ended.

    Parameters
    ----------
    engine
        State of its RunEngine; None if there is none.
    last_report
        Number of the last report before that: what those say is about items of another store.
    unreachable
        Why it does not answer this manager (yet); None: it does.
    """
    before = step.state.environment
    if before.environment_id == environment_id and before.state != "open":
        worker_adopted(step, outdated=True)
        return
    environment = Environment(
        state="open", environment_id=environment_id, reports_applied=last_report, outdated=True, unreachable=unreachable
    )
    step.emit(EnvironmentSet(environment=environment))
    if engine != step.state.engine:
        step.emit(EngineSet(engine=engine))
    if step.state.runs:
        step.emit(RunsSet())


def _is_immediate(state: State) -> bool:
    return state.execution.pending is not None and state.execution.pending.command != "deferred_pause"


def _repeat_for_running(step: Step) -> None:
    state = step.state
    assert state.running is not None
    step.act(StartItem(item=state.running))
    command = state.execution.command
    if command is not None and state.engine == "paused":
        step.act(ContinueEngine(command=command))
    if state.execution.pause_pending and state.engine == "running":
        step.act(PauseEngine(deferred=not _is_immediate(state)))
