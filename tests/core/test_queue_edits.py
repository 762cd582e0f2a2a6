"""Updating, executing, moving and removing many, the queue mode, and places as the first version meant them."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import ME, QUEUE_STOP, Stage, plan
from hypothesis import given
from hypothesis import strategies as st

from jupyter_queueserver.core.status import manager_state, part_uid


def numbers(stage: Stage) -> list[int]:
    return [item.fields["kwargs"]["num"] for item in stage.state.queue]


def uids(stage: Stage) -> list[str]:
    return [item.item_uid for item in stage.state.queue]


def queue_version(stage: Stage) -> str:
    return part_uid("e", "queue", stage.state.versions.queue)


# update


def test_update_keeps_place_and_uid() -> None:
    stage = Stage.opened(1, 2, 3)
    uid = uids(stage)[1]
    reply = stage.ok("queue_item_update", item=plan(9) | {"item_uid": uid}, user="bob", user_group="primary")
    assert (numbers(stage), uids(stage)[1], reply["qsize"]) == ([1, 9, 3], uid, 3)
    assert reply["item"]["user"] == "bob"


def test_what_came_of_an_earlier_run_is_no_part_of_the_item() -> None:
    stage = Stage.opened(1).started()
    stage.end("failed")
    item, version = stage.state.queue.at(0).fields, queue_version(stage)
    assert item["result"]["exit_status"] == "failed"
    stage.ok("queue_item_update", item=item, user=item["user"], user_group=item["user_group"])
    assert (stage.state.queue.at(0).fields, queue_version(stage)) == (item, version)
    stage.ok("queue_item_update", item=item | {"kwargs": {"num": 2}}, user=item["user"], user_group=item["user_group"])
    assert "result" not in stage.state.queue.at(0).fields


def test_replace_gives_a_new_uid() -> None:
    stage = Stage.opened(1, 2)
    uid = uids(stage)[0]
    reply = stage.ok("queue_item_update", item=plan(9) | {"item_uid": uid}, replace=True, **ME)
    assert numbers(stage) == [9, 2]
    assert reply["item"]["item_uid"] == uids(stage)[0] != uid


@pytest.mark.parametrize("surplus", [{}, {"extra": 1}, {"result": {"a": 1}}, {"properties": {"time_start": 1.0}}])
def test_an_identical_item_changes_nothing_and_loses_nothing(surplus: dict[str, Any]) -> None:
    stage = Stage.opened(1, 2)
    item, version = stage.state.queue.at(0).fields, queue_version(stage)
    sent = dict(reversed(item.items())) | surplus
    reply = stage.ok("queue_item_update", item=sent, user=item["user"], user_group=item["user_group"])
    assert (reply["item"], queue_version(stage), numbers(stage)) == (item, version, [1, 2])
    stage.ok("queue_item_update", item=sent, replace=True, **ME)
    assert queue_version(stage) != version


@pytest.mark.parametrize(
    ("item", "replace", "text"),
    [
        (plan(1), False, "Item description contains no UID and UID generation is skipped"),
        (plan(1), True, "Failed to replace item: Item with UID 'None' is not in the queue"),
        (plan(1) | {"item_uid": "x"}, False, "Failed to replace item: Item with UID 'x' is not in the queue"),
        (plan(1) | {"item_uid": ["x"]}, True, "Failed to replace item: Item with UID '['x']' is not in the queue"),
        (plan(1) | {"item_uid": "x", "name": "nobody"}, False, "Plan validation failed: "),
        (None, False, "Incorrect request format: request contains no item info"),
    ],
)
def test_refused_update(item: Any, replace: bool, text: str) -> None:
    stage = Stage.opened(1)
    reply = stage.refused("queue_item_update", item=item, replace=replace, **ME)
    assert reply["msg"].startswith(f"Failed to add an item: {text}")
    assert reply["qsize"] == 0
    assert (reply["item"] or {}).get("name") == (item or {}).get("name")


def test_the_running_item_is_not_updated() -> None:
    stage = Stage.opened(1, 2).started()
    assert stage.state.running
    uid = stage.state.running.item_uid
    reply = stage.refused("queue_item_update", item=plan(5) | {"item_uid": uid}, **ME)
    assert reply["msg"] == f"Failed to add an item: Failed to replace item: Item with UID '{uid}' is currently running"
    assert reply["item"]["item_uid"] == uid
    assert reply["item"]["user"] == "me"


# execute


def test_execute_runs_one_item_past_the_queue() -> None:
    stage = Stage.opened(1, 2, loop=True)
    reply = stage.ok("queue_item_execute", item=plan(9), **ME)
    assert reply["qsize"] == 2
    stage.go_on()
    assert stage.state.running
    assert stage.state.running.item_uid == reply["item"]["item_uid"]
    assert stage.state.running.fields["properties"]["immediate_execution"] is True
    stage.end()
    assert manager_state(stage.state) == "idle"
    assert numbers(stage) == [1, 2]
    ended = stage.state.history.tail.at(0).fields
    assert (ended["item_uid"], ended["result"]["exit_status"]) == (reply["item"]["item_uid"], "completed")
    assert "properties" not in ended


@pytest.mark.parametrize("ending", ["failed", "aborted", "stopped", "refused"])
def test_executed_items_never_come_back(ending: str) -> None:
    stage = Stage.opened(1)
    stage.ok("queue_item_execute", item=plan(9), **ME)
    (stage.hand_over if ending == "refused" else stage.go_on)()
    stage.end(ending)
    assert numbers(stage) == [1]
    assert stage.state.history.size == 1


def test_refused_execution_shows_the_prepared_item() -> None:
    prefix = "Failed to start execution of the item: "
    closed = Stage()
    closed.ok("permissions_set", user_group_permissions={"user_groups": {"root": {}, "primary": {}}})
    missing = closed.refused("queue_item_execute", item=QUEUE_STOP, **ME)
    assert missing["msg"] == f"{prefix}RE Worker environment does not exist."
    busy = Stage.opened(1).started().refused("queue_item_execute", item=plan(9), **ME)
    assert busy["msg"] == f"{prefix}RE Manager is busy."
    assert (busy["qsize"], busy["item"]["user"], len(busy["item"]["item_uid"]) > 0) == (None, "me", True)
    wrong = Stage.opened().refused("queue_item_execute", item=plan(9) | {"name": "nobody"}, **ME)
    assert wrong["msg"].startswith(f"{prefix}Plan validation failed: ")
    assert "item_uid" not in wrong["item"]


# batches


def test_remove_batch() -> None:
    stage = Stage.opened(1, 2, 3, 4)
    one, two, three, _ = uids(stage)
    reply = stage.ok("queue_item_remove_batch", uids=[three, "unknown", one, three, 5])
    assert [item["item_uid"] for item in reply["items"]] == [three, one]
    assert (numbers(stage), reply["qsize"]) == ([2, 4], 2)
    assert stage.ok("queue_item_remove_batch", uids=[])["items"] == []
    prefix = "Failed to remove a batch of items: "
    for params, text in [
        ({}, "Request does not contain the list of UIDs"),
        ({"uids": "x"}, "Parameter 'uids' must be a list: "),
        ({"uids": [two, two], "ignore_missing": False}, "The list of contains repeated UIDs ("),
        ({"uids": [two, "x"], "ignore_missing": False}, "The queue does not contain items with the following UIDs: ['x']"),
    ]:
        refused = stage.refused("queue_item_remove_batch", **params)
        assert refused["msg"].startswith(prefix + text)
        assert (refused["items"], refused["qsize"]) == ([], None)


def test_removing_the_running_item_in_a_batch_passes_it_over() -> None:
    stage = Stage.opened(1, 2).started()
    assert stage.state.running
    reply = stage.ok("queue_item_remove_batch", uids=[stage.state.running.item_uid], ignore_missing=False)
    assert (reply["items"], reply["qsize"]) == ([], 1)


@given(st.data())
def test_move_batch_agrees_with_a_list(data: st.DataObject) -> None:
    """The block stands where it was sent, in its order; the others keep theirs."""
    size = data.draw(st.integers(1, 6))
    stage = Stage.opened(*range(size))
    names = uids(stage)
    block = data.draw(st.lists(st.sampled_from(names), unique=True, max_size=size))
    rest = [uid for uid in names if uid not in block]
    reorder = data.draw(st.booleans())
    ordered = sorted(block, key=names.index) if reorder else block
    places = ["front", "back", *[(side, uid) for side in ("before", "after") for uid in rest]]
    place = data.draw(st.sampled_from(places))
    if isinstance(place, str):
        params: dict[str, Any] = {"pos_dest": place}
        index = 0 if place == "front" else len(rest)
    else:
        params = {f"{place[0]}_uid": place[1]}
        index = rest.index(place[1]) + (place[0] == "after")
    version = queue_version(stage)
    reply = stage.ok("queue_item_move_batch", uids=block, reorder=reorder, **params)
    after = [*rest[:index], *ordered, *rest[index:]]
    assert uids(stage) == after
    assert [item["item_uid"] for item in reply["items"]] == ordered
    assert (queue_version(stage) == version) == (after == names)


def test_refused_move_batch() -> None:
    stage = Stage.opened(1, 2, 3)
    one, two, three = uids(stage)
    prefix = "Failed to move the batch of items: "
    for params, text in [
        ({"uids": [one, one], "pos_dest": "back"}, "The list of contains repeated UIDs"),
        ({"uids": [one, "x"], "pos_dest": "back"}, "The queue does not contain items with the following UIDs: ['x']"),
        ({"uids": [one, two], "before_uid": two}, f"Parameter 'before_uid': item with UID '{two}' is in the batch"),
        ({"uids": [one]}, "Destination for the batch is not specified: "),
        ({"uids": []}, "Destination for the batch is not specified: "),
        (
            {"uids": [one], "pos_dest": "front", "after_uid": three},
            "Destination for the batch is ambiguous: more than one ",
        ),
        ({"uids": [one], "after_uid": "x"}, "Parameter 'after_uid': item with UID 'x' is not in the queue."),
        ({"pos_dest": "back"}, "Request does not contain the list of UIDs"),
    ]:
        refused = stage.refused("queue_item_move_batch", **params)
        assert refused["msg"].startswith(prefix + text), refused["msg"]
        assert (refused["items"], refused["qsize"]) == ([], None)
    for destination in ({"pos_dest": "front"}, {"pos_dest": 99}, {"after_uid": "unknown"}):
        assert stage.ok("queue_item_move_batch", uids=[], **destination)["items"] == []
    assert stage.ok("queue_item_move_batch", uids=[three, one], pos_dest=0)["qsize"] == 3
    assert numbers(stage) == [3, 1, 2]


def test_every_refusal_of_a_batch_tells_the_length_of_the_queue() -> None:
    stage = Stage.opened(1, 2)
    malformed = [{"zz": 1}, {}, {"items": "x"}, {"items": [plan(3)]}, {"items": [plan(3)], "user": "me", "user_group": "nobody"}]
    for params in malformed:
        reply = stage.refused("queue_item_add_batch", **params)
        assert (reply["qsize"], reply["items"], reply["results"]) == (2, [], []), params
        assert "zz" in params or reply["msg"].startswith("Failed to add an item: ")
    assert stage.refused("queue_item_add_batch", items=[plan(3), 5], **ME)["qsize"] == 2
    stage.ok("lock", lock_key="key", user="ada", queue=True)
    assert stage.refused("queue_item_add_batch", items=[plan(3)], **ME)["qsize"] == 2


# mode


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        (None, "Request does not contain the queue mode"),
        (5, "Queue mode is passed using object of unsupported type 'int'"),
        ("other", "Queue mode is passed using object of unsupported type 'str'"),
        ({"lop": True}, "Unsupported plan queue mode parameter 'lop': "),
        ({"loop": "true"}, "Unsupported type 'str' of the parameter 'loop': "),
        ({"loop": True, "ignore_failures": 1}, "Unsupported type 'int' of the parameter 'ignore_failures': "),
    ],
)
def test_refused_mode(mode: Any, text: str) -> None:
    assert Stage().refused("queue_mode_set", mode=mode)["msg"].startswith(f"Failed to set queue mode: {text}")


def test_mode_is_set_in_parts_and_reset() -> None:
    stage = Stage()
    for mode, expected in [
        ({"loop": True}, (True, False)),
        ({"ignore_failures": True}, (True, True)),
        ({}, (True, True)),
        ({"loop": False}, (False, True)),
        ("default", (False, False)),
    ]:
        stage.ok("queue_mode_set", mode=mode)
        assert (stage.state.mode.loop, stage.state.mode.ignore_failures) == expected
    stage.ok("queue_mode_set", mode={"loop": True})
    stage.restart()
    assert stage.state.mode.loop


# places and endings of the first version


@given(count=st.integers(0, 5), pos=st.integers(-8, 8))
def test_insert_means_what_lists_mean(count: int, pos: int) -> None:
    stage = Stage.opened(*range(count))
    stage.add(99, pos=pos, negative_pos="insert")
    expected = list(range(count))
    expected.insert(pos, 99)
    assert numbers(stage) == expected


def test_wrong_negative_pos() -> None:
    reply = Stage.opened(1).refused("queue_item_add", item=plan(1), pos=-1, negative_pos="x", **ME)
    assert "Parameter 'negative_pos' has incorrect value: 'x'" in reply["msg"]


@pytest.mark.parametrize("keep_first", [False, True])
def test_a_stopped_plan_may_stay_first(keep_first: bool) -> None:
    stage = Stage.opened(1, 2).paused()
    stage.ok("re_stop", keep_first=keep_first)
    stage.go_on()
    stage.end("stopped")
    assert numbers(stage) == ([1, 2] if keep_first else [2])
    assert manager_state(stage.state) == "idle"
    assert stage.state.history.tail.at(0).fields["result"]["exit_status"] == "stopped"
