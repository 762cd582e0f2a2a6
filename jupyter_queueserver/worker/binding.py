"""What the items of the open environment may call: its plans and devices, per user group, kept ready between items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.codec import from_json
from ..core.errors import ItemInvalid
from ..core.permissions import Permissions
from ..link.messages import Allowed

Lists = tuple[Mapping[str, Any], Mapping[str, Any]]


class Binder:
    """Binds items against the existing plans and devices and the permissions that came with the item.

    Parameters
    ----------
    namespace
        The kernel's ``user_ns``.
    plans, devices
        The existing ones in wire form.
    """

    def __init__(self, namespace: Mapping[str, Any], plans: dict[str, Any], devices: dict[str, Any]) -> None:
        self._namespace = namespace
        self._plans = plans
        self._devices = devices
        self._permissions_text: str | None = None
        self._permissions: Permissions | None = None
        self._lists: dict[str, Lists] = {}

    def __call__(self, fields: dict[str, Any], allowed: Allowed) -> Any:
        """Return ``(plan function, args, kwargs)``; raises `ItemInvalid` with all that is wrong."""
        from .convert import bind_item

        plans, devices = self._allowed(allowed)
        name = fields.get("name", "")
        if name not in plans:
            raise ItemInvalid(f"Plan '{name}' is not in the list of allowed plans.", path="item.name")
        return bind_item(self._namespace, fields, plans[name], plans, devices)

    def _allowed(self, allowed: Allowed) -> Lists:
        if allowed.permissions is None:
            return self._plans, self._devices
        if self._permissions is None or self._permissions_text != allowed.permissions:
            self._permissions = Permissions.parse(from_json(allowed.permissions))
            self._permissions_text = allowed.permissions
            self._lists.clear()
        if allowed.group not in self._lists:
            self._lists[allowed.group] = self._permissions.allowed_lists(self._plans, self._devices, allowed.group)
        return self._lists[allowed.group]
