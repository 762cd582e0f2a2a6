"""Named cases: a worker that is stopped and goes on, one that was exchanged, and requests that come when all is as wished."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from casehall import OPTIONS, Case, wait_closed, wait_paused
from harness import Server, freeze, until

MakeServer = Callable[..., Server]


def unreachable(status: dict[str, Any]) -> Any:
    """Why the worker does not answer; None if it does."""
    return status["environment_unreachable"]


def check_stopped_worker(server: Server, tmp_path: Path, *, rest: float) -> None:
    """SIGSTOP in a plan, that many seconds of silence, SIGCONT: it is told and it goes, and nothing else happens."""
    server.start()
    server.open()
    plan, second = Case(server, tmp_path, "hold").started(), Case(server, tmp_path, "brief")
    worker, manager, watchdog = server.worker, server.manager, server.watchdog
    lists = (server.ok("plans_allowed", user_group="primary"), server.ok("devices_allowed", user_group="primary"))
    freeze(worker)
    try:
        reason = unreachable(server.wait_for(unreachable, "the silence of the worker to be told"))
        assert "SIGCONT" in reason
        assert str(worker) in reason
        for method in ("re_pause", "script_upload"):
            params = {"script": "x = 1", "run_in_background": True} if method == "script_upload" else {}
            reply = server.refused(method, **params)
            assert reply["error"]["code"] == "worker_unreachable"
        assert server.status()["manager_state"] == "executing_queue"
        third = Case(server, tmp_path, "brief")
        with pytest.raises(AssertionError):  # nothing changes meanwhile
            server.wait_for(lambda status: not unreachable(status) or status["items_in_history"], "any change", rest)
    finally:
        os.kill(worker, signal.SIGCONT)
    server.wait_for(lambda status: not unreachable(status), "the worker to be heard again")
    server.ok("re_pause", option="immediate")
    wait_paused(server)
    server.ok("re_resume")
    plan.go()
    server.wait_for(lambda status: status["items_in_history"] == 3, "all plans to end")
    assert [item["item_uid"] for item in server.history()] == [plan.uid, second.uid, third.uid]
    assert plan.lines == ["begin", "end", "cleanup"]
    assert (server.worker, server.manager, server.watchdog) == (worker, manager, watchdog)
    assert (server.ok("plans_allowed", user_group="primary"), server.ok("devices_allowed", user_group="primary")) == lists
    server.wait_state("idle")
    server.stop()


def test_stopped_worker(new_server: MakeServer, tmp_path: Path) -> None:
    check_stopped_worker(new_server(*OPTIONS), tmp_path, rest=3.0)


@pytest.mark.long
def test_worker_stopped_for_a_minute(new_server: MakeServer, tmp_path: Path) -> None:
    """With the limits as they are for users."""
    check_stopped_worker(new_server(*OPTIONS[:4]), tmp_path, rest=60.0)


def test_what_a_stopped_worker_was_told_is_not_done_later(new_server: MakeServer, tmp_path: Path) -> None:
    """A pause that nobody could hear in time was refused; when the worker goes on it must not pause all the same."""
    server = new_server(*OPTIONS[:4], "--worker-silence-limit", "600")
    server.start()
    server.open()
    plan, second = Case(server, tmp_path, "hold").started(), Case(server, tmp_path, "brief")
    worker = server.worker
    freeze(worker)
    try:
        server.call("re_pause", option="immediate")  # the answer does not wait for the worker as long as the manager does
        server.wait_for(lambda status: not status["pause_pending"], "the manager to give up")
    finally:
        os.kill(worker, signal.SIGCONT)
    plan.go()
    server.wait_for(lambda status: status["items_in_history"] == 2, "both plans to end")
    assert [item["item_uid"] for item in server.history()] == [plan.uid, second.uid]
    assert [item["result"]["ending"] for item in server.history()] == ["completed", "completed"]
    server.wait_state("idle")
    server.stop()


def test_environment_opened_anew(new_server: MakeServer, tmp_path: Path) -> None:
    """Whoever holds the old one sees it by the id, in the status and on the event stream; a guarded order is refused."""
    server = new_server(*OPTIONS)
    server.start()
    server.open()
    first = server.status()["environment_id"]
    server.ok("environment_close")
    assert wait_closed(server)["environment_id"] == first
    server.open()
    second = server.status()["environment_id"]
    assert second not in (None, first)
    server.events.wait(
        lambda _: (
            {message["status"]["environment_id"] for message in server.events.log if "status" in message} >= {first, second}
        ),
        "both ids on the event stream",
    )
    plan = Case(server, tmp_path, "hold").started()
    server.ok("re_pause", option="immediate")
    wait_paused(server)
    for method in ("re_resume", "re_stop", "re_abort", "re_halt", "re_pause", "environment_close", "environment_destroy"):
        reply = server.refused(method, environment_id=first)
        assert reply["error"]["code"] == "other_environment"
        assert reply["error"]["path"] == "environment_id"
    assert server.status()["manager_state"] == "paused"
    server.ok("re_resume", environment_id=second)
    plan.go()
    server.wait_state("idle")
    reply = server.refused("script_upload", script="x = 1", environment_id=first)
    assert reply["error"]["code"] == "other_environment"
    server.ok("environment_close", environment_id=second)
    wait_closed(server)
    server.stop()


def test_requests_when_it_is_so_already(new_server: MakeServer, tmp_path: Path) -> None:
    """Opened, started, stopped, paused, destroyed twice: the forms of the interface, and a reply that says what is the case."""
    server = new_server(*OPTIONS)
    server.start()

    def refused(method: str, code: str, words: str, **params: Any) -> None:
        def changes_nothing() -> bool:
            before = server.status()
            reply = server.refused(method, **params)
            assert reply["error"]["code"] == code, reply
            assert words in reply["msg"], reply
            return server.status() == before

        until(changes_nothing, f"a refusal of {method} beside which nothing changes")  # the worker's reports may come meanwhile

    refused("environment_close", "no_environment", "does not exist")
    refused("environment_destroy", "no_environment", "does not exist")
    refused("queue_start", "no_environment", "does not exist")
    with server.pipeline() as socket:  # both are there before any worker
        for _ in range(2):
            socket.send_multipart([b"", b'{"method": "environment_open", "params": {}}'])
        opened, again = (json.loads(socket.recv_multipart()[1]) for _ in range(2))
    assert opened["success"]
    assert again["error"]["code"] == "wrong_state"
    assert "already in the process of creating" in again["msg"]
    server.wait_for(lambda status: status["worker_environment_state"] == "idle", "the environment to open", 30.0)
    refused("environment_open", "environment_exists", "already exists")
    refused("queue_stop", "wrong_state", "Queue is not running")
    refused("re_resume", "not_paused", "idle")
    refused("re_pause", "wrong_state", "Current state: 'idle'")
    plan = Case(server, tmp_path, "hold").started()
    refused("queue_start", "busy", "busy")
    refused("environment_open", "environment_exists", "already exists")
    refused("environment_close", "queue_running", "in progress")
    refused("re_resume", "not_paused", "executing_queue")
    for _ in range(2):
        server.ok("queue_stop")
    for _ in range(2):
        server.ok("queue_stop_cancel")
    server.ok("re_pause", option="immediate")
    reply = server.call("re_pause", option="immediate")
    assert reply["success"] or reply["error"]["code"] == "wrong_state"
    wait_paused(server)
    refused("re_pause", "wrong_state", "paused")
    refused("queue_start", "busy", "busy")
    server.ok("re_resume")
    refused("re_resume", "not_paused", "executing_queue")
    until(lambda: server.status()["re_state"] == "running", "the plan to go on")
    for _ in range(2):
        reply = server.call("environment_destroy")
        assert reply["success"] or reply["error"]["code"] == "no_environment"
    wait_closed(server)
    assert [item["result"]["ending"] for item in server.history()] == ["interrupted"]
    assert plan.lines == ["begin"]
    refused("environment_destroy", "no_environment", "does not exist")
    server.stop()
