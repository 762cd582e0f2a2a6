"""Backup and restore with a real manager, and a manager whose store is held by a stranger."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from harness import PROGRAM, Held, Server, until


def run(server: Server, *words: str) -> tuple[int, str]:
    """Run a command of `qserver`; returns its exit status and what it printed."""
    done = subprocess.run(
        [*PROGRAM, "qserver", "--data-dir", str(server.data_dir), *words], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def uids(items: list[dict]) -> list[str]:
    return [item["item_uid"] for item in items]


def kinds(path: Path) -> list[str]:
    return [next(iter(json.loads(line))) for line in path.read_text().splitlines()]


def test_backup_and_restore_while_the_manager_runs(server: Server, held: Callable[[str], Held], tmp_path: Path) -> None:
    for _ in range(3):
        server.add("brief", trace=tmp_path / "trace")
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_history"] == 3 and status["manager_state"] == "idle", "three plans to end")
    plan = held("plan")
    waiting = server.add("brief", trace=tmp_path / "later")
    server.ok("queue_start")
    server.wait_running(plan.uid)
    file = tmp_path / "backup.jsonl"
    assert run(server, "backup", str(file)) == (0, f"1 items of the queue and 3 entries of the history were written to {file}.\n")
    assert kinds(file)[3:] == ["running", "queue", "history", "history", "history", "end"]
    assert run(server, "backup", str(file))[0] == 1  # it exists

    status, told = run(server, "restore", str(file), "--replace")
    assert status == 1
    assert "A plan is running" in told
    server.ok("queue_stop")
    plan.go()
    server.wait_state("idle")
    assert plan.ran_once
    before = server.history()

    status, told = run(server, "restore", str(file))
    assert status == 1
    assert "1 items in the queue and 4 in the history" in told
    assert (uids(server.queue()), server.history()) == ([waiting], before)

    status, told = run(server, "restore", str(file), "--append")
    assert status == 0
    assert "5 were left out" in told  # the plan that was running then has ended: it is not run again
    assert (uids(server.queue()), server.history()) == ([waiting], before)

    server.ok("queue_clear")
    server.ok("history_clear")
    status, told = run(server, "restore", str(file))
    assert status == 0
    assert f"Item {plan.uid} was running when the backup was made" in told
    assert uids(server.queue()) == [plan.uid, waiting]
    assert server.queue()[0]["returned"]["confirmed"] is False
    assert server.history() == before[:3]
    assert server.status()["manager_state"] == "idle"


def test_backup_restore_and_start_without_a_manager(new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server()
    server.start()
    added = [server.add("brief", trace=tmp_path / "trace") for _ in range(3)]
    live, offline = tmp_path / "live.jsonl", tmp_path / "offline.jsonl"
    assert run(server, "backup", str(live))[0] == 0
    server.stop()
    assert run(server, "backup", str(offline))[0] == 0
    assert live.read_text().splitlines()[1:-1] == offline.read_text().splitlines()[1:-1]
    (server.data_dir / "queue.sqlite").unlink()
    assert run(server, "restore", str(offline))[0] == 0
    assert run(server, "recover") == (0, f"The store {server.data_dir}/queue.sqlite is sound; nothing was done.\n")
    server.start()
    assert uids(server.queue()) == added
    status, told = run(server, "recover")
    assert status == 1
    assert "qserver manager stop" in told
    server.stop()


def test_a_stranger_holds_the_store_and_the_manager_goes_on_afterwards(server: Server, held: Callable[[str], Held]) -> None:
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    log = server.instance.logs / "manager.log"
    earlier = len(log.read_text())
    server.wait_for(lambda status: status["running_item_uid"] == plan.uid, "the plan to run")
    with closing(sqlite3.connect(server.instance.store, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        reply = server.call("queue_clear")
        assert not reply["success"]
        assert reply["error"]["code"] == "store_unavailable"
        assert "process" in reply["error"]["hint"]
        status = server.status()  # answered all the same
        assert "locked" in status["store_failure"]
        message = server.events.wait(lambda message: message.get("status", {}).get("store_failure"), "the failure to be told")
        assert "locked" in message["status"]["store_failure"]
        plan.go()  # its end cannot be written down yet
        until(lambda: "cleanup" in plan.lines, "the plan's end")
        for _ in range(5):
            server.call("queue_clear")
        assert server.status()["running_item_uid"] == plan.uid
        stranger.execute("ROLLBACK")
    server.wait_for(lambda status: status["items_in_history"] == 1 and not status["store_failure"], "the end to be on record")
    assert plan.ran_once
    told = log.read_text()[earlier:]
    assert told.count("The store takes no changes") == told.count("The store takes changes again") == 1


def test_entries_that_are_not_in_memory_are_known_all_the_same(server: Server) -> None:
    entries = [{"item_uid": f"h{n}", "item_type": "plan", "name": "count"} for n in range(450)]
    server.ok("queue_restore", items=[], history=entries)
    again = [{"item_uid": uid, "item_type": "plan", "name": "count"} for uid in ("h0", "new")]
    reply = server.ok("queue_restore", items=again, how="append")
    assert (reply["restored_items"], reply["left_out_uids"]) == (1, ["h0"])
    reply = server.ok("queue_restore", items=again, how="replace")
    assert (reply["restored_items"], reply["left_out"]) == (2, 0)
    assert (uids(server.queue()), server.history()) == (["h0", "new"], [])
