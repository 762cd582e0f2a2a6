"""The state as texts: which part a change touches, and what is written for it.

Items are kept as the texts that they are.  Everything else is a few named parts, so that a small change does
not rewrite a big one: the lists of plans and devices may be a megabyte, the number of the last report a few
bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from msgspec.structs import replace

from ..core import changes as ch
from ..core.catalogue import Catalogue
from ..core.codec import convert, from_json, python_json, to_json
from ..core.errors import QueueServerError
from ..core.history import History, tail_length
from ..core.items import Item
from ..core.locks import Lock
from ..core.permissions import Permissions
from ..core.requests import RequestIndex, RequestRecord
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
LATER = {"autostart": b"false", "cell": b"false", "lock": to_json(Lock()), "tasks": b"[]"}

PARTS = tuple(_WRITERS)

#: What an empty text is refused with: that is how a store gives one that it knows to be damaged (sql/queries.sql).
_NOTHING_THERE = "Expecting value: line 1 column 1 (char 0)"

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
    ch.RequestRecorded: (),
    ch.RequestsForgotten: (),
}


def touched_parts(changes: Iterable[ch.AnyChange]) -> dict[str, None]:
    """Return the names of the parts that the changes touch, each once, in order of first touch."""
    return dict.fromkeys(name for change in changes for name in TOUCHED.get(type(change), ()))


def part_texts(state: State, names: Iterable[str]) -> dict[str, bytes]:
    """Return the texts (UTF-8 JSON) of those parts."""
    return {name: _WRITERS[name](state) for name in names}


@dataclass(frozen=True)
class StoredHistory:
    """What a store reads of its history to make a state: which entries there are, and as many of the newest as are wanted.

    Attributes
    ----------
    first, end
        Numbers of the oldest entry and of the next one.
    backwards
        Texts of the entries from the newest back; read only as far as a state holds them.
    """

    first: int
    end: int
    backwards: Iterable[bytes]

    def to_history(self) -> History:
        """Read the tail; raises ``ValueError`` or ``KeyError`` for a text that is no item."""
        texts: list[bytes] = []
        for text in islice(self.backwards, self.end - self.first):
            if tail_length(map(len, (*texts, text))) == len(texts):
                break
            texts.append(text)
        return History(first=self.first, end=self.end, tail=ItemSequence(map(Item.of_text, reversed(texts))))


def entries_of_first_commit(changes: Iterable[ch.AnyChange], after: State) -> list[tuple[int, Item]]:
    """Return all entries of the history after the first commit of a store, with their numbers.

    A state holds only the newest ones; the others must be in the changes.  Raises ``ValueError`` if they are not.
    """
    held = after.history
    appended = [item for change in changes if isinstance(change, ch.HistoryAppended) for item in change.items]
    numbered = dict(enumerate(appended, held.end - len(appended)))
    numbered |= dict(enumerate(held.tail, held.held_from))
    missing = next((number for number in range(held.first, held.end) if number not in numbered), None)
    if missing is not None:
        raise ValueError(f"entry {missing} of the history is neither in the changes nor in the state: nothing can keep it")
    return [(number, numbered[number]) for number in range(held.first, held.end)]


def state_of(queue: Iterable[bytes], history: StoredHistory, results: Iterable[bytes], parts: Mapping[str, bytes]) -> State:
    """Make the state of its texts; raises `StoreBroken` that names the place."""
    parts = LATER | dict(parts)
    missing = [name for name in PARTS if name not in parts]
    if missing:
        raise StoreBroken(f"The store is damaged: {', '.join(missing)} is missing.")

    def read(name: str, kind: type[T] | Any) -> Any:
        return _reading(name, lambda: convert(from_json(parts[name]), kind))

    permissions = _reading("permissions", lambda: Permissions.parse(from_json(parts["permissions"])))
    environment = replace(read("environment", Environment), reports_applied=read("reports_applied", int))
    return State(
        queue=_reading("queue", lambda: ItemSequence(map(Item.of_text, queue))),
        history=_reading("history", history.to_history),
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


def result_text(result: TaskResult) -> bytes:
    """Return the text (UTF-8 JSON) of a result."""
    return to_json(result)


def _result(text: bytes) -> TaskResult:
    return convert(from_json(text), TaskResult)


def request_text(record: RequestRecord) -> bytes:
    """Return the text (UTF-8 JSON) of the record of a request."""
    return to_json(record)


def requests_of(texts: Iterable[bytes]) -> RequestIndex:
    """Make the index of the records' texts, oldest first; raises `StoreBroken`."""
    return _reading("requests", lambda: RequestIndex(convert(from_json(text), RequestRecord) for text in texts))


def replies_in(changes: Iterable[ch.AnyChange]) -> dict[str, bytes]:
    """Return the replies of the requests that these changes record, by id, as they are kept."""
    recorded = (change for change in changes if isinstance(change, ch.RequestRecorded))
    return {each.record.request_id: each.reply for each in recorded if each.record and each.reply}


def _reading(place: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, TypeError, KeyError, RecursionError, QueueServerError) as error:
        why = "a row does not fit its check sum" if str(error).startswith(_NOTHING_THERE) else error
        raise StoreBroken(f"The store is damaged: {place} cannot be read ({why}).") from error
