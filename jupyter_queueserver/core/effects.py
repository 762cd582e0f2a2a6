"""Effects: what the shell must do after a decision is committed.

An effect is a wish.  If the manager dies before it is carried out, the next one finds the need for it again by asking the
worker (`jupyter_queueserver.core.rules.recovery`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .items import Item
from .state import Pending
from .tasks import Task


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all effects."""


class OpenEnvironment(Effect, frozen=True, kw_only=True):
    """Start a worker."""

    environment_id: str


class CloseEnvironment(Effect, frozen=True, kw_only=True):
    """Ask the worker to end in order."""


class DestroyEnvironment(Effect, frozen=True, kw_only=True):
    """Kill the worker; a `WorkerLost` report follows."""


class StartItem(Effect, frozen=True, kw_only=True):
    """Hand the running item to the worker; repeated after a crash, the worker refuses what it has seen."""

    item: Item


class PauseEngine(Effect, frozen=True, kw_only=True):
    """Ask the RunEngine to pause."""

    deferred: bool


class ContinueEngine(Effect, frozen=True, kw_only=True):
    """Tell the paused RunEngine how to go on."""

    command: Literal["resume", "stop", "abort", "halt"]


class BreakOffPlan(Effect, frozen=True, kw_only=True):
    """Tell the RunEngine to end a plan that is not paused.  It is not repeated by a later manager: told twice, it does more.

    ``before`` is what was pending then.
    """

    command: Literal["abort", "halt"]
    before: Pending | None


class StartTask(Effect, frozen=True, kw_only=True):
    """Hand a task to the worker; repeated after a crash, the worker refuses what it has seen."""

    task: Task


class InterruptKernel(Effect, frozen=True, kw_only=True):
    """Interrupt what the worker's main thread does; a running plan is paused by it.

    ``plan`` and ``task`` are whether that is allowed if one is running then: it may have begun meanwhile.
    """

    plan: bool = False
    task: bool = False


class StopManager(Effect, frozen=True, kw_only=True):
    """End the manager and everything that belongs to it, after the reply."""


class KillManager(Effect, frozen=True, kw_only=True):
    """Block the manager's loop for ever, without a reply: a test of the watchdog."""


AnyEffect = (
    OpenEnvironment
    | CloseEnvironment
    | DestroyEnvironment
    | StartItem
    | PauseEngine
    | ContinueEngine
    | BreakOffPlan
    | StartTask
    | InterruptKernel
    | StopManager
    | KillManager
)
