"""The bookkeeping of a subscription, without sockets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_queueserver.client.events import (
    ByeEvent,
    ChangesEvent,
    ConsoleEvent,
    DocumentEvent,
    Feed,
    SnapshotEvent,
)
from jupyter_queueserver.core import codec


def _frame(kind: str, **fields: Any) -> bytes:
    return codec.to_json({"kind": kind} | fields)


def _snapshot(seq: int, epoch: str = "a") -> bytes:
    return _frame("snapshot", epoch=epoch, seq=seq, time=1.0, snapshot={}, status={})


def _changes(*numbers: int, epoch: str = "a") -> bytes:
    changes = [[number, {"change": "queue_cleared"}] for number in numbers]
    return _frame("changes", epoch=epoch, seq=numbers[-1], time=1.0, changes=changes, status={})


def _asked(feed: Feed) -> dict[str, Any]:
    return codec.from_json(feed.request())["subscribe"]


def test_it_begins_without_anything() -> None:
    feed = Feed(("state", "console"), history=7)
    assert _asked(feed) == {
        "topics": ["state", "console"],
        "epoch": None,
        "since": 0,
        "console": None,
        "history": 7,
    }


def test_it_says_what_it_has() -> None:
    feed = Feed()
    assert isinstance(feed.receive(_snapshot(4)), SnapshotEvent)
    changes = feed.receive(_changes(5, 6))
    assert isinstance(changes, ChangesEvent)
    assert (_asked(feed)["epoch"], _asked(feed)["since"]) == ("a", 6)


def test_changes_that_are_there_already_are_not_told_twice() -> None:
    feed = Feed()
    feed.receive(_snapshot(4))
    assert feed.receive(_changes(3, 4)) is None
    event = feed.receive(_changes(4, 5))
    assert isinstance(event, ChangesEvent)
    assert [seq for seq, _ in event.changes] == [5]


@pytest.mark.parametrize("frame", [_changes(7), _changes(5, epoch="b"), _frame("alive", epoch="a", seq=6)])
def test_a_gap_asks_for_a_snapshot_at_once(frame: bytes) -> None:
    feed = Feed()
    feed.receive(_snapshot(4))
    assert feed.receive(frame) is None
    assert feed.must_ask
    assert _asked(feed)["epoch"] is None
    assert not feed.must_ask
    assert feed.receive(_changes(8)) is None  # the snapshot is on its way: nothing else to ask for
    assert not feed.must_ask


def test_alive_is_not_told() -> None:
    feed = Feed()
    assert feed.receive(_frame("alive", epoch="a", seq=9)) is None
    assert not feed.must_ask  # it waits for the first snapshot
    feed.receive(_snapshot(9))
    assert feed.receive(_frame("alive", epoch="a", seq=9)) is None
    assert not feed.must_ask


def test_a_subscriber_of_documents_only_never_asks_for_a_state() -> None:
    feed = Feed(("documents",))
    assert feed.receive(_frame("alive", epoch="a", seq=9)) is None
    event = feed.receive(_frame("document", environment_id="e", seq=1, name="start", doc={"uid": "u"}))
    assert isinstance(event, DocumentEvent)
    assert not feed.must_ask


@pytest.mark.parametrize("frame", [b"", b"[]", b"\xff", _frame("news", what=1), _frame("snapshot", epoch=3)])
def test_what_cannot_be_read_is_passed_over(frame: bytes) -> None:
    feed = Feed()
    feed.receive(_snapshot(4))
    assert feed.receive(frame) is None
    assert (feed.epoch, feed.seq) == ("a", 4)


def test_bye_is_told() -> None:
    assert Feed().receive(_frame("bye", reason="stopped")) == ByeEvent("stopped")


def test_wrong_topics_are_refused() -> None:
    for topics in ("state", ("state", "weather")):
        with pytest.raises(ValueError, match="topics"):
            Feed(topics)


def _console(offset: int, text: str, environment: str = "e") -> bytes:
    return _frame("console", environment_id=environment, offset=offset, text=text, time=0.0)


@given(text=st.text(max_size=60), cuts=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8))
def test_repeated_console_text_is_told_once(text: str, cuts: list[tuple[int, int]]) -> None:
    """However pieces overlap, what is told is the text from its beginning without repetition."""
    feed = Feed(("console",))
    heard = ""
    reach = 0
    for start, stop in [*sorted(cuts), (0, len(text))]:
        first = min(start, reach)
        piece = text[first : max(first, stop)]
        offset = len(text[:first].encode("utf-8", "replace"))
        event = feed.receive(codec.python_json(codec.from_json(_console(offset, piece))))
        if isinstance(event, ConsoleEvent):
            heard += event.text
            reach = max(reach, first + len(piece))
    assert heard == text


def test_another_environment_begins_its_console_anew() -> None:
    feed = Feed(("console",))
    feed.receive(_console(0, "old text"))
    event = feed.receive(_console(0, "new", environment="f"))
    assert isinstance(event, ConsoleEvent)
    assert event.text == "new"
    assert _asked(feed)["console"] == 3


def test_replaced_bytes_do_not_shift_the_console() -> None:
    """Two bytes that are no UTF-8 are shown by two signs of three bytes each: ``end`` tells the truth."""
    feed = Feed(("console",))
    first = {"kind": "console", "environment_id": "e", "offset": 0, "end": 4, "text": "\ufffd\ufffdab", "time": 1.0}
    event = feed.receive(codec.to_json(first))
    assert isinstance(event, ConsoleEvent)
    assert feed.console == 4
    event = feed.receive(codec.to_json(first | {"offset": 4, "end": 6, "text": "cd"}))
    assert isinstance(event, ConsoleEvent)
    assert event.text == "cd"
    assert feed.console == 6
