"""Starting the queue without being told: when autostart is on and an item could start, it does.

Nothing is polled: after every input that changed something `conclude` is decided, so that the queue starts as soon as it can.
An item that the worker refuses switches autostart off: tried again and again, it would fill the history and nothing else.
"""

from __future__ import annotations

from typing import Any

from ..changes import AutostartSet
from ..decision import Step
from ..effects import StopManager
from ..errors import RequestError, StateError
from .execution import require_ready, start_queue
from .returned import require_confirmed


def switch(step: Step, enable: Any) -> None:
    """Switch autostart on or off."""
    if not isinstance(enable, bool):
        raise RequestError(
            f"The 'enable' parameter must be a boolean: enable = {enable!r}",
            code="wrong_type",
            hint="Send true or false.",
            path="enable",
        )
    if enable != step.state.autostart:
        step.emit(AutostartSet(enabled=enable))


def conclude(step: Step) -> None:
    """The queue starts if autostart is on and an item can be started.

    It is a decision of its own, committed at once: what it follows may be a report that is not committed yet.
    """
    state = step.state
    if not state.autostart or not len(state.queue) or any(isinstance(effect, StopManager) for effect in step.effects):
        return
    try:
        require_ready(step)
        require_confirmed(step)
    except StateError:
        return
    start_queue(step)
