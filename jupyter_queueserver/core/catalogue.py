"""What can be submitted: existing plans and devices, who may use them, and the checks compiled from that.

A value: it never changes, only its compiled parts are made when they are first needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .checks import ItemChecker
from .codec import Verbatim
from .errors import ItemInvalid
from .permissions import Permissions


class Catalogue:
    """Existing plans and devices in the wire form, and the permissions.

    Parameters
    ----------
    plans, devices
        Name to description; not copied, must not be changed afterwards.
    """

    def __init__(self, plans: Mapping[str, Any], devices: Mapping[str, Any], permissions: Permissions) -> None:
        self.plans = plans
        self.devices = devices
        self.permissions = permissions
        self._groups: dict[str, _Group] = {}
        self._existing: dict[str, Verbatim] = {}

    def replaced(
        self,
        plans: Mapping[str, Any] | None = None,
        devices: Mapping[str, Any] | None = None,
        permissions: Permissions | None = None,
    ) -> Catalogue:
        """Return one with some parts exchanged."""
        return Catalogue(
            self.plans if plans is None else plans,
            self.devices if devices is None else devices,
            permissions or self.permissions,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Catalogue):
            return NotImplemented
        return (
            self.plans == other.plans
            and self.devices == other.devices
            and self.permissions.to_wire() == other.permissions.to_wire()
        )

    __hash__ = None  # type: ignore[assignment]

    def check(self, fields: Mapping[str, Any]) -> None:
        """Check a plan item against what its user group may use; raises `ItemInvalid` or `UserGroupUnknown`."""
        try:
            self._group(fields["user_group"]).checker.check(fields)
        except ItemInvalid as err:
            if not self.plans and err.path == "item.name":
                err.hint = "No environment was ever opened here: open it first (method environment_open)."
            raise

    def plans_allowed(self, group: str) -> Mapping[str, Any]:
        """Descriptions of the plans that the group may submit; raises `UserGroupUnknown`."""
        return self._group(group).plans

    def devices_allowed(self, group: str) -> Mapping[str, Any]:
        """Tree of the devices that the group may name; raises `UserGroupUnknown`."""
        return self._group(group).devices

    def permissions_text(self) -> str:
        """The permissions as JSON text, made once."""
        if "permissions" not in self._existing:
            self._existing["permissions"] = Verbatim(self.permissions.to_wire())
        return self._existing["permissions"].text.decode("utf-8", "surrogatepass")

    def text(self, kind: str, group: str | None = None) -> Verbatim:
        """Return ``plans`` or ``devices`` (existing, or those of a group) as text that is made once."""
        texts = self._existing if group is None else self._group(group).texts
        if kind not in texts:
            if group is None:
                value = self.plans if kind == "plans" else self.devices
            else:
                value = self.plans_allowed(group) if kind == "plans" else self.devices_allowed(group)
            texts[kind] = Verbatim(value)
        return texts[kind]

    def _group(self, name: str) -> _Group:
        if not isinstance(name, str) or name not in self._groups:
            plans, devices = self.permissions.allowed_lists(self.plans, self.devices, name)
            self._groups[name] = _Group(plans, devices)
        return self._groups[name]


class _Group:
    """The compiled part for one user group."""

    def __init__(self, plans: Mapping[str, Any], devices: Mapping[str, Any]) -> None:
        self.plans = plans
        self.devices = devices
        self.checker = ItemChecker(plans, devices)
        self.texts: dict[str, Verbatim] = {}
