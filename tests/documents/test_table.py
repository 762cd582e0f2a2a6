"""Runs are read back from the journal alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from document_samples import event_document, run_documents

from jupyter_queueserver.documents.catalog import NotDelivered, wait_delivered
from jupyter_queueserver.documents.run_search import find_run
from jupyter_queueserver.documents.run_search import run_documents as documents_of
from jupyter_queueserver.documents.table import RunNotFound, run_table

Fill = Callable[..., None]


def test_a_table_from_the_journal(journal: Path, fill: Fill) -> None:
    fill(run_documents("other"))
    a, b = run_documents("a", events=4), run_documents("b", events=2)
    fill([doc for pair in zip(a[:4], b, strict=False) for doc in pair] + b[4:] + a[4:])  # two runs at once
    table = run_table(journal.parent, "a")
    assert table.columns == ["seq_num", "time", "x", "label"]
    assert [row["x"] for row in table] == [1.0, 2.0, 3.0, 4.0]
    assert table.start["plan_name"] == "test"
    assert table.stop is not None
    assert table.stop["exit_status"] == "success"
    assert list(table.to_pandas().index) == [1, 2, 3, 4]
    assert [name for name, _ in documents_of(journal, "b")] == [
        "start",
        "descriptor",
        "event",
        "event",
        "stop",
    ]


def test_an_open_run_and_a_repeated_point(journal: Path, fill: Fill) -> None:
    fill(run_documents("a", events=3, stop=False))
    fill([("event", event_document("a", 3, x=33.0))])
    table = run_table(journal.parent, "a")
    assert [row["x"] for row in table] == [1.0, 2.0, 33.0]
    assert table.stop is None
    found = find_run(journal, "a")
    assert found is not None
    assert found.stop_seq is None


def test_pages_and_arrays(journal: Path, fill: Fill) -> None:
    start, descriptor = run_documents("a")[:2]
    page = {
        "descriptor": "a-d",
        "seq_num": [1, 2],
        "time": [5.0, 6.0],
        "data": {"x": [1.0, 2.0], "label": ["p", "q"]},
        "timestamps": {},
    }
    fill([start, descriptor, ("event_page", page), ("event", event_document("a", 3, image=np.eye(3)))])
    table = run_table(journal.parent, "a")
    assert [(row["seq_num"], row["time"], row["label"]) for row in table] == [
        (1, 5.0, "p"),
        (2, 6.0, "q"),
        (3, 1003.0, "p3"),
    ]
    np.testing.assert_array_equal(table[2]["image"], np.eye(3))


def test_an_unknown_run(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    with pytest.raises(RunNotFound, match="nobody"):
        run_table(journal.parent, "nobody")


def test_waiting_for_a_delivery_that_cannot_come_says_why(journal: Path, fill: Fill) -> None:
    fill(run_documents("a"))
    with pytest.raises(NotDelivered, match="no relay is running"):
        wait_delivered(journal.parent, "a", timeout=0.0)
