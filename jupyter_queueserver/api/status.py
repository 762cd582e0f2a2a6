"""Status and configuration."""

from __future__ import annotations

from typing import Any

from ..core import status as core_status
from .registry import Context, Key, State, read
from .schemas import OBJECT


def _status(state: State, context: Context) -> dict[str, Any]:
    return core_status.status(
        state,
        epoch=context.epoch,
        time_text=context.local_time(state.time),
        version=context.version,
        kernel=context.kernel,
        store_failure=context.store_failure,
        confirm_returned=context.config.confirm_returned,
    )


@read(scope="read:status", words="ping", lenient=True)
def ping(state: State, context: Context) -> dict[str, Any]:
    """Return the status: a sign of life."""
    return _status(state, context)


@read(scope="read:status", words="status", lenient=True)
def status(state: State, context: Context) -> dict[str, Any]:
    """Return the status: the states of manager, environment and RunEngine, and a uid for each list."""
    return _status(state, context)


@read(
    scope="read:config",
    access="execute",  # who has the kernel's key can run code in it
    words="config",
    reply={"config": Key(OBJECT, {}, "``ip_connect_info``: how to connect to the worker's kernel")},
)
def config_get(state: State, context: Context) -> dict[str, Any]:
    """Return the connection information of the worker's IPython kernel."""
    shown = state.is_open and context.kernel == "shown"
    return {"config": {"ip_connect_info": dict(context.connection) if shown else {}}}
