"""The laws of the campaign are no empty words: each is broken here by hand, and must say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from campaign import laws
from campaign.book import Book
from campaign.laws import Reading
from campaign.listener import Ending, Heard, View
from campaign.traces import Execution, JournalRun, planned_steps
from campaign.world import Broken


def item(uid: str, tag: str, **more: Any) -> dict[str, Any]:
    """An item of the campaign's plan, with one step in one run."""
    return {"item_uid": uid, "kwargs": {"tag": tag, "steps": 1, "runs": 1}, **more}


def ended(uid: str, tag: str, ending: str = "completed", runs: tuple[str, ...] = ("run-a",)) -> dict[str, Any]:
    """An entry of the history."""
    return item(uid, tag, result={"ending": ending, "run_uids": list(runs), "time_stop": 5.0, "msg": ""})


def good() -> tuple[Reading, Book]:
    """One item has ended, one runs, two wait."""
    waiting, running, over = [item("c", "C"), item("d", "D")], item("b", "B"), ended("a", "A")
    book = Book()
    book.added([item("a", "A"), running, *waiting], {"pos": "back"})
    executions = {
        "x": Execution("a", "A", 1, planned_steps(1, 1), ["run-a"]),
        "y": Execution("b", "B", 1, ["begin"]),
    }
    reading = Reading(
        queue=waiting,
        running=running,
        history=[over],
        endings={"a": Ending(over, loop=False, ignore_failures=False)},
        view=View(("c", "d"), "b", 1),
        heard=Heard(),
        manager_state="executing_queue",
        is_stopping=False,
        environment_id="one",
        taken=Counter({"a": 1, "b": 1}),
        begun=executions,
        executions=executions,
    )
    return reading, book


def test_a_good_reading_passes() -> None:
    laws.check(*good())


def in_two_places(reading: Reading, book: Book) -> None:
    reading.history.append(ended("c", "C"))


def lost(reading: Reading, book: Book) -> None:
    del reading.queue[1]
    reading.view = View(("c",), "b", 1)


def doubled(reading: Reading, book: Book) -> None:
    reading.queue.append(item("e", "D"))
    reading.view = View(("c", "d", "e"), "b", 1)


def came_back_after_a_good_end(reading: Reading, book: Book) -> None:
    reading.queue.append(item("e", "A"))
    reading.view = View(("c", "d", "e"), "b", 1)


def came_back_after_removal(reading: Reading, book: Book) -> None:
    book.removed([reading.queue[0]])


def from_nowhere(reading: Reading, book: Book) -> None:
    del book.promises["C"]


def wrong_order(reading: Reading, book: Book) -> None:
    book.moved(["d"], {"pos": "front"})


def old_arguments(reading: Reading, book: Book) -> None:
    changed = item("c", "C")
    changed["kwargs"] = {**changed["kwargs"], "note": 7}
    book.updated("c", changed)


def failed_and_gone(reading: Reading, book: Book) -> None:
    reading.endings["a"].item["result"]["ending"] = "failed"


def taken_twice(reading: Reading, book: Book) -> None:
    reading.taken["a"] = 2


def begun_twice(reading: Reading, book: Book) -> None:
    reading.begun["z"] = Execution("a", "A", 2, ["begin"])


def begun_and_forgotten(reading: Reading, book: Book) -> None:
    reading.begun["z"] = Execution("c", "C", 2, ["begin"])


def taken_and_forgotten(reading: Reading, book: Book) -> None:
    reading.taken["c"] = 1


def completed_in_words_only(reading: Reading, book: Book) -> None:
    reading.executions["x"].steps.remove("end")


def a_step_twice(reading: Reading, book: Book) -> None:
    reading.endings["a"].item["result"]["ending"] = "stopped"
    reading.executions["x"].steps[:] = ["begin", "run", "0.0", "0.0"]


def run_not_named(reading: Reading, book: Book) -> None:
    reading.executions["x"].runs.append("run-z")


def gap(reading: Reading, book: Book) -> None:
    reading.heard.gaps.append("change 9 came after 7")


def told_otherwise(reading: Reading, book: Book) -> None:
    reading.view = View(("d", "c"), "b", 1)


@pytest.mark.parametrize(
    "fault",
    [
        in_two_places,
        lost,
        doubled,
        came_back_after_a_good_end,
        came_back_after_removal,
        from_nowhere,
        wrong_order,
        old_arguments,
        failed_and_gone,
        taken_twice,
        begun_twice,
        begun_and_forgotten,
        taken_and_forgotten,
        completed_in_words_only,
        a_step_twice,
        run_not_named,
        gap,
        told_otherwise,
    ],
)
def test_a_broken_law_is_seen(fault: Callable[[Reading, Book], None]) -> None:
    reading, book = good()
    fault(reading, book)
    with pytest.raises(Broken):
        laws.check(reading, book)


def test_a_queue_that_stops_by_itself_is_seen() -> None:
    before, _ = good()
    now = replace(before, manager_state="idle", running={}, endings=dict(before.endings))
    with pytest.raises(Broken):
        laws.queue_goes_on(before, now, {"queue_item_add"})
    laws.queue_goes_on(before, now, {"queue_stop"})
    laws.queue_goes_on(before, replace(now, environment_id="two"), set())


@pytest.mark.parametrize(
    "runs",
    [
        {"run-a": JournalRun("a", [])},
        {"run-a": JournalRun("a", ["success", "fail"])},
        {"run-a": JournalRun("a", ["success"]), "run-z": JournalRun("a", ["success"])},
        {"run-a": JournalRun("a", ["success"]), "run-z": JournalRun("z", ["success"])},
        {},
    ],
)
def test_a_torn_journal_is_seen(runs: dict[str, JournalRun]) -> None:
    reading, _ = good()
    laws.journal_is_whole({"run-a": JournalRun("a", ["success"])}, reading.endings)
    with pytest.raises(Broken):
        laws.journal_is_whole(runs, reading.endings)
