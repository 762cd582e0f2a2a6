"""Runs of dead workers are finished once, and only on the manager's mark or after another boot; trimming is careful."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from document_samples import event_document, run_documents

from jupyter_queueserver.documents.deaths import DeathMark, mark_dead, read_death
from jupyter_queueserver.documents.journal import JournalWriter
from jupyter_queueserver.documents.reader import Entry, JournalReader, Position, end_of
from jupyter_queueserver.documents.segments import segments
from jupyter_queueserver.documents.tracker import Tracker
from jupyter_queueserver.documents.trimming import Retention, trim

Fill = Callable[..., None]


def stops(journal: Path) -> list[Entry]:
    return [entry for entry in JournalReader(journal) if entry.name == "stop"]


def test_a_death_mark_finishes_open_runs_once_with_the_same_document(journal: Path, fill: Fill) -> None:
    fill(run_documents("done"))
    fill(run_documents("outer", events=20, stop=False))
    fill(run_documents("inner", events=2, stop=False))
    tracker = Tracker(journal)
    assert tracker.advance()
    assert tracker.open_runs() == {"outer", "inner"}
    assert len(stops(journal)) == 1
    mark_dead(journal, "env", "the worker was killed (signal 9)", 1234.5)
    assert read_death(journal, "env") == DeathMark("the worker was killed (signal 9)", 1234.5)
    assert tracker.advance()
    made = {entry.doc["run_start"]: entry.doc for entry in stops(journal)[1:]}
    assert [entry.doc["run_start"] for entry in stops(journal)] == ["done", "inner", "outer"]
    assert made["outer"] | {"uid": ""} == {
        "uid": "",
        "time": 1234.5,
        "run_start": "outer",
        "exit_status": "fail",
        "reason": "the worker was killed (signal 9)",
        "num_events": {"primary": 20},
    }
    assert not tracker.advance()
    for again in (Tracker(journal), tracker):  # a new relay that has lost its own state, too
        again.advance()
        assert len(stops(journal)) == 3
    assert tracker.heads() == {"env": 6 + 22 + 4 + 2}

    for path in (journal / "env").glob("*.jnl"):  # made twice, it is the same
        if int(path.stem) > 6 + 22 + 4:
            path.unlink()
    Tracker(journal).advance()
    assert {entry.doc["uid"] for entry in stops(journal)[1:]} == {doc["uid"] for doc in made.values()}


def test_a_stop_that_was_torn_in_the_making_is_made_again(journal: Path, fill: Fill) -> None:
    fill(run_documents("a", stop=False))
    mark_dead(journal, "env", "killed", 1.0)
    Tracker(journal).advance()
    last = max((journal / "env").glob("*.jnl"))
    os.truncate(last, last.stat().st_size - 3)
    assert stops(journal) == []
    Tracker(journal).advance()
    assert [entry.doc["run_start"] for entry in stops(journal)] == ["a"]


def test_silence_is_not_death(journal: Path, fill: Fill) -> None:
    fill(run_documents("a", stop=False))
    for _ in range(3):
        Tracker(journal).advance()
    assert stops(journal) == []


def test_another_boot_finishes_runs(journal: Path, fill: Fill) -> None:
    fill(run_documents("a", events=4, stop=False))
    Tracker(journal, boot="another boot").advance()
    [stop] = stops(journal)
    assert "restarted" in stop.doc["reason"]
    assert stop.doc["num_events"] == {"primary": 4}


def test_points_that_were_taken_again_count_once(journal: Path, fill: Fill) -> None:
    fill(run_documents("a", events=4, stop=False))
    fill([("event", event_document("a", 3)), ("event", event_document("a", 4))])
    mark_dead(journal, "env", "killed", 1.0)
    Tracker(journal).advance()
    assert stops(journal)[0].doc["num_events"] == {"primary": 4}


def test_a_restarted_tracker_knows_what_it_knew(journal: Path, fill: Fill) -> None:
    fill(run_documents("a", events=7, stop=False))
    tracker = Tracker(journal)
    tracker.advance()
    tracker.save()
    again = Tracker(journal)
    assert again.open_runs() == {"a"}
    assert not again.advance()
    mark_dead(journal, "env", "killed", 1.0)
    again.advance()
    assert stops(journal)[0].doc["num_events"] == {"primary": 7}


def test_the_end_of_a_run_forces_the_journal_to_the_disk(journal: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    tracker = Tracker(journal)
    fill(run_documents("a", stop=False))
    tracker.advance()
    tracker.sync()
    assert synced == []
    fill(run_documents("a")[-1:])
    tracker.advance()
    tracker.sync()
    assert [Path(path).name for path in synced[:2]] == [f"{1:020d}.jnl", "env"]


def position(journal: Path, *environments: str) -> Position:
    ends = {env: end_of(journal, env) for env in environments}
    return Position({env: spot for env, spot in ends.items() if spot is not None})


def test_trimming_waits_for_the_slowest_cursor_age_and_size(journal: Path) -> None:
    writer = JournalWriter(journal, "env", segment_bytes=1)
    for name, doc in run_documents("a", events=4):
        writer.append(name, doc)
    writer.close()
    reached = position(journal, "env")
    slow = JournalReader(journal)
    slow.read(3)
    old = (journal / "env").stat().st_mtime + 100
    everything = Retention(age=0, size=0)
    assert trim(journal, [slow.position], reached, set(), old, Retention(age=1000, size=0)) == []
    assert trim(journal, [slow.position], reached, set(), old, Retention(age=0, size=1 << 20)) == []
    assert trim(journal, [Position()], reached, set(), old, everything) == []
    assert len(trim(journal, [slow.position, reached], reached, set(), old, everything)) == 2
    assert segments(journal, "env") == [3, 4, 5, 6, 7]
    assert [entry.seq for entry in slow] == [4, 5, 6, 7]
    trim(journal, [reached], reached, set(), old, everything)
    assert segments(journal, "env") == [7]  # it may still grow
    trim(journal, [reached], reached, {"env"}, old, everything)
    assert not (journal / "env").exists()
