"""A queue server for Bluesky plans, native to Jupyter.

Importing the package loads next to nothing; the names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .client import AsyncClient, Client
    from .documents.catalog import databroker_catalog
    from .worker.annotations import parameter_annotation_decorator
    from .worker.registration import is_re_worker_active, register_device, register_plan

_EXPORTS = {
    "AsyncClient": ".client",
    "Client": ".client",
    "databroker_catalog": ".documents.catalog",
    "is_re_worker_active": ".worker.registration",
    "parameter_annotation_decorator": ".worker.annotations",
    "register_device": ".worker.registration",
    "register_plan": ".worker.registration",
}

__all__ = [
    "AsyncClient",
    "Client",
    "__version__",
    "databroker_catalog",
    "is_re_worker_active",
    "parameter_annotation_decorator",
    "register_device",
    "register_plan",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    extension = importlib.import_module(".gateway.extension", __name__)
    return [{"module": "jupyter_queueserver", "app": extension.QueueServerExtension}]
