"""The queue through the whole stack: pause and what follows, stop, failure, two clients at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Held, Server

MakeHeld = Callable[[str], Held]


def start_paused(server: Server, plan: Held, option: str) -> None:
    """Start the queue and pause its first plan."""
    server.ok("queue_start")
    plan.wait("begin")
    server.ok("re_pause", option=option)
    status = server.wait_state("paused")
    assert (status["re_state"], status["pause_pending"]) == ("paused", False)
    assert status["running_item_uid"] == plan.uid


@pytest.mark.parametrize("option", ["deferred", "immediate"])
def test_pause_and_resume(server: Server, held: MakeHeld, option: str) -> None:
    plan, second = held("plan"), held("second")
    start_paused(server, plan, option)
    assert server.refused("re_pause")["error"]["code"]
    assert server.refused("environment_close")["error"]["code"]
    assert server.refused("queue_start")["error"]["code"]
    server.ok("re_resume")
    server.wait_for(lambda status: status["re_state"] == "running", "the plan to go on")
    plan.go()
    second.wait("begin")
    second.go()
    server.wait_state("idle")
    assert plan.ran_once
    assert [item["result"]["ending"] for item in server.history()] == ["completed", "completed"]


@pytest.mark.parametrize(
    ("method", "ending", "cleaned", "comes_back"),
    [
        ("re_stop", "stopped", True, False),
        ("re_abort", "aborted", True, True),
        ("re_halt", "halted", False, True),
    ],
)
def test_end_of_a_paused_plan(server: Server, held: MakeHeld, method: str, ending: str, cleaned: bool, comes_back: bool) -> None:
    plan, second = held("plan"), held("second")
    start_paused(server, plan, "immediate")
    server.ok(method)
    server.wait_state("idle")
    assert plan.lines == (["begin", "cleanup"] if cleaned else ["begin"])
    (item,) = server.history()
    assert (item["result"]["exit_status"], item["result"]["ending"]) == (ending, ending)
    assert len(item["result"]["run_uids"]) == 1
    queue = server.queue()
    assert queue[-1]["item_uid"] == second.uid
    assert len(queue) == 1 + comes_back
    if comes_back:
        assert queue[0]["item_uid"] != plan.uid
        assert queue[0]["result"]["ending"] == ending
    assert second.lines == []
    assert server.refused("re_resume")["error"]["code"] == "not_paused"


def test_queue_stop_and_cancel(server: Server, held: MakeHeld) -> None:
    plans = [held(name) for name in ("first", "second", "third")]
    server.ok("queue_start")
    plans[0].wait("begin")
    server.ok("queue_stop")
    assert server.status()["queue_stop_pending"] is True
    server.ok("queue_stop_cancel")
    assert server.status()["queue_stop_pending"] is False
    plans[0].go()
    plans[1].wait("begin")
    server.ok("queue_stop")
    plans[1].go()
    status = server.wait_state("idle")
    assert (status["items_in_queue"], status["items_in_history"]) == (1, 2)
    assert status["queue_stop_pending"] is False
    assert plans[2].lines == []
    assert server.refused("queue_stop")["msg"]


def test_failing_plan_comes_back(server: Server, held: MakeHeld) -> None:
    failing = server.add("fails", text="the shutter is stuck")
    second = held("second")
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_history"] == 1, "the plan to fail")
    server.wait_state("idle")
    (item,) = server.history()
    assert item["item_uid"] == failing
    assert (item["result"]["exit_status"], item["result"]["ending"]) == ("failed", "failed")
    assert "the shutter is stuck" in item["result"]["msg"]
    assert "RuntimeError" in item["result"]["traceback"]
    assert len(item["result"]["run_uids"]) == 1
    back, waiting = server.queue()
    assert back["name"] == "fails"
    assert back["item_uid"] != failing
    assert waiting["item_uid"] == second.uid
    assert second.lines == []


def test_stop_instruction(server: Server, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    server.add("brief", trace=trace)
    stop = {"item_type": "instruction", "name": "queue_stop"}
    server.ok("queue_item_add", item=stop, user="tester", user_group="primary")
    server.add("brief", trace=trace)
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_history"] == 1, "the first plan to end")
    status = server.wait_state("idle")
    assert (status["items_in_queue"], status["items_in_history"]) == (1, 1)
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_history"] == 2, "the second plan to end")
    assert trace.read_text().split() == ["begin", "end"] * 2


def test_console_text_reaches_clients(server: Server, held: MakeHeld) -> None:
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    plan.go()
    server.wait_state("idle")
    words = str(plan.trace.with_suffix(".go"))
    server.events.wait(lambda _: words in server.events.console(), "what the plan prints")


def test_two_clients_at_once(server: Server, tmp_path: Path) -> None:
    """Each adds its own items while the other does: none is lost, each keeps its order, each plan runs once."""
    added: dict[str, list[str]] = {"one": [], "two": []}

    def work(name: str) -> None:
        added[name].extend(server.add("brief", trace=tmp_path / f"{name}{number}") for number in range(20))

    threads = [threading.Thread(target=work, args=(name,)) for name in added]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queued = [item["item_uid"] for item in server.queue()]
    assert sorted(queued) == sorted(added["one"] + added["two"])
    for uids in added.values():
        assert len(uids) == 20
        assert [uid for uid in queued if uid in uids] == uids
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_history"] == 40, "40 plans to end")
    server.wait_state("idle")
    assert [item["item_uid"] for item in server.history()] == queued
    assert {item["result"]["ending"] for item in server.history()} == {"completed"}
    traces = [path.read_text().split() for path in tmp_path.iterdir()]
    assert traces == [["begin", "end"]] * 40


def test_orders_in_the_wrong_state(server: Server) -> None:
    for method in ("re_resume", "re_stop", "re_abort", "re_halt", "re_pause", "queue_stop", "environment_open"):
        before = server.status()
        assert server.refused(method)["error"]["code"]
        assert server.status() == before
