"""Beginning and end of a server: a second start, stopping, signals, and a store that is away for a while."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import PROGRAM, Held, Server, is_process, kill, until, wait_dead

from jupyter_queueserver.core.codec import from_json

MakeHeld = Callable[[str], Held]
MakeServer = Callable[..., Server]


def listing(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below it with inode, size and time of the last change (ns), but for the journal: the relay works there."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if "journal" in path.parts:
            continue
        entry = path.lstat()
        found[str(path.relative_to(directory))] = (entry.st_ino, entry.st_size, entry.st_mtime_ns)
    return found


def second_start(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    """Run another `start-re-manager` on the same data directory."""
    command = [*PROGRAM, "start-re-manager", "--private", "--data-dir", str(server.data_dir), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_second_start_refuses(new_server: MakeServer) -> None:
    """At once, with the owner's name and an error status, and without a trace.

    (A watchdog that a manager made for itself is another matter: it gives way to the user's.)
    """
    server = new_server()
    server.start()
    until(lambda: server.runtime().watchdog, "runtime.json to name the watchdog")
    manager, watchdog = server.manager, server.watchdog
    before = listing(server.data_dir)
    done = second_start(server)
    assert listing(server.data_dir) == before
    assert done.returncode == 1
    assert f"process {watchdog}" in done.stderr
    assert server.instance.control_address in done.stderr
    assert "already in use" in done.stderr
    assert (server.manager, server.watchdog) == (manager, watchdog)
    server.stop()


def test_second_detached_start_joins(server: Server) -> None:
    """With ``--detach`` a server is wanted and there is one: it is named, nothing is started."""
    before, epoch = set(server.processes()), server.runtime().epoch
    done = second_start(server, "--detach")
    assert done.returncode == 0
    assert epoch in done.stdout
    assert set(server.processes()) == before


def test_stop_when_idle_only(server: Server, held: MakeHeld) -> None:
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    assert "safe_on" in server.refused("manager_stop")["msg"]
    assert "safe_on" in server.refused("manager_stop", option="safe_on")["msg"]
    plan.go()
    server.wait_state("idle")
    assert plan.ran_once


def test_safe_stop_of_an_idle_server(new_server: MakeServer) -> None:
    server = new_server()
    server.start()
    server.ok("manager_stop")
    server.check_gone()
    assert server.instance.stopped_mark.exists()


def test_nothing_is_accepted_behind_a_stop(server: Server, held: MakeHeld) -> None:
    """Sent back to back, without waiting for the answer: a start that succeeds and is killed at once would be a lie."""
    plan = held("plan")
    with server.pipeline() as socket:
        for method in ("manager_stop", "queue_start", "queue_clear", "status"):
            socket.send_multipart([b"", b'{"method": "%s"}' % method.encode()])
        replies = []
        for _ in range(4):
            assert socket.poll(5000)
            replies.append(from_json(socket.recv_multipart()[-1]))
    told = [reply["error"]["code"] for reply in replies if "error" in reply]
    assert told == ["manager_ending"] * 2
    server.check_gone()
    assert plan.lines == []
    server.start()
    assert [item["item_uid"] for item in server.queue()] == [plan.uid]
    assert server.history() == []


def test_forced_stop_in_a_plan(server: Server, held: MakeHeld) -> None:
    """The plan is lost, told so, and back in the queue at the next start."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    server.stop()
    assert plan.lines == ["begin"]
    server.start()
    (item,) = server.history()
    assert (item["result"]["exit_status"], item["result"]["ending"]) == ("failed", "interrupted")
    assert item["result"]["msg"] == "RE Worker environment was destroyed"
    (back,) = server.queue()
    assert back["item_uid"] != plan.uid
    status = server.status()
    assert (status["manager_state"], status["worker_environment_state"]) == ("idle", "closed")
    assert status["environment_failure"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_an_idle_server(new_server: MakeServer, number: signal.Signals) -> None:
    server = new_server()
    server.start()
    os.kill(server.watchdog, number)
    server.check_gone()


def test_signal_while_a_plan_runs(server: Server, held: MakeHeld) -> None:
    """Ctrl-C on `start-re-manager`: it ends alone, says how to come back, and another watches on."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    manager, watchdog = server.manager, server.watchdog
    os.kill(watchdog, signal.SIGINT)
    wait_dead(watchdog)
    said = (server.instance.logs / "watchdog.log").read_text()
    assert "manager and worker stay" in said
    assert "start-re-manager --data-dir" in said
    assert "manager stop safe off" in said
    assert is_process(manager)
    server.wait_watchdog(watchdog)
    plan.go()
    server.wait_state("idle")
    assert plan.ran_once
    assert server.manager == manager


@contextmanager
def locked_store(server: Server) -> Iterator[None]:
    """Another program holds the write lock of the SQLite file: no commit succeeds."""
    connection = sqlite3.connect(server.instance.store, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def brief_status(server: Server) -> list[object]:
    """What may change only together with the store."""
    status = server.status()
    names = ("manager_state", "items_in_queue", "items_in_history", "running_item_uid", "plan_queue_uid", "plan_history_uid")
    return [status[name] for name in names]


def test_store_that_is_away(server: Server, held: MakeHeld) -> None:
    """Calls are refused and change nothing, reads are answered, the plan's end waits and is applied when the store is back."""
    plan, second = held("plan"), held("second")
    server.ok("queue_start")
    plan.wait("begin")
    replies = []
    with locked_store(server):
        before = brief_status(server)
        adding = threading.Thread(target=lambda: replies.append(server.call("queue_clear")))
        adding.start()
        plan.go()
        plan.wait("cleanup")
        assert brief_status(server) == before
        adding.join()
        assert brief_status(server) == before
        assert len(server.queue()) == 1
        assert second.lines == []
    assert replies[0]["success"] is False
    assert replies[0]["error"]["code"] == "store_unavailable"
    second.wait("begin")
    assert server.history()[0]["result"]["ending"] == "completed"
    second.go()
    server.wait_state("idle")
    assert plan.ran_once
    assert second.ran_once


def test_a_plan_can_be_paused_and_ended_without_the_store(server: Server, held: MakeHeld) -> None:
    """What a person needs when something goes wrong must not wait for a disk."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    with locked_store(server):
        assert not server.call("queue_clear")["success"]
        assert server.status()["store_failure"]
        server.call("re_pause", option="immediate")
        server.wait_state("paused")
        server.call("re_abort")
        plan.wait("cleanup")
    server.wait_state("idle")
    assert server.history()[0]["result"]["ending"] == "aborted"
    server.wait_for(lambda status: status["store_failure"] is None, "the store to be back")


def test_blocked_manager_is_replaced(server: Server, held: MakeHeld) -> None:
    """SIGSTOP: after 5 s of silence the watchdog kills it for good and starts another; the plan goes on."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    old = server.manager
    os.kill(old, signal.SIGSTOP)
    wait_dead(old)
    until(lambda: server.manager != old, "another manager")
    assert server.status()["running_item_uid"] == plan.uid
    plan.go()
    server.wait_state("idle")
    assert plan.ran_once
    assert [item["item_uid"] for item in server.history()] == [plan.uid]


def relays(server: Server) -> list[int]:
    """pids of the relay processes."""
    return [pid for pid, command in server.processes().items() if "jupyter_queueserver.documents" in command]


def test_dead_relay_is_replaced(server: Server, held: MakeHeld) -> None:
    """At once; the plan does not notice."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    (relay,) = relays(server)
    kill(relay)
    until(lambda: set(relays(server)) - {relay}, "another relay")
    plan.go()
    server.wait_state("idle")
    assert plan.ran_once
