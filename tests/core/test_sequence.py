"""The sequence against a plain list."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.sequence import ItemSequence


def item(uid: str) -> Item:
    return Item({"item_uid": uid, "item_type": "plan", "name": "count"})


def sequence(count: int) -> ItemSequence:
    return ItemSequence(item(f"u{n}") for n in range(count))


@settings(max_examples=40, deadline=None)
@given(
    start=st.sampled_from([0, 1, 5, 255, 600]),
    edits=st.lists(st.tuples(st.sampled_from("irpo"), st.floats(0, 1), st.integers(1, 300)), max_size=12),
)
def test_it_is_a_list(start: int, edits: list[tuple[str, float, int]]) -> None:
    fresh = itertools.count(start)
    found, wanted = sequence(start), [f"u{n}" for n in range(start)]
    for kind, place, count in edits:
        index = int(place * len(wanted))
        before = wanted[index] if index < len(wanted) else None
        new = [f"u{next(fresh)}" for _ in range(count)]
        if kind == "i":
            found = found.insert(map(item, new), before)
            wanted[index:index] = new
        elif kind == "r":
            found = found.remove([*wanted[index : index + count], "unknown"])
            del wanted[index : index + count]
        elif kind == "o":
            found = found.without_oldest(min(count, 3))
            del wanted[: min(count, 3)]
        elif before is not None:
            found = found.replace(before, item(new[0]))
            wanted[index] = new[0]
        assert [one.item_uid for one in found] == wanted
        assert len(found) == len(wanted)
    for index, uid in enumerate(wanted):
        if index % 50 == 0:
            assert found.index(uid) == index
            assert found.at(index).item_uid == uid
            assert uid in found
            assert found.after(uid) == (wanted[index + 1] if index + 1 < len(wanted) else None)
    assert [one.item_uid for one in found.newest(3)] == wanted[-3:]


def test_what_is_not_there() -> None:
    three = sequence(3)
    assert three.get("u9") is None
    assert "u9" not in three
    for index in (3, -1):
        with pytest.raises(IndexError):
            three.at(index)
    with pytest.raises(KeyError):
        three.index("u9")
    with pytest.raises(KeyError):
        three.replace("u9", item("x"))
    with pytest.raises(KeyError):
        three.insert([item("x")], "u9")


def test_an_edit_leaves_the_old_one_as_it_was() -> None:
    old = sequence(1000)
    for new in (old.remove(["u5"]), old.insert([item("x")], "u500"), old.replace("u7", item("y")), old.without_oldest(3)):
        assert new != old
    assert old == sequence(1000)


@pytest.mark.parametrize("count", [2, 2000])
def test_a_uid_twice_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="more than once"):
        ItemSequence([*sequence(count), item("u0")])


def test_splinters_do_not_pile_up() -> None:
    """Thousands of edits at one place leave few chunks."""
    found = sequence(2000)
    for n in range(2000):
        found = found.remove([found.at(0).item_uid]).insert([item(f"x{n}")])
    assert len(found) == 2000
    assert len(found._chunks) < 30


@given(size=st.integers(0, 700), start=st.integers(-5, 800), stop=st.integers(-5, 800))
def test_between_is_a_slice(size: int, start: int, stop: int) -> None:
    items = [Item({"item_uid": f"u{n}", "item_type": "plan", "name": "count"}) for n in range(size)]
    assert ItemSequence(items).between(start, stop) == tuple(items[max(0, start) : max(0, stop)])
