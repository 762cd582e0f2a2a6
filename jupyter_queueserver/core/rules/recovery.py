"""The first decision of a new manager: what the store says against what the worker says.

A crash between a commit and its effect shows here as a wish that the worker never heard of; it is made again.  What the
worker reported meanwhile is applied before this rule runs.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..changes import EnvironmentSet
from ..decision import Step
from ..effects import CloseEnvironment, ContinueEngine, DestroyEnvironment, PauseEngine, StartItem
from .execution import go_idle


def worker_adopted(step: Step, *, outdated: bool = False) -> None:
    """A living worker of the environment in the store was found: repeat what it may not have heard.

    Repeating is safe: the worker refuses an item that it has seen, and a command to a plan that is not paused.

    Parameters
    ----------
    outdated
        The worker speaks an older version of the conversation than this manager.
    """
    if outdated != step.state.environment.outdated:
        step.emit(EnvironmentSet(environment=replace(step.state.environment, outdated=outdated)))
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


def _repeat_for_running(step: Step) -> None:
    state = step.state
    assert state.running is not None
    step.act(StartItem(item=state.running))
    command = state.execution.command
    if command is not None and state.engine == "paused":
        step.act(ContinueEngine(command=command))
    if state.execution.pause_pending and state.engine == "running":
        step.act(PauseEngine(deferred=True))  # an immediate one, if it was heard, shows as another state of the engine
