"""Starting and stopping the queue."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from ..core.catalogue import Catalogue
from ..core.items import Item
from ..core.rules import autostart
from ..core.rules import execution as rules
from ..core.rules.submission import prepared as prepared_item
from .registry import Key, Sent, Step, write
from .schemas import COUNT_OR_NULL, ITEM

_SCOPE = "write:queue:control"


@write(scope=_SCOPE, lock="environment", words="queue start", shape="confirm_returned", access="execute")
def queue_start(step: Step, *, confirm_returned: bool = False, lock_key: str | None = None) -> dict[str, Any]:
    """Begin to work off the queue; an empty queue ends at once.

    Parameters
    ----------
    confirm_returned
        Whether the items that came back to the queue (``returned``) are confirmed by this; matters if the server is set to ask
        for it.
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.start_queue(step, confirm_returned=confirm_returned)
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


@write(scope=_SCOPE, lock="environment", prefix="Error: ", words="queue autostart", shape="on_off", access="execute")
def queue_autostart(step: Step, *, enable: bool, lock_key: str | None = None) -> dict[str, Any]:
    """Let the queue start by itself whenever it can, or no longer.

    Parameters
    ----------
    enable
        Whether it does.
    lock_key
        Key of the lock, if the environment is locked.
    """
    autostart.switch(step, enable)
    return {}


def _check_item(
    catalogue: Catalogue, new_uid: Callable[[], str], *, item: Any, user: Any, user_group: Any, **_: Any
) -> Generator[None, None, Item]:
    yield
    return prepared_item(catalogue, item, user, user_group, new_uid())


@write(
    scope="write:execute",
    lock="environment",
    prefix="Failed to start execution of the item: ",
    words="queue execute",
    shape="execute_item",
    access="execute",
    prepare=_check_item,
    reply={
        "qsize": Key(COUNT_OR_NULL, None, "length of the queue"),
        "item": Key(ITEM, Sent("item"), "the item with the uid under which it runs"),
    },
)
def queue_item_execute(
    step: Step, *, item: dict, user_group: str, user: str, lock_key: str | None = None, prepared: Item
) -> dict[str, Any]:
    """Start a plan or an instruction at once, past the queue; the queue does not go on after it.

    Parameters
    ----------
    item
        The item, as for ``queue_item_add``.
    user_group, user
        Who submits it.
    lock_key
        Key of the lock, if the environment is locked.
    """
    rules.execute(step, prepared)
    return {"qsize": len(step.state.queue), "item": prepared}
