"""Conversations about the environment: opening, closing, and losing it in the middle of a plan."""

from __future__ import annotations

from line import Line
from talks import plan, talk
from talks_running import start_long

NO_ENVIRONMENT = "RE Worker environment does not exist."


@talk
def closing_and_opening(line: Line) -> None:
    queued = line.add("quick")
    status = line.status()
    assert (status["worker_environment_state"], status["re_state"], status["ip_kernel_state"]) == ("idle", "idle", "idle")
    line.refused("RE Worker environment already exists.", "environment_open")
    line.mark()
    line.ok("environment_close")
    status = line.idle()
    assert line.states() == ["idle", "closing_environment", "idle"]
    names = ("worker_environment_exists", "worker_environment_state", "re_state", "ip_kernel_state", "ip_kernel_captured")
    assert [line.status()[name] for name in names] == [False, "closed", None, None, None]
    assert line.queue() == [queued]
    _without_environment(line)
    known = line.peek("status")
    line.mark()
    line.ok("environment_open")
    status = line.idle()
    assert line.states() == ["idle", "creating_environment", "idle"]
    assert status["worker_environment_exists"]
    assert line.peek("status")["devices_existing_uid"] == known["devices_existing_uid"]  # nothing has changed there


def _without_environment(line: Line) -> None:
    line.refused(NO_ENVIRONMENT, "environment_close")
    line.refused("RE environment does not exist", "environment_destroy")
    line.refused(NO_ENVIRONMENT, "queue_start")
    refused = line.refused(f"Failed to start execution of the item: {NO_ENVIRONMENT}", "queue_item_execute", item=plan())
    assert (refused["qsize"], refused["item"]["user"]) == (None, line.user)
    line.refused("Environment does not exist. Can not pause Run Engine.", "re_pause")
    line.refused("RE Manager is not paused: current state is 'idle'", "re_resume")
    for method, params in (("script_upload", {"script": "1"}), ("environment_update", {})):
        assert line.refused("RE Worker environment is not open", method, **params)["task_uid"] is None
    call = {"item_type": "function", "name": "double", "args": [1]}
    line.refused("Error: RE Worker environment is not open", "function_execute", item=call)
    line.refused("Environment does not exist. Cannot retrieve RE metadata.", "re_metadata")
    line.refused("Failed to interrupt IPython kernel: Worker environment does not exist", "kernel_interrupt")
    assert line.ok("config_get")["config"] == {"ip_connect_info": {}}
    assert line.ok("re_runs")["run_list"] == []
    line.add("quick")  # the lists are still known


@talk
def destroying(line: Line) -> None:
    after = line.add("quick")
    uid = start_long(line)
    line.ok("queue_stop")
    line.mark()
    line.ok("environment_destroy")
    line.idle()
    assert line.states() == ["executing_queue", "destroying_environment", "idle"]
    status = line.status()
    assert not status["worker_environment_exists"]
    assert not status["queue_stop_pending"]
    assert not status["pause_pending"]
    assert line.ok("re_runs")["run_list"] == []
    assert line.results() == [(uid, "failed")]
    result = line.ok("history_get")["items"][0]["result"]
    assert (result["msg"], result["ending"]) == ("RE Worker environment was destroyed", "interrupted")
    queued = line.ok("queue_get")["items"]
    assert [item["name"] for item in queued] == ["long_count", "quick"]
    assert queued[0]["item_uid"] != uid
    assert queued[1]["item_uid"] == after


@talk
def naming_the_environment(line: Line) -> None:
    """Requests that name another environment than the present one are refused, and nothing happens."""
    present = line.status()["environment_id"]
    uid = start_long(line)
    text = "Environment 'the one before' does not exist any more"
    for method in ("environment_close", "environment_destroy", "re_pause", "re_resume", "re_stop", "re_abort", "re_halt"):
        reply = line.refused(text, method, environment_id="the one before")
        assert reply["error"]["code"] == "other_environment"
    line.refused(text, "environment_update", environment_id="the one before")
    line.refused(text, "kernel_interrupt", environment_id="the one before")
    line.refused(text, "script_upload", script="x = 1", environment_id="the one before")
    item = {"item_type": "function", "name": "double", "args": [2]}
    line.refused(text, "function_execute", item=item, environment_id="the one before")
    assert line.status()["running_item_uid"] == uid
    line.ok("re_pause", option="immediate", environment_id=present)
    line.paused()
    line.ok("re_abort", environment_id=present)
    line.idle()
