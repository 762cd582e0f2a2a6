"""Conversations about scripts and functions in the environment."""

from __future__ import annotations

from line import BROKEN_SCRIPT, Line
from talks import NOBODY, talk
from talks_running import start_long


def call(name: str, *args: object, **more: object) -> dict[str, object]:
    """A function item."""
    return {"item_type": "function", "name": name, "args": list(args)} | more


@talk
def functions(line: Line) -> None:
    line.mark()
    known = line.status()["task_results_uid"]
    done = line.ok("function_execute", item=call("double", 21))
    assert done["item"].keys() == {"name", "args", "kwargs", "user", "user_group", "item_uid"}
    assert (done["item"]["kwargs"], done["item"]["item_uid"]) == ({}, done["task_uid"])
    result = line.finished(done["task_uid"])
    assert line.states() == ["idle", "executing_task", "idle"]
    assert result.keys() == {"task_uid", "success", "msg", "traceback", "return_value", "time_start", "time_stop"}
    assert (result["success"], result["msg"], result["return_value"]) == (True, "", 42)
    assert line.status()["task_results_uid"] != known
    for name, text in (("broken", "simulated mistake"), ("nowhere", "is not found in the worker namespace")):
        failed = line.finished(line.ok("function_execute", item=call(name))["task_uid"])
        assert (failed["success"], failed["return_value"]) == (False, None)
        assert failed["msg"].startswith("Error occurred while executing 'Execute function': ")
        assert text in failed["msg"]
    background = line.ok("function_execute", item=call("double", 21), run_in_background=True)
    assert line.finished(background["task_uid"])["return_value"] == 42


@talk
def functions_that_are_wrong(line: Line) -> None:
    for item, text in (
        ("double", "incorrect type ('str') of item parameter"),
        ({"item_type": "plan", "name": "quick"}, "unsupported 'item_type' value: 'plan'"),
        (call("_hidden"), "Function '_hidden' is not allowed for users from 'primary' group."),
        ({"item_type": "function"}, "'name'"),
        (call("double", args={}), "'args' must be a list"),
        (call("double", kwargs=[]), "'kwargs' must be a dictionary"),
    ):
        refused = line.refused("Error: ", "function_execute", item=item)
        line.refused(text, "function_execute", item=item)
        assert "http_status" in refused or refused["task_uid"] is None
    line.denied("request contains no item info", "function_execute", line.identity("function_execute"))


@talk
def scripts(line: Line) -> None:
    line.mark()
    task = line.ok("script_upload", script="def written_later():\n    return 1\n")["task_uid"]
    result = line.finished(task)
    assert line.states() == ["idle", "executing_task", "idle"]
    assert (result["success"], result["return_value"]) == (True, None)
    failed = line.finished(line.ok("script_upload", script=BROKEN_SCRIPT, update_lists=False)["task_uid"])
    assert not failed["success"]
    assert failed["msg"].startswith("Error occurred while executing 'Load script': Failed to execute stript: ")
    assert failed["traceback"]
    background = line.ok("script_upload", script="1 + 1", update_lists=False, update_re=False, run_in_background=True)
    assert line.finished(background["task_uid"])["success"]
    for params, text in (
        ({}, "Error: Required 'script' parameter is is missing in API call."),
        ({"script": 5}, "Error: Type of the 'script' parameter in API call is incorrect."),
    ):
        assert line.refused(text, "script_upload", **params)["task_uid"] is None


@talk
def looking_through_the_namespace(line: Line) -> None:
    known = line.status()["plans_existing_uid"]
    for background in (False, True):
        task = line.ok("environment_update", run_in_background=background)["task_uid"]
        assert line.finished(task)["success"]
    assert line.status()["plans_existing_uid"] == known  # nothing has changed there


@talk
def a_task_that_takes_its_time(line: Line) -> None:
    go = line.go_file()
    task = line.ok("function_execute", item=call("linger", go))["task_uid"]
    status = line.status()
    assert (status["manager_state"], status["worker_environment_state"]) == ("executing_task", "executing_task")
    shown = line.ok("task_result", task_uid=task)
    assert (shown["status"], shown["result"].keys()) == ("running", {"task_uid", "time_start", "run_in_background"})
    must_be_idle = "Failed to start the task: RE Manager must be in idle state. Current state: 'executing_task'"
    line.refused(must_be_idle, "script_upload", script="1")
    line.refused(must_be_idle, "environment_update")
    refused = line.refused(f"Error: {must_be_idle}", "function_execute", item=call("double", 1))
    assert refused["item"]["item_type"] == "function"
    line.refused("RE Manager is busy.", "queue_start")
    line.refused("Foreground task execution is in progress.", "environment_close")
    line.refused("Failed to interrupt IPython kernel: Not allowed to interrupt running task", "kernel_interrupt")
    other = line.ok("function_execute", item=call("double", 21), run_in_background=True)["task_uid"]
    assert line.finished(other)["success"]
    assert line.ok("task_status", task_uid=[task, other, NOBODY])["status"] == {
        task: "running",
        other: "completed",
        NOBODY: "not_found",
    }
    line.let_go(go)
    line.idle()
    assert line.finished(task)["success"]


@talk
def a_task_beside_a_plan(line: Line) -> None:
    go = line.go_file()
    plan = start_long(line)
    task = line.ok("function_execute", item=call("linger", go), run_in_background=True)["task_uid"]
    assert line.status()["worker_background_tasks"] == 1
    line.refused("RE Manager must be in idle state. Current state: 'executing_queue'", "script_upload", script="1")
    line.let_go(go)
    line.wait(lambda status: status["worker_background_tasks"] == 0, "the task to end")
    assert line.finished(task)["success"]
    line.ok("re_pause", option="immediate")
    line.paused()
    line.ok("re_stop")
    line.idle()
    assert line.results() == [(plan, "stopped")]


@talk
def asking_for_tasks(line: Line) -> None:
    assert line.ok("task_status", task_uid=NOBODY)["status"] == "not_found"
    assert line.ok("task_status", task_uid=[])["status"] == {}
    assert line.ok("task_result", task_uid=NOBODY)["result"] == {}
    for uid in (5, None, {}):
        line.refused("Error: ", "task_status", task_uid=uid)
        line.refused("Error: ", "task_result", task_uid=uid)
    line.refused("Error: ", "task_status")
    line.refused("Error: Required 'task_uid' parameter is missing in the API call.", "task_result")
