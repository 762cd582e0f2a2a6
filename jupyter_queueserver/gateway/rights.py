"""Which scopes of the interface somebody has, found out from Jupyter's authorizer.

The authorizer knows three actions on one resource; the registry says which action each scope needs.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import JupyterHandler

from ..api import methods
from ..api.http_routes import OPERATIONS

RESOURCE = "queueserver"
ACTIONS = ("read", "write", "execute")
#: Role of the interface that comes nearest, by the actions that are allowed.
_ROLES = (({"read", "write", "execute"}, "expert"), ({"read", "write"}, "user"), ({"read"}, "observer"))


async def may(handler: JupyterHandler, action: str) -> bool:
    """Ask the authorizer directly; Jupyter's decorator remembers its first question."""
    return bool(await ensure_async(handler.authorizer.is_authorized(handler, handler.current_user, action, RESOURCE)))


async def allowed_actions(handler: JupyterHandler) -> frozenset[str]:
    """Return all that this user may; empty for nobody."""
    if handler.current_user is None:
        return frozenset()
    return frozenset([action for action in ACTIONS if await may(handler, action)])


def scopes_of(actions: Collection[str]) -> list[str]:
    """Return the scopes that these actions amount to, sorted: those of which every method is allowed."""
    return sorted(scope for scope, needed in _needs().items() if needed <= set(actions))


def roles_of(actions: Collection[str]) -> list[str]:
    """Return the role of the interface that fits best; empty for who may not even read."""
    return next(([role] for needed, role in _ROLES if needed <= set(actions)), [])


@functools.lru_cache(maxsize=1)
def _needs() -> Mapping[str, set[str]]:
    needs: dict[str, set[str]] = {}
    for method in methods().values():
        needs.setdefault(method.scope, set()).add(method.access)
    for operation in OPERATIONS.values():
        if operation.access is not None:
            needs.setdefault(operation.scope, set()).add(operation.access)
    return needs
