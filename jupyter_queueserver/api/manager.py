"""Ending the manager."""

from __future__ import annotations

from typing import Any, Literal

from ..core.effects import KillManager, StopManager
from ..core.errors import RequestError, StateError
from ..core.rules.execution import require_ready
from ..core.status import manager_state
from .registry import Step, write

_OPTIONS = ("safe_off", "safe_on")


@write(scope="write:manager:stop", prefix="Error: ", words="manager stop", shape="safe", access="execute")
def manager_stop(step: Step, *, option: Literal["safe_on", "safe_off"] = "safe_on") -> dict[str, Any]:
    """End the manager, its environment and its watchdog.

    Parameters
    ----------
    option
        ``safe_on``: only when idle; ``safe_off``: whatever runs is lost.
    """
    option = "safe_on" if option is None else option
    if option not in _OPTIONS:
        raise RequestError(
            f"Option '{option}' is not allowed. Allowed options: {_OPTIONS}",
            code="bad_option",
            hint="Use 'safe_on' or 'safe_off'.",
            path="option",
        )
    current = manager_state(step.state)
    if option == "safe_on" and current != "idle":
        raise StateError(
            f"Closing RE Manager with option 'safe_on' is allowed only in 'idle' state. Current state: '{current}'",
            hint="Wait until it is idle, or use 'safe_off' (a running plan is lost).",
        )
    step.act(StopManager())
    return {}


@write(
    scope="write:testing",
    path="/test/manager/kill",
    words="manager kill test",
    access="execute",
    unanswered=True,
)
def manager_kill(step: Step) -> dict[str, Any]:
    """Block the manager's loop for ever, without an answer: a test of the watchdog, which starts another."""
    step.act(KillManager())
    return {}


@write(scope="write:testing", path="", access="execute", lenient_names=True)
def manager_test(step: Step, *, test_name: str) -> dict[str, Any]:
    """Try something that tests of the server need; ``reserve_kernel``: whether an item could be started now.

    Parameters
    ----------
    test_name
        What is tried.
    """
    if test_name != "reserve_kernel":
        raise RequestError(f"Unknown test name: {test_name!r}", code="bad_option", hint="Use 'reserve_kernel'.", path="test_name")
    require_ready(step)
    return {}
