"""The declarations of the interface: importing this package fills the registry.

Pure as the core: nothing here opens a socket or a file.
"""

from . import (  # noqa: F401 - fills the registry
    engine,
    environment,
    execution,
    history,
    lists,
    lock,
    manager,
    permissions,
    queue,
    queue_batches,
    restoring,
    status,
    tasks,
)
from .dispatch import Call, decide, parse_request, read_call, refuse
from .registry import Context, Key, Method, Parameter, Sent, methods

__all__ = [
    "Call",
    "Context",
    "Key",
    "Method",
    "Parameter",
    "Sent",
    "decide",
    "methods",
    "parse_request",
    "read_call",
    "refuse",
]
