"""The laws, checked against every witness: store, event stream, books of the driver, lines of the plans, ledgers, journal.

A check raises `Broken` with what is so and what should be; it changes nothing and asks nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .book import Book, Promise
from .listener import Ending, Heard, View
from .traces import Execution, JournalRun, planned_steps
from .world import Broken

Item = dict[str, Any]

#: Endings after which an item does not come back to the front.
DONE = ("completed", "stopped")


@dataclass
class Reading:
    """What the server says at one moment, and what the witnesses wrote before and after it.

    Attributes
    ----------
    history
        All that is in the history now.
    is_stopping
        Whether the queue was asked to stop, or the plan to pause.
    endings
        All that had ended by then, also what was taken out of the history since.
    taken
        How many times workers took each item, looked up before.
    begun, executions
        The plans' lines before and after the moment.
    """

    queue: list[Item]
    running: Item
    history: list[Item]
    endings: dict[str, Ending]
    view: View
    heard: Heard
    manager_state: str
    is_stopping: bool
    environment_id: str | None
    taken: Counter[str]
    begun: dict[str, Execution]
    executions: dict[str, Execution]

    @property
    def present(self) -> list[Item]:
        """Items that are in the queue or run."""
        return [*self.queue, *([self.running] if self.running else [])]


def check(reading: Reading, book: Book) -> None:
    """All laws that hold at any moment when the server is well."""
    one_place(reading)
    stream_is_true(reading)
    order_is_kept(reading, book)
    promises_are_kept(reading, book)
    nothing_runs_twice(reading, book)
    steps_fit_endings(reading)
    runs_are_linked(reading)


def one_place(reading: Reading) -> None:
    """Each uid is in one of queue, running, history, and once."""
    uids = [item["item_uid"] for item in (*reading.present, *reading.history)]
    _none((uid for uid, times in Counter(uids).items() if times > 1), "in more than one place")


def stream_is_true(reading: Reading) -> None:
    """Who has heard all changes knows what is so; no change was skipped, no ending told twice."""
    _none(reading.heard.gaps, "gaps in the event stream")
    _none(reading.heard.twice, "ended twice in the event stream")
    queue = tuple(item["item_uid"] for item in reading.queue)
    told = View(queue, reading.running.get("item_uid"), len(reading.history))
    if told != reading.view:
        raise Broken(f"the event stream says {reading.view}, the control socket {told}")


def order_is_kept(reading: Reading, book: Book) -> None:
    """What was acknowledged about the order holds for all that are still in the queue.

    One that was taken off, and came back because its plan had not begun, is the first again.
    """
    present = [item["item_uid"] for item in reading.queue]
    known = [uid for uid in book.order if uid in present and uid not in book.loose and uid not in reading.heard.ran]
    found = [uid for uid in present if uid in known]
    if known != found:
        raise Broken(f"the order of the queue is {found}, acknowledged was {known}")


def promises_are_kept(reading: Reading, book: Book) -> None:
    """No item is lost, none comes out of nowhere, none is doubled, none has other arguments than acknowledged."""
    live: dict[str, list[Item]] = {}
    for item in reading.present:
        live.setdefault(item["kwargs"]["tag"], []).append(item)
    _none((tag for tag in live if tag not in book.promises), "items that nobody has submitted")
    ended: dict[str, list[Ending]] = {}
    for ending in reading.endings.values():
        ended.setdefault(ending.item["kwargs"]["tag"], []).append(ending)
    for tag, promise in book.promises.items():
        _check_promise(tag, promise, live.get(tag, []), sorted(ended.get(tag, []), key=_stopped))


def _check_promise(tag: str, promise: Promise, live: list[Item], ended: list[Ending]) -> None:
    least, most = _expected(promise, ended)
    if not least <= len(live) <= most:
        told = [_words(ending.item) for ending in ended]
        raise Broken(
            f"item '{tag}' (added: {promise.added}, taken out: {promise.gone}, alone: {promise.alone}) is {len(live)} times"
            f" in the queue or running, expected {least} to {most}; endings: {told}"
        )
    notes = {item["kwargs"].get("note", 0) for item in live}
    if not notes <= promise.notes:
        raise Broken(f"item '{tag}' has the note {notes}, acknowledged was {promise.notes}")


def _expected(promise: Promise, ended: list[Ending]) -> tuple[int, int]:
    """How often an item may be in the queue or running: at least, at most."""
    if promise.gone == "yes":
        return 0, 0
    if ended:
        least, most = _after(promise, ended[-1])
    else:
        least, most = (0 if promise.added == "perhaps" else 1), 1
    return (0 if promise.gone == "perhaps" else least), most


def _after(promise: Promise, last: Ending) -> tuple[int, int]:
    ending = last.item["result"]["ending"]
    if promise.alone or ending == "lost":
        return 0, 0
    if ending in DONE:
        return _if(last.loop)
    if ending == "failed":  # forgiven ones come back only by the loop
        return {None: (0, 1), True: _if(last.loop), False: (1, 1)}[last.ignore_failures]
    return 1, 1


def _if(flag: bool | None) -> tuple[int, int]:
    return {None: (0, 1), True: (1, 1), False: (0, 0)}[flag]


def nothing_runs_twice(reading: Reading, book: Book) -> None:
    """A worker takes an item once; a plan begins once for each, and only for an item that is the running one or has ended."""
    _none((uid for uid, times in reading.taken.items() if times > 1), "taken by a worker more than once")
    begun = Counter(execution.item for execution in reading.begun.values())
    _none((uid for uid, times in begun.items() if times > 1), "begun more than once")
    accounted = {*reading.endings, reading.running.get("item_uid")}
    _none((uid for uid in begun if uid not in accounted), "begun, but neither running nor ended")
    items = (uid for uid in reading.taken if uid in book.tags)  # ledgers name tasks too
    _none((uid for uid in items if uid not in accounted), "taken, but neither running nor ended")


def steps_fit_endings(reading: Reading) -> None:
    """What ended as completed has made all its steps once; nothing has made a step twice, or one too many."""
    by_item = {execution.item: execution for execution in reading.executions.values()}
    for uid, ending in reading.endings.items():
        execution, kwargs = by_item.get(uid), ending.item["kwargs"]
        planned = planned_steps(kwargs["steps"], kwargs["runs"])
        done = execution.steps if execution is not None else []
        if ending.item["result"]["ending"] == "completed" and done != planned:
            raise Broken(f"item {uid} is recorded as completed, its steps are {done}")
        if done != planned[: len(done)]:
            raise Broken(f"item {uid} has made the steps {done}, planned were {planned}")


def runs_are_linked(reading: Reading) -> None:
    """An entry of the history names all runs that its plan has opened."""
    for execution in reading.executions.values():
        ending = reading.endings.get(execution.item)
        if ending is not None and not set(execution.runs) <= set(ending.item["result"]["run_uids"]):
            told = ending.item["result"]["run_uids"]
            raise Broken(f"item {execution.item} opened the runs {execution.runs}, its ending names {told}")


#: What a user may do without having the queue stopped by it.
_HARMLESS = frozenset(
    {
        "queue_start",
        "queue_item_add",
        "queue_item_add_batch",
        "queue_item_move",
        "queue_item_move_batch",
        "queue_item_remove",
        "queue_item_remove_batch",
        "queue_item_update",
        "queue_mode_set",
        "history_clear",
        "script_upload",
    }
)


def queue_goes_on(before: Reading, now: Reading, wishes: set[str]) -> None:
    """A queue that runs goes on whatever dies above its worker, until something ends badly or somebody wants it to stop."""
    waiting = {item["item_uid"] for item in before.queue} & {item["item_uid"] for item in now.queue}  # it was never empty
    new = [ending.item["result"]["ending"] for uid, ending in now.endings.items() if uid not in before.endings]
    same = before.environment_id == now.environment_id
    alone = before.running.get("properties", {}).get("immediate_execution", False)
    is_justified = (
        alone
        or before.is_stopping
        or not same
        or not wishes <= _HARMLESS
        or any(ending != "completed" for ending in new)
        or not waiting
    )
    if before.manager_state == "executing_queue" and now.manager_state == "idle" and not is_justified:
        raise Broken(f"the queue has stopped by itself: {len(waiting)} items wait; endings since: {new}")


def journal_is_whole(runs: dict[str, JournalRun], endings: dict[str, Ending]) -> None:
    """In the end each run has one stop document, belongs to an item, and is named by its ending; and the other way round."""
    _none((f"{uid} {run.stops}" for uid, run in runs.items() if len(run.stops) != 1), "runs without exactly one stop document")
    for uid, run in runs.items():
        ending = endings.get(run.item)
        if ending is None:
            raise Broken(f"run {uid} belongs to item {run.item}, of which no ending is known")
        if uid not in ending.item["result"]["run_uids"]:
            raise Broken(f"run {uid} is not named by the ending of its item {_words(ending.item)}")
    for uid, ending in endings.items():
        _none((run for run in ending.item["result"]["run_uids"] if run not in runs), f"runs of item {uid} not in the journal")


def _none(found: Iterable[Any], what: str) -> None:
    if listed := list(found):
        raise Broken(f"{what}: {listed}")


def _stopped(ending: Ending) -> float:
    return ending.item["result"]["time_stop"]


def _words(item: Item) -> str:
    result = item["result"]
    return f"{item['item_uid']} {result['ending']} ({result['msg'][:120]}; runs {result['run_uids']})"
