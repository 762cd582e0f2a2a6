"""What startup code registers by name: plans and devices to include, leave out, or expand to another depth.

The registry is consulted when the namespace is read; it knows nothing of the objects themselves.
Importable without bluesky.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = re.compile(r"^[_a-zA-Z][_a-zA-Z0-9]*$")


@dataclass(frozen=True, slots=True)
class RegisteredPlan:
    """How a registered plan is treated; `exclude` leaves it out."""

    exclude: bool = False


@dataclass(frozen=True, slots=True)
class RegisteredDevice:
    """How a registered device is treated.

    Attributes
    ----------
    depth
        Levels of the tree that are listed, 1 for the device only; 0 is unlimited.
    exclude
        True leaves the device out.
    """

    depth: int = 1
    exclude: bool = False


@dataclass(slots=True)
class Registry:
    """Everything that was registered since the environment was opened."""

    plans: dict[str, RegisteredPlan] = field(default_factory=dict)
    devices: dict[str, RegisteredDevice] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget all registrations."""
        self.plans.clear()
        self.devices.clear()


#: The registry that startup code writes to.
registry = Registry()

_worker_active = False


def set_re_worker_active() -> None:
    """Say that this process is a worker; called before startup code runs."""
    global _worker_active
    _worker_active = True


def clear_re_worker_active() -> None:
    """Say that this process is no worker (any more)."""
    global _worker_active
    _worker_active = False


def is_re_worker_active() -> bool:
    """Tell startup code whether it runs in a worker of the queue server (else in somebody's own IPython)."""
    return _worker_active


def register_plan(name: str, *, exclude: bool = False) -> None:
    """Include a callable of the namespace in the list of plans, or leave a plan out.

    Parameters
    ----------
    name
        Name in the namespace: letters, digits, underscore, not starting with a digit.
    exclude
        True leaves the plan out of the list.

    Raises
    ------
    ValueError
        The name is not of this form.
    """
    registry.plans[_checked(name)] = RegisteredPlan(exclude)


def register_device(name: str, *, depth: int = 1, exclude: bool = False) -> None:
    """Set the depth to which a device of the namespace is listed, or leave it out.

    Parameters
    ----------
    name
        Name in the namespace: letters, digits, underscore, not starting with a digit.
    depth
        Levels of the tree, 1 for the device only; 0 is unlimited.
    exclude
        True leaves the device out of the list.

    Raises
    ------
    ValueError
        The name is not of this form, or the depth is negative or no integer.
    """
    if not isinstance(depth, int) or isinstance(depth, bool) or depth < 0:
        raise ValueError(f"depth of device {name!r} must be an integer of at least 0, not {depth!r}")
    registry.devices[_checked(name)] = RegisteredDevice(depth, exclude)


def _checked(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be registered: a name has letters, digits and '_', no digit first")
    return name
