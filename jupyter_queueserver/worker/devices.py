"""Describes the devices of a namespace and finds their components, for ophyd and ophyd-async alike.

Looks at the shape of the objects only (protocols of bluesky, ``component_names``, ``children``), so neither
library has to be installed.  Reads no values from hardware.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from bluesky.protocols import Flyable, Movable, Readable

from .registration import RegisteredDevice

log = logging.getLogger(__name__)

_AREA_DETECTORS = (
    ("ophyd.areadetector.base", "ADBase"),
    ("ophyd.areadetector.detectors", "DetectorBase"),
)


def is_device(value: Any) -> bool:
    """Tell whether an object is an instance that can be read or flown, or has children as in ophyd-async."""
    if isinstance(value, (type, ModuleType)) or inspect.isroutine(value):
        return False
    return isinstance(value, (Readable, Flyable)) or callable(getattr(value, "children", None))


def describe_devices(
    ns: Mapping[str, Any], max_depth: int, registered: Mapping[str, RegisteredDevice]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Describe all devices of a namespace.

    Parameters
    ----------
    max_depth
        Levels that are listed, 1 for only the devices themselves; 0 is unlimited.
    registered
        Depths and exclusions by device name.

    Returns
    -------
    dict
        Name -> description, sorted by name.
    dict
        Name -> sentence, for objects and components that could not be looked at.
    """
    devices: dict[str, dict[str, Any]] = {}
    problems: dict[str, str] = {}
    for name in sorted(key for key in ns if isinstance(key, str) and key.isidentifier()):
        entry = registered.get(name)
        if entry is not None and entry.exclude:
            continue
        depth = max_depth if entry is None else entry.depth
        try:
            if is_device(ns[name]):
                devices[name] = _describe(ns[name], name, depth, entry is not None, problems)
        except Exception as error:  # boundary: properties of foreign objects may raise anything
            log.debug("Object %r could not be looked at", name, exc_info=True)
            problems[name] = f"Object '{name}' cannot be looked at: {type(error).__name__}: {error}"
    return devices, problems


def child_devices(device: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, component) of a device; nothing if it has none.

    Raises
    ------
    Exception
        Whatever a component raises that cannot be reached.
    """
    names = getattr(device, "component_names", None)
    if isinstance(names, (tuple, list)):
        for name in names:
            yield name, getattr(device, name)
    elif callable(getattr(device, "children", None)):
        for name, child in device.children():
            yield str(name), child


def resolve_device(ns: Mapping[str, Any], dotted: str) -> Any:
    """Find a device or component of the namespace by its dotted name.

    Raises
    ------
    LookupError
        A part of the name does not exist; the text says which.
    """
    first, *rest = dotted.split(".")
    if first not in ns:
        raise LookupError(f"there is no '{first}' in the namespace")
    found = ns[first]
    for name in rest:
        try:
            found = _child(found, name)
        except Exception as error:  # boundary: components connect when touched and may raise anything
            log.debug("Component %r of %r cannot be reached", name, dotted, exc_info=True)
            raise LookupError(f"component '{name}' of '{dotted}' cannot be reached: {error}") from error
    return found


def _child(device: Any, name: str) -> Any:
    if hasattr(device, name):
        return getattr(device, name)
    return dict(child_devices(device))[name]  # members of a vector are no attributes


def _describe(device: Any, path: str, depth: int, registered: bool, problems: dict[str, str]) -> dict[str, Any]:
    kind = type(device)
    result: dict[str, Any] = {
        "is_readable": isinstance(device, Readable),
        "is_movable": isinstance(device, Movable),
        "is_flyable": isinstance(device, Flyable),
        "classname": kind.__name__,
        "module": kind.__module__,
    }
    if depth == 1 or (not registered and _is_area_detector(device)):
        return result
    deeper = 0 if depth == 0 else depth - 1
    try:
        components = {
            name: _describe(child, f"{path}.{name}", deeper, registered, problems) for name, child in child_devices(device)
        }
    except Exception as error:  # boundary: components connect when touched and may raise anything
        log.debug("Components of %r could not be listed", path, exc_info=True)
        problems[path] = f"Components of '{path}' are left out: {type(error).__name__}: {error}"
        return result
    if components:
        result["components"] = components
    return result


def _is_area_detector(device: Any) -> bool:
    """Decide without importing ophyd: if its modules are not loaded, no object can be of their classes."""
    for module, name in _AREA_DETECTORS:
        cls = getattr(sys.modules.get(module), name, None)
        if isinstance(cls, type) and isinstance(device, cls):
            return True
    return False
