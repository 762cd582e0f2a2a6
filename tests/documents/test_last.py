"""The end of a journal tells the last document and the runs without an end, whatever lies before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from document_samples import Document, event_document, run_documents

from jupyter_queueserver.core.endings import LastDocument
from jupyter_queueserver.documents import last
from jupyter_queueserver.documents.deaths import mark_dead
from jupyter_queueserver.documents.journal import JournalWriter
from jupyter_queueserver.documents.last import JournalEnd, journal_end
from jupyter_queueserver.documents.reader import JournalReader
from jupyter_queueserver.documents.segments import segment_path, segments
from jupyter_queueserver.documents.tracker import Tracker


def write(directory: Path, *runs: list[Document], segment_bytes: int = 1 << 20) -> None:
    writer = JournalWriter(directory, "env", segment_bytes=segment_bytes)
    for run in runs:
        for name, doc in run:
            writer.append(name, doc)
    writer.close()
    assert writer.failed == 0


def test_no_journal(tmp_path: Path) -> None:
    assert journal_end(tmp_path, "env") == JournalEnd(None, ())


def test_the_last_event_of_an_open_run(tmp_path: Path) -> None:
    write(tmp_path, run_documents("a"), run_documents("b", 5, stop=False, time=2000.0))
    end = journal_end(tmp_path, "env")
    expected = event_document("b", 5)["time"]
    assert end.document == LastDocument(name="event", run_uid="b", seq_num=5, time=expected)
    assert [(run.uid, run.scan_id, run.time) for run in end.open_runs] == [("b", 1, 2000.0)]


def test_a_run_with_its_end_is_not_open(tmp_path: Path) -> None:
    write(tmp_path, run_documents("a"))
    end = journal_end(tmp_path, "env")
    assert end.open_runs == ()
    assert end.document is not None
    assert (end.document.name, end.document.run_uid, end.document.seq_num) == ("stop", "a", None)


def test_the_event_of_a_run_that_began_too_long_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its descriptor is not in what is read: the number is known all the same, the run is not."""
    monkeypatch.setattr(last, "_TAIL", 700)
    write(tmp_path, run_documents("a", 200, stop=False))
    end = journal_end(tmp_path, "env")
    assert end.document is not None
    assert (end.document.name, end.document.run_uid, end.document.seq_num) == ("event", None, 200)
    assert end.open_runs == ()


def test_a_segment_that_was_just_begun(tmp_path: Path) -> None:
    write(tmp_path, run_documents("a", 30, stop=False), segment_bytes=1500)
    assert len(segments(tmp_path, "env")) > 3
    end = journal_end(tmp_path, "env")
    assert end.document is not None
    assert end.document.seq_num == 30


def test_a_torn_tail_and_a_damaged_record(tmp_path: Path) -> None:
    write(tmp_path, run_documents("a", 3, stop=False))
    path = segment_path(tmp_path, "env", segments(tmp_path, "env")[-1])
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    end = journal_end(tmp_path, "env")
    assert end.document is not None
    assert end.document.seq_num == 2
    place = data.index(b"a-e2")
    path.write_bytes(data[:place] + b"####" + data[place + 4 :])
    end = journal_end(tmp_path, "env")
    assert end.document is not None
    assert (end.document.seq_num, [run.uid for run in end.open_runs]) == (3, ["a"])


@pytest.mark.parametrize("points", [2, 200])
def test_what_the_relay_adds_for_a_dead_worker_does_not_count(tmp_path: Path, points: int) -> None:
    """It may finish the run before the manager has looked, in a segment of its own."""
    write(tmp_path, run_documents("a"), run_documents("b", points, stop=False))
    before = journal_end(tmp_path, "env")
    mark_dead(tmp_path, "env", "killed", 5000.0)
    Tracker(tmp_path, boot="").advance()
    added = JournalReader(tmp_path).read()[-1]
    assert (added.name, added.doc["run_start"]) == ("stop", "b")
    assert len(segments(tmp_path, "env")) == 2
    assert journal_end(tmp_path, "env") == before
    assert before.document is not None
    assert (before.document.name, before.document.seq_num, [run.uid for run in before.open_runs]) == ("event", points, ["b"])


def test_the_segment_of_the_relay_hides_none_of_the_worker(tmp_path: Path) -> None:
    write(tmp_path, run_documents("a", 30, stop=False), segment_bytes=1500)
    mark_dead(tmp_path, "env", "killed", 5000.0)
    Tracker(tmp_path, boot="").advance()
    end = journal_end(tmp_path, "env")
    assert end.document is not None
    assert (end.document.name, end.document.seq_num) == ("event", 30)
