"""Small typed views on descriptions of plans and devices, which stay plain dictionaries in their wire form.

The dictionaries pass to clients unchanged, so nothing here copies or converts them; it only looks into them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from .codec import python_json

#: Type names that may be written inside a type expression, and the flags that they set on the parameter.
BUILT_IN_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "__PLAN__": ("convert_plan_names",),
    "__DEVICE__": ("convert_device_names",),
    "__PLAN_OR_DEVICE__": ("convert_plan_names", "convert_device_names"),
    "__READABLE__": ("convert_device_names",),
    "__MOVABLE__": ("convert_device_names",),
    "__FLYABLE__": ("convert_device_names",),
    "__CALLABLE__": ("eval_expressions",),
}

#: The keys of an annotation that define custom enum types.
CUSTOM_TYPE_KEYS: Final = ("devices", "plans", "enums")


def components(device: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the components of a device description; empty if it has none."""
    return device.get("components") or {}


def device_is(device: Mapping[str, Any], kind: str | None) -> bool:
    """Tell whether a device is of a kind used by patterns.

    Parameters
    ----------
    device
        Description of one device.
    kind
        ``readable``, ``detector`` (readable, not movable), ``motor`` (readable and movable) or ``flyable``;
        None matches every device.

    Raises
    ------
    KeyError
        The kind is unknown.
    """
    if kind is None:
        return True
    readable, movable = bool(device.get("is_readable")), bool(device.get("is_movable"))
    kinds = {
        "readable": readable,
        "detector": readable and not movable,
        "motor": readable and movable,
        "flyable": bool(device.get("is_flyable")),
    }
    return kinds[kind]


def lookup(devices: Mapping[str, Any], dotted: str) -> Mapping[str, Any] | None:
    """Find a device or component by its dotted name; None if it is not in the tree."""
    found: Mapping[str, Any] | None = None
    level = devices
    for name in dotted.split("."):
        found = level.get(name)
        if found is None:
            return None
        level = components(found)
    return found


def walk_devices(
    devices: Mapping[str, Any], *, max_depth: int | None = None, prefix: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (dotted name, description) of all devices and components, parents first.

    Parameters
    ----------
    max_depth
        Number of levels, 1 for only the given one; None is unlimited.
    """
    for name, device in devices.items():
        yield prefix + name, device
        if max_depth is None or max_depth > 1:
            deeper = None if max_depth is None else max_depth - 1
            yield from walk_devices(components(device), max_depth=deeper, prefix=f"{prefix}{name}.")


def usable_device_names(devices: Mapping[str, Any]) -> set[str]:
    """Return the dotted names that may be given as parameters: all but those marked ``excluded``."""
    return {name for name, device in walk_devices(devices) if not device.get("excluded")}


class _Kind(msgspec.Struct):
    name: Literal["POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD", "VAR_POSITIONAL", "KEYWORD_ONLY", "VAR_KEYWORD"]


class _Annotation(msgspec.Struct):
    type: str | msgspec.UnsetType = msgspec.UNSET
    devices: dict[str, list[str]] = {}
    plans: dict[str, list[str]] = {}
    enums: dict[str, list[str]] = {}


class _Parameter(msgspec.Struct):
    name: str
    kind: _Kind
    description: str = ""
    annotation: _Annotation | None = None
    default: str | None = None


class _Plan(msgspec.Struct):
    name: str
    description: str = ""
    parameters: list[_Parameter] = []


class _Device(msgspec.Struct):
    components: dict[str, _Device] | None = None
    excluded: bool = False


def check_lists(plans: Any, devices: Any) -> None:
    """Raise ``ValueError`` that names the place unless these are descriptions that can be worked with.

    Parameters
    ----------
    plans, devices
        Existing plans and devices in the wire form, from a file that somebody may have written by hand.
    """
    for what, value, kind in (("existing_plans", plans, dict[str, _Plan]), ("existing_devices", devices, dict[str, _Device])):
        try:
            msgspec.convert(value, kind)
            python_json(value)
        except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as err:
            raise ValueError(f"'{what}': {err}") from err
