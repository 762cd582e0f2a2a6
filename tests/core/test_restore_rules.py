"""Restoring: refusals, what is left out, and that nothing starts by itself."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import Stage

from jupyter_queueserver.core.errors import QueueServerError


def entry(uid: str, **more: Any) -> dict[str, Any]:
    return {"item_uid": uid, "item_type": "plan", "name": "count", "user": "me", "user_group": "primary", **more}


def uids(stage: Stage) -> list[str]:
    return [item.item_uid for item in stage.state.queue]


def test_not_beside_a_plan() -> None:
    stage = Stage.opened(1)
    stage.ok("queue_start")
    for how in ("empty", "replace", "append"):
        reply = stage.refused("queue_restore", items=[entry("a")], how=how)
        assert reply["error"]["code"] == "plan_running"


def test_only_into_an_empty_server_unless_it_is_said() -> None:
    stage = Stage.opened(1)
    reply = stage.refused("queue_restore", items=[entry("a")])
    assert reply["error"]["code"] == "not_empty"
    assert "1 items in the queue and 0 in the history" in reply["msg"]


def test_nothing_starts_by_itself() -> None:
    stage = Stage.opened()
    stage.ok("queue_autostart", enable=True)
    stage.ok("queue_restore", items=[entry("a"), entry("b")])
    assert uids(stage) == ["a", "b"]
    assert not stage.state.autostart
    assert stage.state.running is None


def test_what_is_there_is_left_out_also_within_the_request() -> None:
    stage = Stage.opened()
    reply = stage.ok("queue_restore", items=[entry("a"), entry("a"), entry("h")], history=[entry("h"), entry("h")])
    assert uids(stage) == ["a"]
    assert [item.item_uid for item in stage.state.history] == ["h"]
    assert (reply["left_out"], reply["left_out_uids"]) == (3, ["h", "a", "h"])


def test_what_was_running_is_first_and_marked() -> None:
    stage = Stage.opened()
    stage.ok("queue_restore", items=[entry("a")], running=entry("r", properties={"time_start": 1.0, "mine": 1}))
    first = stage.state.queue.at(0)
    assert first.item_uid == "r"
    assert first.is_unconfirmed
    assert first.fields["returned"]["ending"] == "lost"
    assert first.fields["properties"] == {"mine": 1}


def test_what_was_running_and_has_ended_since_is_not_run_again() -> None:
    stage = Stage.opened()
    reply = stage.ok("queue_restore", items=[], history=[entry("r")], running=entry("r"))
    assert (uids(stage), reply["returned"], reply["left_out_uids"]) == ([], None, ["r"])


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"items": [entry("a"), {**entry("b"), "item_uid": 5}]}, "items[1].item_uid"),
        ({"items": [], "history": [5]}, "item"),
        ({"items": [], "running": {"item_type": "plan", "item_uid": "a"}}, "running.name"),
        ({"items": [], "mode": {"spam": 1}}, "mode"),
        ({"items": None}, "items"),
        ({"items": [], "how": 5}, "how"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(params: dict[str, Any], path: str) -> None:
    stage = Stage.opened()
    reply = stage.refused("queue_restore", **params)
    assert path in reply["error"]["path"]
    assert reply["error"]["hint"]


def test_a_stranger_needs_the_key_of_the_lock() -> None:
    stage = Stage.opened()
    stage.ok("lock", environment=False, queue=True, lock_key="key", user="me")
    stage.refused("queue_restore", items=[entry("a")])
    stage.ok("queue_restore", items=[entry("a")], lock_key="key")


def test_the_error_is_one_of_the_tree() -> None:
    from jupyter_queueserver.core.rules.restore import require_restorable

    with pytest.raises(QueueServerError):
        require_restorable(Stage.opened().state, "sideways")
