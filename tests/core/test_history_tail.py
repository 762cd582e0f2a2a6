"""What a state holds of the history: it follows from the entries alone, and stays small in a mirror, too."""

from __future__ import annotations

import itertools

import pytest
from core_stage import Stage
from hypothesis import given
from hypothesis import strategies as st

from jupyter_queueserver.core import codec, history
from jupyter_queueserver.core.changes import HistoryAppended, HistoryTrimmed, apply
from jupyter_queueserver.core.history import TAIL_ENTRIES, History
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.mirror import Mirror, snapshot


def entry(number: int, size: int = 0) -> Item:
    return Item({"item_uid": f"h{number}", "item_type": "plan", "name": "count", "meta": "x" * size})


@given(
    sizes=st.lists(st.sampled_from([0, 0, 0, 200, 500, 2000]), max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    trims=st.lists(st.integers(0, 12), max_size=4),
)
def test_the_tail_follows_from_the_entries(sizes: list[int], cuts: list[int], trims: list[int]) -> None:
    entries = [entry(number, size) for number, size in enumerate(sizes)]
    places = sorted({0, len(entries), *(cut for cut in cuts if cut < len(entries))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "TAIL_ENTRIES", 5)
        patch.setattr(history, "TAIL_BYTES", 1000)
        grown, waiting = History(), list(trims)
        for start, stop in itertools.pairwise(places):
            grown = grown.appended(entries[start:stop])
            if waiting:
                grown = grown.trimmed(waiting.pop())
        left = entries[grown.first :]
        assert grown.end == len(entries)
        assert grown == History(first=grown.first, end=grown.first).appended(left)  # all at once
        held = list(grown.tail)
        assert held == left[len(left) - len(held) :]
        assert len(held) <= 5
        assert sum(len(item.text) for item in held[:-1]) <= 1000
        assert bool(held) == bool(left)  # the newest one is held, however big it is
        if len(held) < min(5, len(left)):
            assert sum(len(item.text) for item in left[-len(held) - 1 : -1]) > 1000
        assert [grown.number(item.item_uid) for item in held] == list(range(grown.held_from, grown.end))


def test_a_mirror_stays_as_small_as_the_state() -> None:
    stage = Stage()
    for held in (0, 5, TAIL_ENTRIES):
        mirror = Mirror(codec.from_json(codec.to_json(snapshot(stage.state, held))))
        state = stage.state
        size = state.history.size
        for number in range(3 * TAIL_ENTRIES):
            change = HistoryAppended(items=(entry(number),)) if number % 3 else HistoryTrimmed(count=1)
            state = apply(state, change, 1.0)
            assert mirror.apply(state.seq, change, 1.0)
            assert mirror.history_size == state.history.size
        assert size < mirror.history_size
        assert len(mirror.state.history.tail) == TAIL_ENTRIES
        assert mirror.snapshot().history == snapshot(state).history
