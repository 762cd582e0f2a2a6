"""Conversations about requests that are sent again under their id."""

from __future__ import annotations

from line import Line
from talks import STOP, plan, talk

from jupyter_queueserver.api import methods


@talk
def sending_a_request_again(line: Line) -> None:
    first = line.ok("queue_item_add", item=plan(), request_id="talk-1")
    assert line.ok("queue_item_add", item=plan(), request_id="talk-1") == first
    assert line.queue() == [first["item"]["item_uid"]]
    line.ok("queue_clear")
    assert line.ok("queue_item_add", item=plan(), request_id="talk-1") == first  # it was done, whatever came after it
    assert line.queue() == []
    batch = line.ok("queue_item_add_batch", items=[plan(), STOP], request_id="talk-2")
    assert line.ok("queue_item_add_batch", items=[plan(), STOP], request_id="talk-2") == batch
    assert len(line.queue()) == 2
    refused = line.refused("was used for another request", "queue_item_add", item=plan(), request_id="talk-2")
    assert refused["error"]["code"] == "request_id_reused"
    assert len(line.queue()) == 2


@talk
def sending_a_refused_request_again(line: Line) -> None:
    line.refused("", "queue_item_remove", pos="front", request_id="talk-3")
    uid = line.add("quick")
    assert line.ok("queue_item_remove", pos="front", request_id="talk-3")["item"]["item_uid"] == uid
    line.add("quick")
    assert line.ok("queue_item_remove", pos="front", request_id="talk-3")["item"]["item_uid"] == uid
    assert len(line.queue()) == 1


@talk
def starting_again_under_the_same_id(line: Line) -> None:
    line.add("quick")
    started = line.ok("queue_start", request_id="talk-4")
    line.idle()
    line.add("quick")
    assert line.ok("queue_start", request_id="talk-4") == started
    assert len(line.results()) == 1
    assert line.status()["manager_state"] == "idle"
    task = line.ok("function_execute", item={"item_type": "function", "name": "double", "args": [21]}, request_id="talk-5")
    assert line.finished(task["task_uid"])["return_value"] == 42
    again = line.ok("function_execute", item={"item_type": "function", "name": "double", "args": [21]}, request_id="talk-5")
    assert again == task


@talk
def ids_that_are_none(line: Line) -> None:
    for request_id in ("", "x" * 129, "a\tb", 5, ["a"]):
        refused = line.refused("The request id must be a text", "queue_clear", request_id=request_id)
        assert refused["error"]["code"] == "request_id_invalid"
    line.ok("queue_clear", request_id=None)
    for name in ("queue_get", "history_get"):
        assert methods()[name].kind == "read"
        line.ok(name, request_id=["ignored"])
