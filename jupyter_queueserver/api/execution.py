"""Starting and stopping the queue."""

from __future__ import annotations

from typing import Any

from ..core.rules import execution as rules
from .registry import Step, write

_SCOPE = "write:queue:control"


@write(scope=_SCOPE, lock="environment", words="queue start", access="execute")
def queue_start(step: Step, *, lock_key: str | None = None) -> dict[str, Any]:
    """Begin to work off the queue; an empty queue ends at once.

    Parameters
    ----------
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.start_queue(step)
    return {}


@write(scope=_SCOPE, lock="environment", words="queue stop", access="execute")
def queue_stop(step: Step, *, lock_key: str | None = None) -> dict[str, Any]:
    """Stop after the running plan.

    Parameters
    ----------
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.stop_queue(step)
    return {}


@write(scope=_SCOPE, lock="environment", words="queue stop cancel", access="execute")
def queue_stop_cancel(step: Step, *, lock_key: str | None = None) -> dict[str, Any]:
    """Take a request to stop back.

    Parameters
    ----------
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.stop_queue_cancel(step)
    return {}
