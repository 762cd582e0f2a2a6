"""What counts as the same conversation, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comparison import check_same, form_status
from line import Turn

HERE, THERE = Path("/here"), Path("/there")
A, B = "aaaaaaaa-0000-4000-8000-000000000000", "bbbbbbbb-0000-4000-8000-000000000000"


def turn(reply: dict[str, Any], method: str = "queue_get", **params: Any) -> Turn:
    return Turn(method, params, {"success": True, "msg": ""} | reply)


def compare(mine: list[Turn], theirs: list[Turn], *, is_http: bool = False) -> None:
    check_same(mine, theirs, (HERE, THERE), is_http=is_http)


def test_uids_times_and_paths_do_not_count() -> None:
    mine = [turn({"uids": [A, B, A], "time": 1.5, "text": f"/here/go-7 of {A}", "scan_ids": [4, 5]})]
    theirs = [turn({"uids": [B, A, B], "time": 2.5, "text": f"/there/go-1 of {B}", "scan_ids": [1, 2]})]
    compare(mine, theirs)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({"uids": [A, A]}, {"uids": [A, B]}),
        ({"time": None}, {"time": 1.5}),
        ({"msg": "no"}, {"msg": "yes"}),
        ({"qsize": 1}, {}),
        ({"qsize": 1}, {"qsize": None}),
        ({"scan_ids": [1, 1]}, {"scan_ids": [1, 2]}),
        ({"traceback": ""}, {"traceback": "Traceback ..."}),
    ],
)
def test_everything_else_counts(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    compare([turn(mine)], [turn(mine)])
    with pytest.raises(AssertionError):
        compare([turn(mine)], [turn(theirs)])


def test_both_have_said_the_same_things() -> None:
    with pytest.raises(AssertionError, match="parted"):
        compare([turn({}, pos=1)], [turn({}, pos=2)])
    with pytest.raises(ValueError, match="zip"):
        compare([turn({})], [turn({}), turn({})])


def test_http_refuses_by_form_only_what_is_declared() -> None:
    refused = {"success": False, "msg": "Error: no"}
    by_form = Turn("queue_item_get", {"surplus": 1}, {"http_status": 400, "detail": "no"})
    compare([by_form], [turn(refused, "queue_item_get", surplus=1)], is_http=True)
    with pytest.raises(AssertionError, match="over HTTP only"):
        compare([by_form], [turn({}, "queue_item_get", surplus=1)], is_http=True)
    with pytest.raises(AssertionError):
        compare([by_form._replace(params={"pos": 1})], [turn(refused, "queue_item_get", pos=1)], is_http=True)
    with pytest.raises(AssertionError):  # the server let something through that it must refuse
        compare([turn({}, "queue_item_get", surplus=1)], [turn(refused, "queue_item_get", surplus=1)], is_http=True)


def test_what_the_interface_lays_down_for_forms() -> None:
    for status, method, params in (
        (200, "queue_item_add", {}),
        (200, "queue_item_add", {"surplus": 1}),
        (400, "queue_item_add", {"item": {}, "surplus": 1}),
        (400, "queue_item_add", {"item": 5}),
        (400, "queue_item_update", {}),
        (400, "queue_autostart", {"enable": "yes"}),
        (400, "lock", {"lock_key": None}),
        (200, "queue_clear", {"lock_key": None}),
        (200, "manager_stop", {"surplus": 1}),
        (200, "task_status", {"task_uid": ["a"]}),
        (400, "task_result", {"task_uid": ["a"]}),
    ):
        assert form_status(method, params) == status, (method, params)
