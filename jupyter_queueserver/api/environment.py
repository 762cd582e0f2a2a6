"""Opening and closing the environment."""

from __future__ import annotations

from typing import Any

from ..core.rules import environment as rules
from ..core.rules.guard import require_environment
from .registry import Step, write

_SCOPE = "write:manager:control"


@write(scope=_SCOPE, lock="environment", words="environment open", access="execute")
def environment_open(step: Step, *, lock_key: str | None = None) -> dict[str, Any]:
    """Start the worker and load the startup code; the status tells when it is ready.

    Parameters
    ----------
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.open_environment(step)
    return {}


@write(scope=_SCOPE, lock="environment", words="environment close", access="execute", waits=True)
def environment_close(step: Step, *, environment_id: str | None = None, lock_key: str | None = None) -> dict[str, Any]:
    """End the worker in order.

    Parameters
    ----------
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    rules.close_environment(step)
    return {}


@write(scope=_SCOPE, lock="environment", words="environment destroy", access="execute", even_without_store=True)
def environment_destroy(step: Step, *, environment_id: str | None = None, lock_key: str | None = None) -> dict[str, Any]:
    """Kill the worker, whatever it does; a running plan is lost.

    Parameters
    ----------
    environment_id
        The environment that is meant (key of the status); refused if there is another one by now.  None: whichever is there.
    lock_key
        Key of the lock, if the environment is locked.
    """
    require_environment(step, environment_id)
    rules.destroy_environment(step)
    return {}
