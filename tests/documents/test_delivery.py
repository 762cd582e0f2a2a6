"""Delivery: each consumer gets everything at least once and in order, whatever fails; refused documents are put aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from document_samples import Document, event_document, run_documents
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_queueserver.documents.consumers import NotInstalled, Rejected, Unavailable
from jupyter_queueserver.documents.cursors import cursor_path, load_cursor
from jupyter_queueserver.documents.dead_letters import list_dead_letters
from jupyter_queueserver.documents.delivery import Delivery, DeliverySettings
from jupyter_queueserver.documents.journal import JournalWriter
from jupyter_queueserver.documents.reader import Entry

Fill = Callable[..., None]


class Recorder:
    """A consumer that records, and fails when told to."""

    name = "recorder"
    arrays = True

    def __init__(self, *, durable: bool = True, whole_runs: bool = False) -> None:
        self.durable = durable
        self.whole_runs = whole_runs
        self.taken: list[Entry] = []
        self.closed = False
        self.fail: Callable[[Sequence[Entry]], Exception | None] = lambda batch: None

    def deliver(self, batch: Sequence[Entry]) -> None:
        error = self.fail(batch)
        if isinstance(error, Rejected):
            self.taken += batch[: error.index]
        if error is not None:
            raise error
        self.taken += batch

    def idle(self) -> float | None:
        return None

    def abort(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True

    def keys(self) -> list[tuple[str, int]]:
        return [(entry.environment_id, entry.seq) for entry in self.taken]


class Clock:
    """Time in seconds that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def drain(delivery: Delivery, rounds: int = 200) -> float | None:
    """Step until there is nothing to do at once; the wait that is then asked for."""
    for _ in range(rounds):
        wait, _patient = delivery.step()
        if wait != 0:
            return wait
    raise AssertionError("delivery does not come to rest")


def test_everything_is_delivered_once_and_a_restart_goes_on(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    first = Recorder()
    delivery = Delivery(journal, first)
    assert drain(delivery) is None
    assert first.keys() == [("env", seq) for seq in range(1, 7)]
    assert delivery.status({"env": 6}, {"env": 1}).backlog == 0
    delivery.finish()
    assert first.closed
    fill(run_documents("b"))
    second = Recorder()
    again = Delivery(journal, second)
    assert again.status({"env": 12}, {"env": 1}).backlog == 6
    drain(again)
    assert second.keys() == [("env", seq) for seq in range(7, 13)]
    assert again.status({"env": 12}, {"env": 1}).delivered == 12


def test_unavailable_keeps_the_documents_and_backs_off(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    consumer = Recorder()
    delivery = Delivery(journal, consumer)
    consumer.fail = lambda batch: Unavailable("the server is away")
    waits = [delivery.step() for _ in range(9)]
    assert [wait for wait, _ in waits] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert all(patient for _, patient in waits)  # new documents do not hurry it
    status = delivery.status({"env": 6}, {"env": 1})
    assert (status.state, status.backlog, status.last_error) == ("failing", 6, "the server is away")
    consumer.fail = lambda batch: None
    drain(delivery)
    assert consumer.keys() == [("env", seq) for seq in range(1, 7)]
    status = delivery.status({"env": 6}, {"env": 1})
    assert (status.state, status.backlog, status.last_error) == ("waiting", 0, None)


def test_an_unforeseen_exception_counts_as_failing(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    consumer = Recorder()
    delivery = Delivery(journal, consumer)
    consumer.fail = lambda batch: ZeroDivisionError("bug")
    assert delivery.step() == (0.25, True)
    assert "bug" in (delivery.status({}, {}).last_error or "")


def reject(number: int, *, final: bool = False) -> Callable[[Sequence[Entry]], Exception | None]:
    def fail(batch: Sequence[Entry]) -> Exception | None:
        for index, entry in enumerate(batch):
            if entry.seq == number:
                return Rejected("I do not like it", index=index, final=final)
        return None

    return fail


@pytest.mark.parametrize(("final", "failures"), [(False, 2), (True, 0)])
def test_a_refused_document_is_put_aside_and_the_rest_goes_on(journal: Path, fill: Fill, final: bool, failures: int) -> None:
    fill(run_documents("a"))
    consumer = Recorder()
    consumer.fail = reject(4, final=final)
    delivery = Delivery(journal, consumer)
    assert [delivery.step()[0] for _ in range(failures)] == [0.25, 0.5][:failures]
    drain(delivery)
    assert consumer.keys() == [("env", seq) for seq in (1, 2, 3, 5, 6)]
    [letter] = list_dead_letters(journal, "recorder")
    assert (letter.seq, letter.name, letter.reason) == (4, "event", "I do not like it")
    assert msgspec.msgpack.decode(letter.payload)[1] == event_document("a", 2)
    status = delivery.status({"env": 6}, {"env": 1})
    assert (status.backlog, status.dead_letters, status.state) == (0, 1, "waiting")
    delivery.finish()
    after = Recorder()
    drain(Delivery(journal, after))
    assert after.keys() == []


def test_whole_runs_come_again_from_their_start_until_they_are_complete(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    fill(run_documents("b", events=2, stop=False))
    consumer = Recorder(whole_runs=True)
    delivery = Delivery(journal, consumer)
    drain(delivery)
    assert len(consumer.taken) == 10
    delivery.finish()
    fill([("event", event_document("b", 3))])
    after = Recorder(whole_runs=True)
    second = Delivery(journal, after)
    assert second.status({"env": 11}, {"env": 1}).backlog == 1
    drain(second)
    assert after.keys() == [("env", seq) for seq in range(7, 12)]
    assert second.status({"env": 11}, {"env": 1}).delivered == 11


def test_a_failure_in_mid_run_rewinds_to_the_start_of_the_run(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    fill(run_documents("b"))
    consumer = Recorder(whole_runs=True)
    delivery = Delivery(journal, consumer, DeliverySettings(batch=4))
    failures = iter([False, False, False, True])
    consumer.fail = lambda batch: Unavailable("away") if next(failures, False) else None
    drain(delivery)
    drain(delivery)
    assert consumer.keys() == [("env", seq) for seq in (*range(1, 9), *range(7, 13))]


def test_not_installed_waits_a_minute_and_keeps_everything(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    consumer = Recorder()
    consumer.fail = lambda batch: NotInstalled("saver not installed")
    delivery = Delivery(journal, consumer)
    assert delivery.step() == (60.0, True)
    status = delivery.status({"env": 6}, {"env": 1})
    assert (status.state, status.backlog) == ("not installed", 6)
    consumer.fail = lambda batch: None
    drain(delivery)
    assert len(consumer.taken) == 6


def test_a_consumer_that_is_not_durable_begins_at_the_end_and_leaves_no_cursor(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    consumer = Recorder(durable=False)
    delivery = Delivery(journal, consumer)
    drain(delivery)
    assert consumer.keys() == []
    fill(run_documents("b"), "later")
    fill(run_documents("c"))
    drain(delivery)
    assert sorted(consumer.keys()) == sorted([("env", seq) for seq in range(7, 13)] + [("later", seq) for seq in range(1, 7)])
    delivery.finish()
    assert not cursor_path(journal, "recorder").exists()


def test_the_cursor_is_saved_at_the_end_of_a_run_but_not_for_each_event(journal: Path, fill: Fill) -> None:
    clock = Clock()
    delivery = Delivery(journal, Recorder(), timer=clock)
    fill(run_documents("a", stop=False))
    wait = drain(delivery)
    assert load_cursor(journal, "recorder") is None
    assert wait == pytest.approx(5.0)  # at the latest then
    fill(run_documents("a")[-1:])
    drain(delivery)
    cursor = load_cursor(journal, "recorder")
    assert cursor is not None
    assert cursor.reached == {"env": 6}
    fill([("event", event_document("a", 9))])
    clock.now += 6
    assert drain(delivery) is None
    later = load_cursor(journal, "recorder")
    assert later is not None
    assert later == msgspec.structs.replace(
        cursor, reached={"env": 7}, delivered=7, last_success=later.last_success, resume=delivery.saved_position()
    )


def test_a_damaged_cursor_means_delivering_again(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    delivery = Delivery(journal, Recorder())
    drain(delivery)
    cursor_path(journal, "recorder").write_bytes(b"{")
    consumer = Recorder()
    drain(Delivery(journal, consumer))
    assert len(consumer.taken) == 6


@settings(max_examples=60, deadline=None)
@given(data=st.data(), whole_runs=st.booleans())
def test_at_least_once_and_in_order_through_failures_and_restarts(
    tmp_path_factory: pytest.TempPathFactory, data: Any, whole_runs: bool
) -> None:
    journal = tmp_path_factory.mktemp("journal")
    documents: list[Document] = []
    for number in range(data.draw(st.integers(1, 4))):
        documents += run_documents(f"r{number}", events=data.draw(st.integers(0, 4)))
    writer = JournalWriter(journal, "env", segment_bytes=data.draw(st.sampled_from([1, 600, 1 << 20])))
    taken: list[int] = []
    written = 0
    settings_ = DeliverySettings(batch=data.draw(st.integers(1, 7)))
    consumer = Recorder(whole_runs=whole_runs)
    delivery = Delivery(journal, consumer, settings_)
    while written < len(documents):
        for _ in range(data.draw(st.integers(1, 5))):
            if written < len(documents):
                writer.append(*documents[written])
                written += 1
        match data.draw(st.sampled_from(["ok", "fail", "kill", "restart"])):
            case "fail":
                consumer.fail = lambda batch: Unavailable("away")
                delivery.step()
                consumer.fail = lambda batch: None
            case "kill":  # nothing is saved
                taken += [entry.seq for entry in consumer.taken]
                consumer = Recorder(whole_runs=whole_runs)
                delivery = Delivery(journal, consumer, settings_)
            case "restart":
                delivery.finish()
                taken += [entry.seq for entry in consumer.taken]
                consumer = Recorder(whole_runs=whole_runs)
                delivery = Delivery(journal, consumer, settings_)
            case _:
                delivery.step()
    writer.close()
    drain(delivery)
    taken += [entry.seq for entry in consumer.taken]
    assert set(taken) == set(range(1, len(documents) + 1))
    first_time = list(dict.fromkeys(taken))
    assert first_time == sorted(first_time)
    assert all(b <= a + 1 for a, b in pairwise(taken))  # it may go back, never skip
