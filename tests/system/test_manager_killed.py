"""Case 0, 1 and 3: manager, watchdog or both are killed while a plan runs; nothing is lost and nothing runs twice."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import PATIENCE, Held, Server, freeze, is_process, kill, until
from jupyter_client.blocking.client import BlockingKernelClient

MakeHeld = Callable[[str], Held]


def fates(server: Server, item_uid: str) -> list[str]:
    """What the worker wrote down about an item, in order: accepted, taken, ended."""
    lines = server.environment.accepted.read_text().splitlines() if server.environment.accepted.exists() else []
    return [entry["fate"] for entry in map(json.loads, lines) if entry["uid"] == item_uid]


def wait_fate(server: Server, item_uid: str, fate: str) -> None:
    """Wait until the worker has written that down."""
    until(lambda: fate in fates(server, item_uid), f"the item to be {fate}")


def endings(server: Server) -> list[tuple[str, str, str]]:
    """(uid, exit status, ending) of the history."""
    return [(item["item_uid"], item["result"]["exit_status"], item["result"]["ending"]) for item in server.history()]


def kill_manager(server: Server) -> None:
    """SIGKILL the manager; returns when the next one answers."""
    kill(server.manager)
    server.status(timeout=PATIENCE)
    server.runtime()


@contextmanager
def foreign_client(server: Server) -> Iterator[BlockingKernelClient]:
    """An attached console of somebody else: knows the connection file and nothing more."""
    client = BlockingKernelClient(connection_file=server.environment.connection_file)
    client.load_connection_file()
    client.start_channels()
    try:
        yield client
    finally:
        client.stop_channels()


@contextmanager
def blocking_cell(server: Server, directory: Path) -> Iterator[Callable[[], None]]:
    """A cell that holds the worker's kernel until the yielded function is called."""
    begun, go = directory / "cell.begun", directory / "cell.go"
    code = f"import os, time\nopen({str(begun)!r}, 'w').close()\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    with foreign_client(server) as client:
        client.execute(code)
        until(begun.exists, "the cell to hold the kernel")
        try:
            yield go.touch
        finally:
            go.touch()


def check_once(server: Server, plan: Held) -> None:
    """Let the plan go and check that it has run once."""
    plan.go()
    server.wait_state("idle")
    assert plan.ran_once, plan.lines
    assert endings(server) == [(plan.uid, "completed", "completed")]
    assert fates(server, plan.uid) == ["accepted", "taken", "ended"]
    assert server.queue() == []


def test_killed_between_commit_and_accept(server: Server, held: MakeHeld) -> None:
    """The worker is stopped (SIGSTOP), so that the request to start reaches nobody before the manager dies."""
    plan, worker = held("plan"), server.worker
    freeze(worker)
    try:
        server.ok("queue_start")
        assert server.status()["running_item_uid"] == plan.uid
        kill_manager(server)
        assert fates(server, plan.uid) == []
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_fate(server, plan.uid, "taken")
    check_once(server, plan)


def test_killed_between_accept_and_take(server: Server, held: MakeHeld, tmp_path: Path) -> None:
    """A cell holds the kernel: the item is accepted, the doorbell has rung inside the worker, nobody takes it yet."""
    plan = held("plan")
    with blocking_cell(server, tmp_path) as let_go:
        server.ok("queue_start")
        wait_fate(server, plan.uid, "accepted")
        kill_manager(server)
        assert server.status()["running_item_uid"] == plan.uid
        assert fates(server, plan.uid) == ["accepted"]
        let_go()
        wait_fate(server, plan.uid, "taken")
    check_once(server, plan)


def test_killed_with_the_take(server: Server, held: MakeHeld, tmp_path: Path) -> None:
    """The manager dies at the moment when the main thread takes the item."""
    plan = held("plan")
    with blocking_cell(server, tmp_path) as let_go:
        server.ok("queue_start")
        wait_fate(server, plan.uid, "accepted")
        manager = server.manager
        let_go()
        wait_fate(server, plan.uid, "taken")
        kill(manager)
    check_once(server, plan)


def test_closing_while_a_cell_runs_is_refused(server: Server, tmp_path: Path) -> None:
    with blocking_cell(server, tmp_path) as let_go:
        error = server.refused("environment_close")
        assert error["msg"] == "Worker IPython kernel is busy"
        server.wait_for(lambda status: status["manager_state"] == "idle", "the closing to be taken back")
        assert server.status()["worker_environment_exists"]
        let_go()


@pytest.mark.parametrize("channel", ["control", "shell"])
@pytest.mark.parametrize("message", ["shutdown_request", "interrupt_request"])
def test_foreign_orders_are_refused(server: Server, held: MakeHeld, channel: str, message: str) -> None:
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    with foreign_client(server) as client:
        link = getattr(client, f"{channel}_channel")
        link.send(client.session.msg(message, {"restart": False}))
        if channel == "control":
            answer = link.get_msg(timeout=30)
            assert answer["content"]["status"] == "error"
            assert "manager" in answer["content"]["evalue"]
        plan.go()
        server.wait_state("idle")
    assert is_process(server.worker)
    assert plan.ran_once
    assert endings(server) == [(plan.uid, "completed", "completed")]


def test_plan_and_queue_go_on(server: Server, held: MakeHeld) -> None:
    first, second = held("first"), held("second")
    server.ok("queue_start")
    first.wait("begin")
    worker = server.worker
    kill_manager(server)
    status = server.status()
    assert (status["manager_state"], status["running_item_uid"]) == ("executing_queue", first.uid)
    first.go()
    second.wait("begin")
    assert server.wait_running(second.uid)["items_in_history"] == 1
    second.go()
    server.wait_state("idle")
    assert first.ran_once
    assert second.ran_once
    assert endings(server) == [(plan.uid, "completed", "completed") for plan in (first, second)]
    assert all(len(item["result"]["run_uids"]) == 1 for item in server.history())
    assert server.worker == worker


def test_killed_again_and_again(server: Server, held: MakeHeld) -> None:
    """Two managers die within one plan, the second before it has found the worker."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    for _ in range(2):
        server.wait_new_manager(kill_and_tell(server))
    check_once(server, plan)


def kill_and_tell(server: Server) -> int:
    """SIGKILL the manager; returns its pid."""
    manager = server.manager
    kill(manager)
    return manager


def test_paused_plan_is_found_paused(server: Server, held: MakeHeld) -> None:
    first, second = held("first"), held("second")
    server.ok("queue_start")
    first.wait("begin")
    server.ok("re_pause", option="immediate")
    server.wait_state("paused")
    kill_manager(server)
    status = server.status()
    assert (status["manager_state"], status["re_state"], status["running_item_uid"]) == ("paused", "paused", first.uid)
    server.ok("re_resume")
    server.wait_for(lambda status: status["re_state"] == "running", "the plan to go on")
    first.go()
    second.wait("begin")
    second.go()
    server.wait_state("idle")
    assert first.ran_once
    assert second.ran_once
    assert endings(server) == [(plan.uid, "completed", "completed") for plan in (first, second)]


def test_pause_asked_of_a_dead_manager_counts(server: Server, held: MakeHeld) -> None:
    """The plan is paused while nobody manages: the next manager finds it so."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    manager = server.manager
    server.ok("re_pause", option="immediate")
    kill(manager)
    server.wait_state("paused")
    server.ok("re_resume")
    check_once(server, plan)


def leave_alone(server: Server) -> None:
    """SIGKILL watchdog and manager."""
    kill(server.watchdog, server.manager)
    assert server.try_send(b"{}", timeout=0.1) is None


def test_plan_ends_while_nobody_is_there(server: Server, held: MakeHeld) -> None:
    first, second = held("first"), held("second")
    server.ok("queue_start")
    first.wait("begin")
    leave_alone(server)
    first.go()
    wait_fate(server, first.uid, "ended")
    server.start()
    second.wait("begin")
    assert endings(server) == [(first.uid, "completed", "completed")]
    (item,) = server.history()
    assert len(item["result"]["run_uids"]) == 1
    assert item["result"]["scan_ids"][0] > 0
    second.go()
    server.wait_state("idle")
    assert first.ran_once
    assert second.ran_once


def test_plan_and_worker_end_while_nobody_is_there(server: Server, held: MakeHeld) -> None:
    first, second = held("first"), held("second")
    server.ok("queue_start")
    first.wait("begin")
    leave_alone(server)
    first.go()
    wait_fate(server, first.uid, "ended")
    kill(server.worker)
    server.start()
    status = server.wait_for(lambda status: not status["worker_environment_exists"], "the environment to be closed")
    assert status["manager_state"] == "idle"
    assert status["environment_failure"]["msg"]
    assert endings(server) == [(first.uid, "completed", "completed")]
    assert first.ran_once
    assert [item["item_uid"] for item in server.queue()] == [second.uid]
    assert second.lines == []


def test_worker_dies_in_the_plan_while_nobody_is_there(server: Server, held: MakeHeld) -> None:
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    leave_alone(server)
    kill(server.worker)
    server.start()
    server.wait_for(lambda status: not status["worker_environment_exists"], "the environment to be closed")
    assert endings(server) == [(plan.uid, "failed", "interrupted")]
    assert len(server.history()[0]["result"]["run_uids"]) == 1
    (back,) = server.queue()
    assert back["item_uid"] != plan.uid
    assert back["result"]["ending"] == "interrupted"


def test_killed_watchdog_is_replaced(server: Server, held: MakeHeld) -> None:
    """Another watches soon, and does its duty: it restarts a killed manager at once."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    old, manager = server.watchdog, server.manager
    kill(old)
    new = server.wait_watchdog(old)
    assert server.manager == manager
    until(lambda: (watchdog := server.runtime().watchdog) and watchdog.pid == new, "runtime.json to name it")
    kill_manager(server)
    assert server.watchdog == new
    check_once(server, plan)


def test_what_was_set_while_it_ran_outlives_the_manager(server: Server) -> None:
    """Permissions, autostart, lock and queue mode: a restart is no fresh start."""
    before = server.ok("permissions_get")["user_group_permissions"]
    permissions = {"user_groups": {**before["user_groups"]}}
    permissions["user_groups"]["guests"] = {"allowed_plans": [":^count$"]}
    server.ok("permissions_set", user_group_permissions=permissions)
    server.ok("queue_autostart", enable=True)
    server.ok("queue_mode_set", mode={"ignore_failures": True})
    server.ok("lock", lock_key="key", user="ada", queue=True)
    uid = server.status()["lock_info_uid"]
    manager = server.manager
    kill(manager)
    server.wait_new_manager(manager)
    assert server.ok("permissions_get")["user_group_permissions"] == permissions
    status = server.status()
    assert status["queue_autostart_enabled"] is True
    assert status["plan_queue_mode"] == {"loop": False, "ignore_failures": True}
    assert (status["lock"]["queue"], status["lock_info_uid"]) == (True, uid)
    server.ok("unlock", lock_key="key")
    server.ok("queue_autostart", enable=False)
    server.ok("queue_mode_set", mode="default")
    server.ok("permissions_set", user_group_permissions=before)
