"""The store forgets its fence while a plan runs and nobody is there: still one worker, which is adopted, and its plan goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import redis_process
from harness import STARTUP, Held, Server, is_process, kill, until

#: Fence that a manager of the test has: the third life.
FENCE = 3


def raise_fence(server: Server) -> None:
    """Kill managers until the worker knows a higher fence than a new store gives."""
    while int(server.instance.fence_file.read_text()) < FENCE:
        kill(manager := server.manager)
        server.wait_new_manager(manager)
        server.wait_for(lambda status: status["worker_environment_exists"], "the worker to be adopted")


def begin_plan(server: Server, directory: Path) -> Held:
    plan = Held(server, directory, "plan")
    server.ok("queue_start")
    plan.wait("begin")
    return plan


def check_one_worker(server: Server, plan: Held, worker: int) -> None:
    """The worker of the plan is the only one; the plan ends."""
    server.wait_for(
        lambda status: status["re_state"] == "running" and status["environment_unreachable"] is None, "the worker to be adopted"
    )
    assert server.refused("environment_open")["error"]["code"] == "environment_exists"
    assert server.worker == worker
    plan.go()
    server.wait_for(lambda status: status["re_state"] == "idle", "the plan to end")
    assert plan.ran_once
    assert is_process(worker)


@pytest.mark.long
def test_sqlite_moved_away(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server()
    server.start()
    server.open()
    raise_fence(server)
    plan, worker = begin_plan(server, tmp_path), server.worker
    kill(server.watchdog, server.manager)
    (away := tmp_path / "away").mkdir()
    for path in server.data_dir.glob("queue.sqlite*"):
        path.rename(away / path.name)
    server.start()
    check_one_worker(server, plan, worker)
    server.stop()
    assert not is_process(worker)


@pytest.mark.long
def test_redis_emptied_while_the_manager_is_dead(new_server: Callable[..., Server], tmp_path: Path) -> None:
    with redis_process.redis_process() as redis:
        options = ("--store", redis.url, "--redis-name-prefix", tmp_path.name)
        server = new_server("--startup-dir", str(STARTUP), "--saver", "none", *options)
        server.start()
        server.open()
        raise_fence(server)
        plan, worker = begin_plan(server, tmp_path), server.worker
        kill(server.watchdog, server.manager)
        with redis.client() as client:
            client.flushall()
        server.start()
        check_one_worker(server, plan, worker)
        server.stop()
    assert not is_process(worker)


@pytest.mark.long
@pytest.mark.parametrize("end", ["environment_destroy", "manager_stop"])
def test_a_worker_that_obeys_nobody_is_told_and_can_be_ended(new_server: Callable[..., Server], tmp_path: Path, end: str) -> None:
    """Store and fence are both lost: the worker is named, none is opened beside it, and it can be ended."""
    server = new_server()
    server.start()
    server.open()
    raise_fence(server)
    plan, worker = begin_plan(server, tmp_path), server.worker
    kill(server.watchdog, server.manager)
    for path in (*server.data_dir.glob("queue.sqlite*"), server.instance.fence_file):
        path.unlink()
    server.start()
    refused = server.refused("environment_open")  # at once: whatever was found out by then
    assert refused["error"]["code"] == "worker_unreachable", json.dumps(refused)
    status = server.wait_for(lambda status: "replaced" in (status["environment_unreachable"] or ""), "the worker to be named")
    assert status["worker_environment_exists"]
    assert server.refused("environment_open")["error"]["code"] == "worker_unreachable"
    assert server.worker == worker
    if end == "environment_destroy":
        server.ok("environment_destroy")
        server.wait_for(lambda status: not status["worker_environment_exists"], "the environment to be closed")
        assert not is_process(worker)
        server.open()
    server.stop()
    assert not is_process(worker)
    assert plan.lines == ["begin"]
    until(lambda: not server.processes(), "no process to be left")
