"""Conversations in which plans run: sequences of states, endings, and what follows them."""

from __future__ import annotations

from line import Line
from talks import NOBODY, STOP, plan, talk

#: A plan that is over at once is not seen to run.
WORK = (["idle", "starting_queue", "executing_queue", "idle"], ["idle", "starting_queue", "idle"])
LONG = {"item_type": "plan", "name": "long_count", "args": [["det"]], "kwargs": {"seconds": 600, "step": 0.02}}


def long(line: Line, **place: object) -> str:
    """Add a plan that runs until it is ended."""
    return line.ok("queue_item_add", item=LONG, **place)["item"]["item_uid"]


def start_long(line: Line) -> str:
    """Have a long plan running at the front of the queue; returns its uid."""
    uid = long(line, pos="front")
    line.ok("queue_start")
    line.running(uid)
    return uid


def pause(line: Line) -> None:
    """Pause the running plan at once."""
    line.ok("re_pause", option="immediate")
    line.paused()


@talk
def working_off_the_queue(line: Line) -> None:
    uids = [line.add("count", ["det"], num=1), line.add("quick"), line.add("count", ["det1", "det2"], num=2)]
    line.mark()
    line.ok("queue_start")
    line.idle()
    assert line.states() in WORK
    assert line.results() == [(uid, "completed") for uid in uids]
    results = [item["result"] for item in line.ok("history_get")["items"]]
    assert [(result["ending"], result["msg"], result["traceback"]) for result in results] == [("completed", "", "")] * 3
    assert [len(result["run_uids"]) for result in results] == [1, 0, 1]
    assert [len(result["scan_ids"]) for result in results] == [1, 0, 1]
    assert all(result["time_start"] <= result["time_stop"] for result in results)
    assert "properties" not in line.ok("history_get")["items"][0]
    status = line.status()
    assert (status["items_in_queue"], status["items_in_history"], status["running_item_uid"]) == (0, 3, None)


@talk
def an_empty_queue(line: Line) -> None:
    line.mark()
    line.ok("queue_start")
    line.idle()
    assert line.states() in (["idle", "starting_queue", "idle"], ["idle"])
    assert line.results() == []


@talk
def what_is_shown_of_a_running_plan(line: Line) -> None:
    uid = start_long(line)
    other = line.add("quick")
    shown = line.ok("queue_get")
    assert shown["running_item"]["item_uid"] == uid
    assert shown["running_item"]["properties"]["time_start"] > 0
    assert [item["item_uid"] for item in shown["items"]] == [other]
    status = line.status()
    names = ("manager_state", "worker_environment_state", "re_state", "ip_kernel_state", "ip_kernel_captured")
    assert [status[name] for name in names] == ["executing_queue", "executing_plan", "running", "busy", True]
    assert (status["running_item_uid"], status["items_in_queue"]) == (uid, 1)
    runs = line.ok("re_runs")["run_list"]
    assert [(run["is_open"], run["exit_status"]) for run in runs] == [(True, None)]
    assert line.ok("re_runs", option="open")["run_list"] == runs
    assert line.ok("re_runs", option="closed")["run_list"] == []
    line.refused("Error: Option 'half' is not supported.", "re_runs", option="half")
    line.refused("", "re_runs", option=5)
    line.refused("RE Manager is busy.", "queue_start")
    line.refused("Queue execution is in progress.", "environment_close")
    line.refused("RE Worker environment already exists.", "environment_open")
    line.refused("Error: Closing RE Manager with option 'safe_on'", "manager_stop")
    line.refused("Error: Option 'gently' is not allowed.", "manager_stop", option="gently")
    line.refused("Failed to start execution of the item: ", "queue_item_execute", item=plan())
    # the running item is not one of the queue
    line.refused("is currently running", "queue_item_get", uid=uid)
    line.refused("Can not remove an item which is currently running.", "queue_item_remove", uid=uid)
    line.refused(
        "Can not insert a plan in the queue before a currently running plan.", "queue_item_add", item=plan(), before_uid=uid
    )
    line.refused("is currently running", "queue_item_update", item=shown["running_item"])
    assert line.ok("queue_item_remove_batch", uids=[uid], ignore_missing=True)["items"] == []
    front = line.ok("queue_item_add", item=plan(), after_uid=uid)["item"]["item_uid"]
    assert line.queue() == [front, other]
    line.ok("queue_clear")
    assert line.status()["running_item_uid"] == uid
    pause(line)
    assert [run["is_open"] for run in line.ok("re_runs")["run_list"]] == [True]
    line.ok("re_abort")
    line.idle()
    assert line.ok("re_runs")["run_list"] == []


@talk
def pausing_and_resuming(line: Line) -> None:
    go = line.go_file()
    uid = line.add("hold", go=go)
    after = line.add("quick")
    line.mark()
    line.ok("queue_start")
    line.running(uid)
    line.ok("re_pause")  # deferred: the plan has checkpoints
    line.paused()
    status = line.status()
    assert (status["re_state"], status["worker_environment_state"], status["pause_pending"]) == ("paused", "idle", False)
    assert status["running_item_uid"] == uid
    line.refused("RE Manager is busy.", "queue_start")
    line.refused("Manager state is not idle. Current state: ", "environment_close")
    line.refused("Failed to pause the queue. Queue is not running. Manager state: MState.PAUSED", "queue_stop")
    line.refused("Run engine can be paused only in 'running' state. Current state: 'paused'", "re_pause")
    line.ok("re_resume")
    line.wait(lambda status: status["re_state"] == "running", "the plan to go on")
    pause(line)
    line.ok("re_resume")
    line.wait(lambda status: status["re_state"] == "running", "the plan to go on")
    line.let_go(go)
    line.idle()
    run = ["executing_queue", "paused"]
    assert line.states() == ["idle", "starting_queue", *run, *run, "executing_queue", "idle"]
    assert line.results() == [(uid, "completed"), (after, "completed")]


@talk
def pausing_what_cannot_be_paused(line: Line) -> None:
    line.refused("Run engine can be paused only in 'running' state. Current state: 'idle'", "re_pause")
    line.refused("Option 'later' is not supported. Available options: ('deferred', 'immediate')", "re_pause", option="later")
    for method in ("re_resume", "re_stop", "re_abort", "re_halt"):
        line.refused("RE Manager is not paused: current state is 'idle'", method)
    line.refused("Failed to pause the queue. Queue is not running. Manager state: MState.IDLE", "queue_stop")


def _end_paused(line: Line, method: str, exit_status: str, comes_back: bool) -> None:
    line.ok("queue_autostart", enable=False)
    after = line.add("quick")
    line.mark()
    uid = start_long(line)
    pause(line)
    line.ok(method)
    line.idle()
    assert line.states() == ["idle", "starting_queue", "executing_queue", "paused", "executing_queue", "idle"]
    assert line.results() == [(uid, exit_status)]
    result = line.ok("history_get")["items"][0]["result"]
    assert (result["msg"], result["traceback"], len(result["run_uids"])) == ("", "", 1)
    queued = line.ok("queue_get")["items"]
    if comes_back:
        assert queued[0]["item_uid"] != uid
        assert (queued[0]["name"], queued[0]["result"]["exit_status"]) == ("long_count", exit_status)
        assert queued[1]["item_uid"] == after
    else:
        assert [item["item_uid"] for item in queued] == [after]


@talk
def stopping(line: Line) -> None:
    _end_paused(line, "re_stop", "stopped", comes_back=False)


@talk
def aborting(line: Line) -> None:
    _end_paused(line, "re_abort", "aborted", comes_back=True)


@talk
def halting(line: Line) -> None:
    _end_paused(line, "re_halt", "halted", comes_back=True)


@talk
def a_plan_that_fails(line: Line) -> None:
    uid = line.ok("queue_item_add", item=plan("failing_plan", args=[["det"]]))["item"]["item_uid"]
    after = line.add("quick")
    line.mark()
    line.ok("queue_start")
    line.idle()
    assert line.states() in WORK
    assert line.results() == [(uid, "failed")]
    result = line.ok("history_get")["items"][0]["result"]
    assert result["msg"].startswith("Plan failed: ")
    assert "simulated failure" in result["msg"]
    assert result["traceback"]
    queued = line.ok("queue_get")["items"]
    assert (queued[0]["name"], queued[0]["result"]["exit_status"]) == ("failing_plan", "failed")
    assert [item["item_uid"] for item in queued][1:] == [after]
    assert queued[0]["item_uid"] != uid


@talk
def confirming_what_came_back(line: Line) -> None:
    uid = line.ok("queue_item_add", item=plan("failing_plan", args=[["det"]]))["item"]["item_uid"]
    other = line.add("quick")
    line.ok("queue_start")
    line.idle()
    (back, _) = line.ok("queue_get")["items"]
    mark = back["returned"]
    result = line.ok("history_get")["items"][0]["result"]
    assert (mark["ending"], mark["item_uid"], mark["run_uids"]) == ("failed", uid, result["run_uids"])
    assert (mark["reason"], mark["confirmed"]) == (result["summary"], False)
    line.refused("", "queue_item_confirm", uid=NOBODY)
    line.refused("", "queue_item_confirm")
    reply = line.ok("queue_item_confirm", uid=back["item_uid"])
    assert [item["returned"] for item in reply["items"]] == [mark | {"confirmed": True}]
    reply = line.ok("queue_item_confirm", uids=[other, back["item_uid"]])
    assert [item["item_uid"] for item in reply["items"]] == [other, back["item_uid"]]
    reply = line.ok("queue_item_update", item=reply["items"][1])  # unchanged: it is the same item
    assert reply["item"]["returned"]["confirmed"]
    reply = line.ok("queue_item_update", item=reply["item"] | {"meta": {"checked": True}})
    assert "returned" not in reply["item"]
    line.ok("queue_item_remove", uid=back["item_uid"])
    line.ok("queue_start", confirm_returned=True)
    line.idle()
    assert line.results()[1:] == [(other, "completed")]


@talk
def ignoring_failures(line: Line) -> None:
    line.ok("queue_mode_set", mode={"ignore_failures": True})
    failing = plan("failing_plan", args=[["det"]])
    uids = [line.ok("queue_item_add", item=item)["item"]["item_uid"] for item in (failing, plan(), failing, plan())]
    line.ok("queue_start")
    line.idle()
    assert line.results() == list(zip(uids, ("failed", "completed", "failed", "completed"), strict=True))
    assert line.queue() == []


@talk
def looping(line: Line) -> None:
    line.ok("queue_mode_set", mode={"loop": True})
    uids = [line.ok("queue_item_add", item=item)["item"]["item_uid"] for item in (plan(), plan("count", args=[["det"]]), STOP)]
    for _ in range(2):
        line.ok("queue_start")
        line.idle()
    assert [status for _, status in line.results()] == ["completed"] * 4
    queued = line.ok("queue_get")["items"]
    assert [item["name"] for item in queued] == ["quick", "count", "queue_stop"]
    assert not {item["item_uid"] for item in queued} & set(uids)


@talk
def stopping_the_queue(line: Line) -> None:
    go = line.go_file()
    uid = line.add("hold", go=go)
    after = line.add("quick")
    line.ok("queue_start")
    line.running(uid)
    for _ in range(2):
        line.ok("queue_stop")
    assert line.status()["queue_stop_pending"]
    line.ok("queue_stop_cancel")
    assert not line.status()["queue_stop_pending"]
    line.ok("queue_stop")
    line.let_go(go)
    line.idle()
    assert not line.status()["queue_stop_pending"]
    assert line.results() == [(uid, "completed")]
    assert line.queue() == [after]
    line.ok("queue_stop_cancel")  # nothing to cancel is fine


@talk
def the_stop_instruction(line: Line) -> None:
    first = line.add("quick")
    line.ok("queue_item_add", item=STOP)
    after = line.add("quick")
    line.ok("queue_start")
    line.idle()
    assert line.results() == [(first, "completed")]
    assert line.queue() == [after]


@talk
def executing_items(line: Line) -> None:
    queued = line.add("quick")
    line.mark()
    done = line.ok("queue_item_execute", item=plan("count", args=[["det"]]))
    uid = done["item"]["item_uid"]
    assert done["qsize"] == 1
    assert (done["item"]["user"], done["item"]["user_group"]) == (line.user, line.user_group)
    line.idle()
    assert line.states() in WORK
    assert line.results() == [(uid, "completed")]
    failed = line.ok("queue_item_execute", item=plan("failing_plan", args=[["det"]]))["item"]["item_uid"]
    line.idle()
    assert line.results()[1:] == [(failed, "failed")]
    line.ok("queue_item_execute", item=STOP)
    line.idle()
    assert line.queue() == [queued]
    begin = "Failed to start execution of the item: "
    for item, text in (
        (plan("flight"), "Plan 'flight' is not in the list of allowed plans."),
        ({"item_type": "scan"}, "unsupported 'item_type' value: 'scan'"),
        (5, "incorrect type ('int') of item parameter"),
    ):
        line.refused(begin, "queue_item_execute", item=item)
        line.refused(text, "queue_item_execute", item=item)
    line.denied("request contains no item info", "queue_item_execute", line.identity("queue_item_execute"))
    assert [status for _, status in line.results()] == ["completed", "failed"]


@talk
def autostart(line: Line) -> None:
    first = line.add("quick")
    line.ok("queue_autostart", enable=True)
    line.wait(lambda status: status["items_in_history"] == 1 and status["manager_state"] == "idle", "the first plan to end")
    second = line.add("count", ["det"])
    line.wait(lambda status: status["items_in_history"] == 2 and status["manager_state"] == "idle", "the second plan to end")
    status = line.status()
    assert status["queue_autostart_enabled"]
    assert line.results() == [(first, "completed"), (second, "completed")]
    line.refused("Error: ", "queue_autostart", enable="yes")
    line.refused("Error: ", "queue_autostart")
    line.ok("queue_item_add_batch", items=[plan(), STOP, plan()])
    line.wait(lambda status: not status["queue_autostart_enabled"] and status["manager_state"] == "idle", "the instruction")
    assert len(line.queue()) == 1
    line.ok("queue_autostart", enable=False)
    line.ok("queue_autostart", enable=False)


@talk
def autostart_ends_with_a_failure(line: Line) -> None:
    line.ok("queue_autostart", enable=True)
    line.ok("queue_item_add", item=plan("failing_plan", args=[["det"]]))
    line.wait(lambda status: not status["queue_autostart_enabled"] and status["manager_state"] == "idle", "the failure")
    assert [status for _, status in line.results()] == ["failed"]
    assert len(line.queue()) == 1


@talk
def interrupting_a_plan(line: Line) -> None:
    uid = start_long(line)
    begin = "Failed to interrupt IPython kernel: "
    line.refused(begin + "Not allowed to interrupt running plan", "kernel_interrupt")
    line.refused(begin + "Not allowed to interrupt running plan", "kernel_interrupt", interrupt_task=True)
    line.ok("kernel_interrupt", interrupt_plan=True)
    line.paused()
    line.ok("re_stop")
    line.idle()
    assert line.results() == [(uid, "stopped")]
    line.ok("kernel_interrupt")  # an idle kernel minds nothing


@talk
def ending_as_the_first_version_did(line: Line) -> None:
    for method, status in (("re_stop", "stopped"), ("re_abort", "aborted"), ("re_halt", "halted")):
        uid = start_long(line)
        pause(line)
        line.ok(method, keep_first=True)
        line.idle()
        assert line.results() == [(uid, status)]
        assert [item["name"] for item in line.ok("queue_get")["items"]] == ["long_count"]
        line.ok("queue_clear")
        line.ok("history_clear")
