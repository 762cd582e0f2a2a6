"""The lists of existing plans and devices: made of the namespace, told to the manager, and what items are bound against.

It looks at the namespace and changes nothing in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.reports import ListsUpdated, Report
from ..link.environment import EnvironmentRecord
from ..link.messages import Allowed
from .binding import Binder

if TYPE_CHECKING:
    from .introspect import NamespaceDescription


class PlansNotDescribed(Exception):
    """Some plans cannot be described, and may not be left out silently; the text names them."""


class Lists:
    """Plans and devices of one namespace.

    Parameters
    ----------
    namespace
        The kernel's ``user_ns``.
    """

    def __init__(self, record: EnvironmentRecord, namespace: dict[str, Any], report: Callable[[Report], object]) -> None:
        self._record = record
        self._namespace = namespace
        self._report = report
        self._binder: Binder | None = None
        self._lock = threading.Lock()

    def bind(self, fields: dict[str, Any], allowed: Allowed) -> Any:
        """Turn an item into ``(plan function, args, kwargs)``; raises with all that is wrong with it."""
        assert self._binder is not None, "items are accepted in an open environment only"
        return self._binder(fields, allowed)

    def make(self) -> NamespaceDescription:
        """Describe the namespace; raises `PlansNotDescribed`, and nothing has changed then."""
        found = self._describe()
        _refuse_errors(found)
        return found

    def renew(self) -> None:
        """Describe the namespace and report the lists, from any thread.

        Raises `PlansNotDescribed` after that if some plans had to be left out.
        """
        with self._lock:  # of two threads, the one that looks later must report later
            found = self._describe()
            self._report(ListsUpdated(time=time.time(), plans=found.plans, devices=found.devices, problems=sentences(found)))
        _refuse_errors(found)

    def _describe(self) -> NamespaceDescription:
        from .introspect import describe_namespace

        found = describe_namespace(
            dict(self._namespace),  # other threads may change it meanwhile
            device_max_depth=self._record.device_max_depth,
            ignore_invalid_plans=self._record.ignore_invalid_plans,
        )
        self._binder = Binder(self._namespace, found.plans, found.devices)
        return found


def sentences(found: NamespaceDescription) -> tuple[str, ...]:
    """What was left out, and why."""
    return tuple(f"{problem.name}: {problem.text}" for problem in found.problems)


def _refuse_errors(found: NamespaceDescription) -> None:
    if found.errors:
        lines = "\n".join(f"{problem.name}: {problem.text}" for problem in found.errors)
        raise PlansNotDescribed(f"{len(found.errors)} plan(s) cannot be described:\n{lines}")
