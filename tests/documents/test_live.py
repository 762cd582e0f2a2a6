"""The live view: thinned, described, never waiting, in order."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from document_samples import event_document, run_documents
from hypothesis import given
from hypothesis import strategies as st

from jupyter_queueserver.documents import encoding
from jupyter_queueserver.documents.live import LiveConsumer, Thinner, describe, frame
from jupyter_queueserver.documents.reader import Entry, Spot

SPOT = Spot(1, 0, 0)


def entries(documents: list[tuple[str, dict[str, Any]]]) -> list[Entry]:
    return [Entry("env", seq, name, doc, SPOT, SPOT, 1) for seq, (name, doc) in enumerate(documents, start=1)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(gaps=st.lists(st.floats(0, 0.2), min_size=1, max_size=60))
def test_thinning_keeps_the_rate_the_order_and_the_last_event(gaps: list[float]) -> None:
    clock = Clock()
    sent: list[tuple[float, Entry]] = []
    thinner = Thinner(lambda entry: sent.append((clock.now, entry)), clock=clock)
    documents = run_documents("a", events=len(gaps))
    for entry in entries(documents):
        if entry.name == "event":
            clock.now += gaps[entry.doc["seq_num"] - 1]
        thinner.due()
        thinner.feed(entry)
    names = [entry.name for _, entry in sent]
    assert names[:2] == ["start", "descriptor"]
    assert names[-1] == "stop"
    events = [(at, entry) for at, entry in sent if entry.name == "event"]
    assert events[-1][1].doc["seq_num"] == len(gaps)
    assert [entry.seq for _, entry in sent] == sorted(entry.seq for _, entry in sent)
    times = [at for at, _ in events[:-1]]  # the last one is sent early because the run ends
    assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in pairwise(times))


def test_a_held_event_is_sent_when_it_is_due() -> None:
    clock = Clock()
    sent: list[int] = []
    thinner = Thinner(lambda entry: sent.append(entry.seq), clock=clock)
    for entry in entries([("event", event_document("a", n)) for n in (1, 2, 3)]):
        thinner.feed(entry)
    assert sent == [1]
    assert thinner.due() == 0.05
    clock.now = 0.06
    assert thinner.due() is None
    assert sent == [1, 3]


def test_streams_are_thinned_apart() -> None:
    clock = Clock()
    sent: list[int] = []
    thinner = Thinner(lambda entry: sent.append(entry.seq), clock=clock)
    for entry in entries([("event", event_document("a", 1)), ("event", event_document("b", 1))]):
        thinner.feed(entry)
    assert sent == [1, 2]


def test_frames_hold_numbers_and_describe_large_arrays() -> None:
    doc = event_document("a", 1, small=np.arange(6, dtype="i4").reshape(2, 3), big=np.zeros((64, 64)), one=np.float64(2))
    light = encoding.decode_light(encoding.encode(doc).data)
    message = json.loads(frame(Entry("env", 7, "event", light, SPOT, SPOT, 1)))
    assert message["environment_id"] == "env"
    assert (message["seq"], message["name"]) == (7, "event")
    assert message["doc"]["data"] == {
        "x": 1.0,
        "label": "p1",
        "small": [[0, 1, 2], [3, 4, 5]],
        "big": {"shape": [64, 64], "dtype": "<f8"},
        "one": 2.0,
    }


def test_frames_keep_nan_in_the_dialect_of_python() -> None:
    assert describe({"a": float("nan"), 1: b"xyz"})[1] == {"shape": [3], "dtype": "bytes"}
    assert b"NaN" in frame(entries([("event", {"a": float("nan")})])[0])


def test_the_consumer_pushes_and_does_not_wait_for_a_manager(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/documents.ipc"
    consumer = LiveConsumer(address)
    documents = entries(run_documents("a", events=1))
    for _ in range(400):  # nobody is there: more than the high water mark is dropped, not waited for
        consumer.deliver(documents)
    assert consumer.dropped > 0
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.bind(address)
        assert pull.poll(5000)
        first = json.loads(pull.recv())
        assert (first["name"], first["doc"]["uid"]) == ("start", "a")
        consumer.close()
