"""Places in the queue, by the tables of the interface (positions, get, remove, move) and their texts."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import ME, QUEUE_STOP, Stage, plan

from jupyter_queueserver.api import Context, parse_request, read_call
from jupyter_queueserver.core import codec

ABCD = (1, 2, 3, 4)
CONTEXT = Context(epoch="e", version="0", local_time=str)


def read(stage: Stage, method: str, **params: Any) -> dict[str, Any]:
    reply = read_call(parse_request({"method": method, "params": params}), stage.state, CONTEXT)
    return codec.from_json(codec.to_json(reply))


@pytest.mark.parametrize(
    ("pos", "index"),
    [(None, 4), ("back", 4), ("front", 0), (0, 0), (1, 1), (3, 3), (4, 4), (99, 4), (-1, 4), (-2, 3), (-4, 1), (-5, 0), (-99, 0)],
)
def test_where_an_added_item_goes(pos: Any, index: int) -> None:
    stage = Stage.opened(*ABCD)
    stage.add(9, pos=pos)
    assert stage.numbers.index(9) == index
    assert [n for n in stage.numbers if n != 9] == list(ABCD)


@pytest.mark.parametrize("pos", [None, "front", "back", 0, 5, -1, -5])
def test_every_place_of_an_empty_queue_is_the_same(pos: Any) -> None:
    stage = Stage.opened()
    stage.add(9, pos=pos)
    assert stage.numbers == [9]


@pytest.mark.parametrize("pos", ["middle", 1.0, True, "1", [], {}])
def test_no_place(pos: Any) -> None:
    stage = Stage.opened(*ABCD)
    reply = stage.refused("queue_item_add", item=plan(9), **ME, pos=pos)
    assert reply["msg"].startswith("Failed to add an item: Parameter 'pos' has incorrect value: ")
    assert reply["error"]["path"] == "pos"
    assert reply["qsize"] is None
    assert set(reply["item"]) >= {"item_uid", "user", "user_group"}  # the prepared item


def test_beside_another_item() -> None:
    stage = Stage.opened(1, 2)
    first, second = stage.uids
    stage.add(7, before_uid=first)
    stage.add(8, after_uid=first)
    stage.add(9, after_uid=second)
    assert stage.numbers == [7, 1, 8, 2, 9]


def test_beside_the_running_item() -> None:
    stage = Stage.opened(1, 2).started()
    assert stage.state.running is not None
    uid = stage.state.running.item_uid
    stage.add(9, after_uid=uid)
    assert stage.numbers == [9, 2]
    reply = stage.refused("queue_item_add", item=plan(5), **ME, before_uid=uid)
    assert reply["msg"] == "Failed to add an item: Can not insert a plan in the queue before a currently running plan."


@pytest.mark.parametrize("name", ["before_uid", "after_uid"])
@pytest.mark.parametrize("uid", ["nobody", 5, []])
def test_beside_an_unknown_item(name: str, uid: Any) -> None:
    reply = Stage.opened(1).refused("queue_item_add", item=plan(9), **ME, **{name: uid})
    assert reply["msg"] == f"Failed to add an item: Plan with UID '{uid}' is not in the queue."
    assert reply["error"] == {"code": "not_in_queue", "path": name, "hint": reply["error"]["hint"]}


@pytest.mark.parametrize(
    "given", [{"pos": 0, "before_uid": "a"}, {"pos": 0, "after_uid": "a"}, {"before_uid": "a", "after_uid": "b"}]
)
def test_two_places_at_once(given: dict[str, Any]) -> None:
    reply = Stage.opened(1).refused("queue_item_add", item=plan(9), **ME, **given)
    assert reply["msg"].startswith("Failed to add an item: Ambiguous parameters: ")


def test_a_batch_stays_together() -> None:
    stage = Stage.opened(*ABCD)
    reply = stage.ok("queue_item_add_batch", items=[plan(7), QUEUE_STOP, plan(8)], **ME, pos=1)
    assert stage.numbers == [1, 7, "stop", 8, 2, 3, 4]
    assert reply["qsize"] == 7
    assert [item["item_uid"] for item in reply["items"]] == stage.uids[1:4]
    assert reply["results"] == [{"success": True, "msg": ""}] * 3


@pytest.mark.parametrize(("pos", "number"), [(None, 4), ("back", 4), ("front", 1), (0, 1), (3, 4), (-1, 4), (-4, 1)])
def test_get_and_remove_by_place(pos: Any, number: int) -> None:
    stage = Stage.opened(*ABCD)
    item = read(stage, "queue_item_get", pos=pos)["item"]
    assert item["kwargs"]["num"] == number
    reply = stage.ok("queue_item_remove", pos=pos)
    assert reply["item"] == item
    assert reply["qsize"] == 3
    assert number not in stage.numbers


@pytest.mark.parametrize(
    ("params", "get", "remove"),
    [
        ({"pos": 4}, "Index '4' is out of range (parameter pos = '4')", "Index 4 is out of range"),
        ({"pos": -5}, "Index '-5' is out of range (parameter pos = '-5')", "Index -5 is out of range"),
        ({"uid": "nobody"}, "Item with UID 'nobody' is not in the queue.", "Plan with UID 'nobody' is not in the queue."),
        ({"uid": 5}, "Item with UID '5' is not in the queue.", "Plan with UID '5' is not in the queue."),
        ({"pos": 1.0}, "Parameter 'pos' has incorrect type: ", "Parameter 'pos' has incorrect value: "),
        ({"pos": True}, "Parameter 'pos' has incorrect type: ", "Parameter 'pos' has incorrect value: "),
        ({"pos": 0, "uid": "a"}, "Ambiguous parameters: ", "Ambiguous parameters: "),
    ],
)
def test_what_cannot_be_got_or_removed(params: dict[str, Any], get: str, remove: str) -> None:
    stage = Stage.opened(*ABCD)
    reply = read(stage, "queue_item_get", **params)
    assert reply["msg"].startswith(f"Failed to get an item: {get}")
    assert (reply["success"], reply["item"]) == (False, {})
    reply = stage.refused("queue_item_remove", **params)
    assert reply["msg"].startswith(f"Failed to remove an item: {remove}")
    assert (reply["item"], reply["qsize"]) == ({}, None)


def test_an_empty_queue() -> None:
    stage = Stage.opened()
    for params in ({}, {"pos": "front"}, {"pos": "back"}):
        reply = stage.refused("queue_item_remove", **params)
        assert reply["msg"] == "Failed to remove an item: Queue is empty"
        assert not read(stage, "queue_item_get", **params)["success"]
    assert "Index 0" in stage.refused("queue_item_remove", pos=0)["msg"]
    assert read(stage, "queue_get") | {"plan_queue_uid": ""} == {
        "success": True,
        "msg": "",
        "items": [],
        "running_item": {},
        "plan_queue_uid": "",
    }


def test_the_running_item_cannot_be_addressed() -> None:
    stage = Stage.opened(1, 2).started()
    assert stage.state.running is not None
    uid = stage.state.running.item_uid
    removed = stage.refused("queue_item_remove", uid=uid)
    assert removed["msg"] == "Failed to remove an item: Can not remove an item which is currently running."
    assert "currently running" in read(stage, "queue_item_get", uid=uid)["msg"]
    assert "currently running" in stage.refused("queue_item_move", uid=uid, pos_dest=0)["msg"]
    assert stage.refused("queue_item_move", pos=0, after_uid=uid)["msg"].startswith(
        f"Failed to move the item: Destination plan ('{uid}') was not found: "
    )


@pytest.mark.parametrize(
    ("source", "dest", "after"),
    [
        (0, 2, [2, 3, 1, 4]),
        (2, 0, [3, 1, 2, 4]),
        (0, 1, [2, 1, 3, 4]),
        (1, 0, [2, 1, 3, 4]),
        (0, 3, [2, 3, 4, 1]),
        (0, "back", [2, 3, 4, 1]),
        ("back", "front", [4, 1, 2, 3]),
        (-1, -3, [1, 4, 2, 3]),
        (1, 1, [1, 2, 3, 4]),
        ("front", "front", [1, 2, 3, 4]),
        ("back", "back", [1, 2, 3, 4]),
    ],
)
def test_move_to_a_place(source: Any, dest: Any, after: list[int]) -> None:
    stage = Stage.opened(*ABCD)
    reply = stage.ok("queue_item_move", pos=source, pos_dest=dest)
    assert stage.numbers == after
    assert reply["qsize"] == 4
    assert reply["item"]["item_uid"] in stage.uids


@pytest.mark.parametrize(
    ("source", "beside", "other", "after"),
    [
        (0, "before_uid", 3, [2, 3, 1, 4]),
        (0, "after_uid", 3, [2, 3, 4, 1]),
        (3, "before_uid", 0, [4, 1, 2, 3]),
        (3, "after_uid", 0, [1, 4, 2, 3]),
        (1, "after_uid", 0, [1, 2, 3, 4]),
        (1, "before_uid", 2, [1, 2, 3, 4]),
        (1, "before_uid", 1, [1, 2, 3, 4]),
        (1, "after_uid", 1, [1, 2, 3, 4]),
    ],
)
def test_move_beside_another(source: int, beside: str, other: int, after: list[int]) -> None:
    stage = Stage.opened(*ABCD)
    version = stage.state.versions.queue
    stage.ok("queue_item_move", uid=stage.uids[source], **{beside: stage.uids[other]})
    assert stage.numbers == after
    assert (stage.state.versions.queue == version) == (after == list(ABCD))  # no change, no new uid


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"pos_dest": 0}, "Source position or UID is not specified."),
        ({"pos": 0}, "Destination position or UID is not specified."),
        ({"pos": 0, "uid": "a", "pos_dest": 0}, "Ambiguous parameters: "),
        ({"pos": 0, "pos_dest": 0, "before_uid": "a"}, "Ambiguous parameters: "),
        ({"pos": 0, "before_uid": "a", "after_uid": "a"}, "Ambiguous parameters: "),
        ({"pos": 9, "pos_dest": 0}, "Source plan (9) was not found: "),
        ({"uid": "nobody", "pos_dest": 0}, "Source plan ('nobody') was not found: "),
        ({"pos": 0, "pos_dest": 9}, "Destination plan (9) was not found: "),
        ({"pos": 0, "before_uid": "nobody"}, "Destination plan ('nobody') was not found: "),
    ],
)
def test_what_cannot_be_moved(params: dict[str, Any], text: str) -> None:
    reply = Stage.opened(*ABCD).refused("queue_item_move", **params)
    assert reply["msg"].startswith(f"Failed to move the item: {text}")
    assert (reply["item"], reply["qsize"]) == ({}, None)


def test_clear_leaves_the_running_item() -> None:
    stage = Stage.opened(1, 2, 3).started()
    stage.ok("queue_clear")
    assert (stage.running, stage.numbers) == (1, [])
    version = stage.state.versions.queue
    stage.ok("queue_clear")
    assert stage.state.versions.queue > version  # also when there was nothing


def finished(*numbers: int) -> Stage:
    stage = Stage.opened(*numbers).started()
    for _ in numbers:
        stage.end()
    assert [entry[0] for entry in stage.past] == list(numbers)
    return stage


@pytest.mark.parametrize(("size", "left"), [(2, [3, 4]), (4, [1, 2, 3, 4]), (99, [1, 2, 3, 4]), (0, []), (-3, [])])
def test_history_is_cut_to_a_size(size: int, left: list[int]) -> None:
    stage = finished(*ABCD)
    version = stage.state.versions.history
    stage.ok("history_clear", size=size)
    assert [entry[0] for entry in stage.past] == left
    assert (stage.state.versions.history == version) == (len(left) == 4)


def test_history_is_cut_up_to_an_item() -> None:
    stage = finished(*ABCD)
    third = [item.item_uid for item in stage.state.history][2]
    stage.ok("history_clear", item_uid="nobody")
    assert len(stage.past) == 4
    stage.ok("history_clear", item_uid=third)
    assert [entry[0] for entry in stage.past] == [4]
    stage.ok("history_clear")
    assert stage.past == []
    version = stage.state.versions.history
    stage.ok("history_clear")
    assert stage.state.versions.history > version


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"size": 1, "item_uid": "a"}, "Parameters 'size' and 'item_uid' are mutually exclusive."),
        ({"size": "1"}, "The 'size' parameter must be an integer: "),
        ({"size": True}, "The 'size' parameter must be an integer: "),
        ({"item_uid": 5}, "The 'item_uid' parameter must be a string: "),
    ],
)
def test_history_clear_refuses(params: dict[str, Any], text: str) -> None:
    assert finished(1).refused("history_clear", **params)["msg"].startswith(f"Error: {text}")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [70, 400, 900])
@pytest.mark.parametrize("place", ["meta", "args", "user"])
def test_what_no_encoder_can_follow_is_not_taken(depth: int, place: str) -> None:
    stage = Stage.opened()
    who = ME | ({"user": nested(depth)} if place == "user" else {})
    item = plan(1) | ({place: nested(depth)} if place != "user" else {})
    reply = stage.refused("queue_item_add", item=item, **who)
    assert reply["error"]["code"] == "item_format"
    assert "nested" in reply["msg"]


def test_reasonable_nesting_comes_through_a_whole_life() -> None:
    stage = Stage.opened()
    stage.ok("queue_item_add", item=plan(1) | {"meta": {"deep": nested(50)}}, **ME)
    stage.started().end()
    assert stage.past == [(1, "completed", "completed")]
