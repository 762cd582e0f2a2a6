"""Tasks over the real sockets: results, the death of the manager meanwhile, and what a closing or dying worker does to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import PATIENCE, Held, Server, kill, until

pytestmark = pytest.mark.timeout(120)

ME = {"user": "tester", "user_group": "primary"}


def upload(server: Server, text: str, **more: Any) -> str:
    """Start a script; returns the task's uid."""
    return server.ok("script_upload", script=text, **more)["task_uid"]


def result(server: Server, task_uid: str) -> dict[str, Any]:
    """Wait for the end of a task."""

    def look() -> dict[str, Any] | None:
        reply = server.ok("task_result", task_uid=task_uid)
        return reply["result"] if reply["status"] == "completed" else None

    return until(look, f"the end of task {task_uid}")


def status_of(server: Server, task_uid: str) -> str:
    return server.ok("task_status", task_uid=task_uid)["status"]


def wait(go: Path, trace: Path) -> str:
    """A script that notes that it has begun, waits for a file and notes that it has ended."""
    return (
        "import os, time\n"
        f"_note({str(trace)!r}, 'begin')\n"
        f"while not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\n"
        f"_note({str(trace)!r}, 'end')\n"
    )


def lines(trace: Path) -> list[str]:
    return trace.read_text().split() if trace.exists() else []


def test_a_script_a_function_and_what_they_change(server: Server) -> None:
    before = server.status()
    uid = upload(
        server, "def measured(a, *, b=1):\n    print('measured', a)\n    return a, b\n\ndef added(num: int = 1): yield\n"
    )
    done = result(server, uid)
    assert (done["task_uid"], done["success"], done["msg"], done["traceback"], done["return_value"]) == (uid, True, "", "", None)
    assert time.time() - 60 < done["time_start"] <= done["time_stop"] <= time.time()
    after = server.wait_state("idle")
    for part in ("plans_existing_uid", "plans_allowed_uid", "task_results_uid"):
        assert after[part] != before[part]
    assert after["devices_existing_uid"] == before["devices_existing_uid"]
    assert "added" in server.ok("plans_allowed", user_group="primary")["plans_allowed"]
    call = {"item_type": "function", "name": "measured", "args": [1.5], "kwargs": {"b": [None]}, "surplus": 1}
    reply = server.ok("function_execute", item=call, **ME)
    uid = reply["task_uid"]
    assert reply["item"] == {"name": "measured", "args": [1.5], "kwargs": {"b": [None]}, **ME, "item_uid": uid}
    assert result(server, uid)["return_value"] == [1.5, [None]]
    assert server.events.wait(lambda message: "measured 1.5" in server.events.console(), "the function's output")
    assert server.ok("task_status", task_uid=[uid, "nobody"])["status"] == {uid: "completed", "nobody": "not_found"}
    assert server.ok("task_result", task_uid="nobody")["result"] == {}
    uid = server.ok("environment_update")["task_uid"]
    assert result(server, uid)["success"]
    server.events.find(lambda message: uid in str(message.get("changes")) and "task_finished" in str(message), "the task's end")
    published = str([message for message in server.events.log if message["kind"] == "changes"])
    assert "def measured" not in published


def test_a_foreground_task_occupies_the_manager(server: Server, tmp_path: Path) -> None:
    trace, go = tmp_path / "trace", tmp_path / "go"
    server.add("brief", trace=tmp_path / "plan")
    uid = upload(server, wait(go, trace))
    until(lambda: lines(trace), "the task to begin")
    status = server.status()
    assert status["manager_state"] == status["worker_environment_state"] == "executing_task"
    assert server.ok("task_result", task_uid=uid)["result"]["run_in_background"] is False
    assert "RE Manager is busy." in server.refused("queue_start")["msg"]
    text = "Failed to start the task: RE Manager must be in idle state. Current state: 'executing_task'"
    assert server.refused("script_upload", script="pass")["msg"] == text
    assert server.refused("environment_update")["msg"] == text
    refused = server.refused("function_execute", item={"item_type": "function", "name": "print"}, **ME)
    assert refused["msg"] == f"Error: {text}"
    assert refused["item"]["item_type"] == "function"
    assert refused["item"]["item_uid"]
    assert server.refused("environment_close")["msg"] == "Foreground task execution is in progress."
    beside = upload(server, "x = 1", run_in_background=True)
    assert result(server, beside)["success"]
    go.touch()
    assert result(server, uid)["success"]
    server.wait_state("idle")
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_history"] == 1, "the plan to end")
    assert lines(trace) == ["begin", "end"]


def test_an_interrupt_ends_a_task_and_pauses_a_plan(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server("--startup-dir", str(Path(__file__).parent / "startup"), "--saver", "none", "--use-ipython-kernel", "ON")
    server.start()
    text = "Failed to interrupt IPython kernel: Worker environment does not exist"
    assert server.refused("kernel_interrupt")["msg"] == text
    server.open()
    server.ok("kernel_interrupt")
    trace = tmp_path / "trace"
    uid = upload(server, wait(tmp_path / "never", trace))
    until(lambda: lines(trace), "the task to begin")
    refused = server.refused("kernel_interrupt", interrupt_plan=True)
    assert refused["msg"] == "Failed to interrupt IPython kernel: Not allowed to interrupt running task"
    server.ok("kernel_interrupt", interrupt_task=True)
    done = result(server, uid)
    assert not done["success"]
    assert "KeyboardInterrupt" in done["traceback"]
    assert lines(trace) == ["begin"]
    held = Held(server, tmp_path, "held")
    server.ok("queue_start")
    held.wait("begin")
    refused = server.refused("kernel_interrupt", interrupt_task=True)
    assert refused["msg"] == "Failed to interrupt IPython kernel: Not allowed to interrupt running plan"
    server.ok("kernel_interrupt", interrupt_plan=True)
    server.wait_state("paused")
    assert not server.status()["pause_pending"]
    server.ok("re_abort")
    server.wait_state("idle")
    server.stop()


def test_a_task_survives_the_manager_and_is_done_once(server: Server, tmp_path: Path) -> None:
    trace, go, kept = tmp_path / "trace", tmp_path / "go", tmp_path / "kept"
    early = upload(server, f"_note({str(kept)!r}, 'early')")
    value = result(server, early)
    uid = upload(server, wait(go, trace))
    beside = upload(server, wait(go, tmp_path / "beside"), run_in_background=True)
    until(lambda: lines(trace) and lines(tmp_path / "beside"), "both tasks to begin")
    old = server.manager
    kill(old)
    server.wait_new_manager(old)
    status = server.wait_for(lambda status: status["worker_environment_exists"], "the worker to be adopted")
    assert status["manager_state"] == "executing_task"
    assert status["worker_background_tasks"] == 1
    assert server.ok("task_result", task_uid=early)["result"] == value
    assert status_of(server, uid) == "running"
    old = server.manager
    kill(old)
    go.touch()
    until(lambda: "end" in lines(trace), "the task to end without a manager")
    server.wait_new_manager(old)
    assert result(server, uid)["success"]
    assert result(server, beside)["success"]
    server.wait_state("idle")
    assert lines(trace) == lines(tmp_path / "beside") == ["begin", "end"]
    assert lines(kept) == ["early"]


def test_closing_forgets_background_tasks_and_destroying_foreground_ones(server: Server, tmp_path: Path) -> None:
    never = tmp_path / "never"
    beside = upload(server, wait(never, tmp_path / "beside"), run_in_background=True)
    status = server.wait_for(lambda status: status["worker_background_tasks"] == 1, "the background task to be counted")
    assert status["manager_state"] == "idle"
    until(lambda: lines(tmp_path / "beside"), "the background task to begin")
    server.ok("environment_close")
    server.wait_for(lambda status: not status["worker_environment_exists"], "the environment to close", PATIENCE)
    assert status_of(server, beside) == "not_found"
    assert server.status()["worker_background_tasks"] == 0
    assert server.refused("script_upload", script="pass")["msg"] == "RE Worker environment is not open"
    assert server.refused("re_metadata")["msg"] == "Environment does not exist. Cannot retrieve RE metadata."
    server.open()
    uid = upload(server, wait(never, tmp_path / "trace"))
    until(lambda: lines(tmp_path / "trace"), "the task to begin")
    server.ok("environment_destroy")
    server.wait_for(lambda status: status["worker_environment_state"] == "closed", "the environment to go")
    assert server.status()["manager_state"] == "idle"
    assert status_of(server, uid) == "not_found"


def test_a_background_task_that_ends_while_the_worker_exits_tells_nothing_any_more(server: Server, tmp_path: Path) -> None:
    trace, go = tmp_path / "trace", tmp_path / "go"
    exits = (
        "import atexit, threading\n"
        "_me = threading.current_thread()\n"
        f"atexit.register(lambda: (open({str(go)!r}, 'w').close(), _me.join(5)))\n"
    )
    uid = upload(server, exits + wait(go, trace), run_in_background=True)
    until(lambda: lines(trace), "the task to begin")
    server.ok("environment_close")
    server.wait_for(lambda status: not status["worker_environment_exists"], "the environment to close", PATIENCE)
    assert lines(trace) == ["begin", "end"]
    assert status_of(server, uid) == "not_found"
    assert server.status()["worker_background_tasks"] == 0


def test_metadata_are_told_as_far_as_they_are_permitted(new_server: Callable[..., Server]) -> None:
    startup = str(Path(__file__).parent / "startup")
    server = new_server(
        "--startup-dir", startup, "--saver", "none", "--permitted-re-metadata-keys", "/sample/name", "/scan_id", "/bad"
    )
    server.start()
    server.open()
    result(server, upload(server, "RE.md['sample'] = {'name': 'Cu', 'secret': 1}; RE.md['scan_id'] = 7"))
    assert server.ok("re_metadata")["re_metadata"] == {"sample": {"name": "Cu"}, "scan_id": 7}
    result(server, upload(server, "RE.md['bad'] = {1}"))
    reply = server.refused("re_metadata")
    assert reply["msg"].startswith("Failed to serialize RE metadata with JSON: ")
    assert reply["re_metadata"] == {}
    result(server, upload(server, "del RE", update_re=True))
    assert server.refused("re_metadata")["msg"] == "Error: Run Engine is not found in the RE Worker environment."
    reply = server.refused("kernel_interrupt")
    assert reply["msg"].startswith("Failed to interrupt IPython kernel: RE Manager is not in IPython mode: ")
    server.stop()
