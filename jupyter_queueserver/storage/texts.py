"""The state as texts: which part a change touches, and what is written for it.

Items are kept as the texts that they are.  Everything else is a few named parts, so that a small change does
not rewrite a big one: the lists of plans and devices may be a megabyte, the number of the last report a few
bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from ..core import changes as ch
from ..core.catalogue import Catalogue
from ..core.codec import convert, from_json, python_json, to_json
from ..core.errors import QueueServerError
from ..core.items import Item
from ..core.locks import Lock
from ..core.permissions import Permissions
from ..core.sequence import ItemSequence
from ..core.state import Environment, Execution, QueueMode, Run, State
from ..core.tasks import Task, TaskResult
from .contract import StoreBroken

T = TypeVar("T")

#: name of a part -> its text in a given state
_WRITERS: dict[str, Callable[[State], bytes]] = {
    "running": lambda state: to_json(state.running),
    "mode": lambda state: to_json(state.mode),
    "environment": lambda state: to_json(replace(state.environment, reports_applied=0)),
    "reports_applied": lambda state: to_json(state.environment.reports_applied),
    "execution": lambda state: to_json(state.execution),
    "engine": lambda state: to_json(state.engine),
    "runs": lambda state: to_json(state.runs),
    "plans": lambda state: state.catalogue.text("plans").text,
    "devices": lambda state: state.catalogue.text("devices").text,
    "permissions": lambda state: python_json(state.catalogue.permissions.to_wire()),
    "autostart": lambda state: to_json(state.autostart),
    "cell": lambda state: to_json(state.cell),
    "lock": lambda state: to_json(state.lock),
    "tasks": lambda state: to_json(state.tasks),
}

#: parts that stores of earlier versions do not have, as they were then
_LATER = {"autostart": b"false", "cell": b"false", "lock": to_json(Lock()), "tasks": b"[]"}

PARTS = tuple(_WRITERS)

#: change -> parts that it touches
TOUCHED: dict[type, tuple[str, ...]] = {
    ch.RunningSet: ("running",),
    ch.ModeSet: ("mode",),
    ch.EnvironmentSet: ("environment", "reports_applied"),
    ch.ReportApplied: ("reports_applied",),
    ch.ExecutionSet: ("execution",),
    ch.EngineSet: ("engine",),
    ch.RunsSet: ("runs",),
    ch.RunAdded: ("runs",),
    ch.RunEnded: ("runs",),
    ch.PlansSet: ("plans",),
    ch.DevicesSet: ("devices",),
    ch.PermissionsSet: ("permissions",),
    ch.AutostartSet: ("autostart",),
    ch.LockSet: ("lock",),
    ch.CellSet: ("cell",),
    ch.TaskStarted: ("tasks",),
    ch.TaskAccepted: ("tasks",),
    ch.TasksDropped: ("tasks",),
    ch.TaskFinished: ("tasks",),
    ch.TaskResultsForgotten: (),
}


def touched_parts(changes: Iterable[ch.AnyChange]) -> dict[str, None]:
    """Return the names of the parts that the changes touch, each once, in order of first touch."""
    return dict.fromkeys(name for change in changes for name in TOUCHED.get(type(change), ()))


def part_texts(state: State, names: Iterable[str]) -> dict[str, bytes]:
    """Return the texts (UTF-8 JSON) of those parts."""
    return {name: _WRITERS[name](state) for name in names}


def state_of(queue: Iterable[bytes], history: Iterable[bytes], results: Iterable[bytes], parts: Mapping[str, bytes]) -> State:
    """Make the state of its texts; raises `StoreBroken` that names the place."""
    parts = _LATER | dict(parts)
    missing = [name for name in PARTS if name not in parts]
    if missing:
        raise StoreBroken(f"The store is damaged: {', '.join(missing)} is missing.")

    def read(name: str, kind: type[T] | Any) -> Any:
        return _reading(name, lambda: convert(from_json(parts[name]), kind))

    permissions = _reading("permissions", lambda: Permissions.parse(from_json(parts["permissions"])))
    environment = replace(read("environment", Environment), reports_applied=read("reports_applied", int))
    return State(
        queue=_reading("queue", lambda: ItemSequence(map(_item, queue))),
        history=_reading("history", lambda: ItemSequence(map(_item, history))),
        running=read("running", Item | None),
        mode=read("mode", QueueMode),
        environment=environment,
        execution=read("execution", Execution),
        engine=read("engine", str | None),
        runs=read("runs", tuple[Run, ...]),
        autostart=read("autostart", bool),
        cell=read("cell", bool),
        lock=read("lock", Lock),
        tasks=read("tasks", tuple[Task, ...]),
        task_results=_reading("task_results", lambda: tuple(map(_result, results))),
        catalogue=Catalogue(read("plans", dict[str, Any]), read("devices", dict[str, Any]), permissions),
    )


def _item(text: bytes) -> Item:
    return Item(from_json(text))


def result_text(result: TaskResult) -> bytes:
    """Return the text (UTF-8 JSON) of a result."""
    return to_json(result)


def _result(text: bytes) -> TaskResult:
    return convert(from_json(text), TaskResult)


def _reading(place: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, TypeError, KeyError, RecursionError, QueueServerError) as error:
        raise StoreBroken(f"The store is damaged: {place} cannot be read ({error}).") from error
