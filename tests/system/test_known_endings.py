"""Endings as found in the morning: what was known when the worker died, why an item is back, who lets it run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import Server, freeze, kill, until


def test_what_is_known_of_a_plan_whose_worker_and_manager_died_and_who_lets_it_run_again(
    new_server: Callable[..., Server],
) -> None:
    server = new_server("--confirm-returned", "ON", "--saver", "none")
    server.start()
    server.open()
    item = {"item_type": "plan", "name": "long_count", "args": [["det"]], "kwargs": {"seconds": 600, "step": 0.02}}
    uid = server.ok("queue_item_add", item=item, user="t", user_group="primary")["item"]["item_uid"]
    server.ok("queue_start")
    journal = server.instance.journal / server.environment.environment_id
    until(lambda: sum(path.stat().st_size for path in journal.glob("*.jnl")) > 8000, "some events in the journal")
    (run,) = [run["uid"] for run in server.ok("re_runs")["run_list"]]
    kill(server.worker, server.manager)
    server.wait_for(lambda status: not status["worker_environment_exists"], "the worker's death to be seen")

    (entry,) = server.history()
    result = entry["result"]
    assert (result["exit_status"], result["ending"], result["run_uids"]) == ("failed", "interrupted", [run])
    last = result["last_document"]
    assert (last["name"], last["run_uid"]) == ("event", run)
    assert result["time_start"] <= last["time"] <= result["time_stop"]
    assert result["summary"].endswith(f"The last point that was kept is number {last['seq_num']}.")
    (back,) = server.queue()
    assert (back["returned"]["item_uid"], back["returned"]["reason"]) == (uid, result["summary"])

    server.open()
    refusal = server.refused("queue_start")
    assert refusal["error"]["code"] == "confirmation_needed"
    assert result["summary"] in refusal["msg"]
    assert server.status()["confirmation_needed"] == 1
    server.ok("queue_autostart", enable=True)
    assert server.status()["manager_state"] == "idle"
    manager = server.manager
    kill(manager)
    server.wait_new_manager(manager)
    assert server.queue() == [back]  # the mark is stored
    server.ok("queue_item_confirm", uid=back["item_uid"])
    server.wait_running(back["item_uid"])
    server.ok("environment_destroy")
    server.wait_state("idle")
    server.stop()


def test_a_plan_that_had_not_begun_when_the_worker_died_is_queued_as_it_was(server: Server, held: Callable[[str], Any]) -> None:
    plan = held("plan")
    (before,) = server.queue()
    freeze(server.worker)  # it will never hear of the item
    server.ok("queue_start")
    server.wait_running(plan.uid)
    kill(server.worker)
    server.wait_for(lambda status: not status["worker_environment_exists"], "the worker's death to be seen")
    assert (server.queue(), server.history()) == ([before], [])
    assert plan.lines == []
    server.open()
    server.ok("queue_start")
    plan.wait("begin")
    plan.go()
    server.wait_for(lambda status: status["items_in_history"] == 1, "the plan to end")
    assert plan.ran_once
