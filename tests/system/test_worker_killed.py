"""Case 4 and 5: the worker dies, or never comes up; what is known is told at once and the way back is open."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import BROKEN_STARTUP, STARTUP, Held, Server, freeze, is_process, kill, until, wait_dead
from msgspec.structs import replace

from jupyter_queueserver.core.changes import ModeSet, apply
from jupyter_queueserver.core.state import QueueMode
from jupyter_queueserver.documents.reader import JournalReader
from jupyter_queueserver.instance import Instance, identity_of
from jupyter_queueserver.link.environment import StartupSource, new_record, write_environment
from jupyter_queueserver.manager.adoption import Gone, find_worker
from jupyter_queueserver.storage import Owner, open_store

MakeHeld = Callable[[str], Held]


def set_loop_mode(server: Server) -> None:
    """Set the queue mode in the store of a server that is not running; no method does it yet."""
    store = open_store("sqlite", server.instance.store, server.instance.lease)
    store.acquire(Owner(host="test", identity=identity_of(), address="", since=time.time()))
    try:
        state = store.load()
        assert state is not None
        change = ModeSet(mode=QueueMode(loop=True, ignore_failures=True))
        store.commit([change], apply(state, change, time.time()))
    finally:
        store.close()


def kill_worker(server: Server) -> None:
    """SIGKILL the worker in mid-plan, and wait until the event stream tells it: it is pushed, nobody asks."""
    killed = time.time()
    kill(server.worker)

    def tells(message: dict[str, Any]) -> bool:
        return message.get("time", 0.0) >= killed and not message.get("status", {}).get("worker_environment_exists", True)

    server.events.wait(tells, "the worker's death on the event stream")


def check_interrupted(server: Server, plan: Held, runs: list[str], reason: str) -> None:
    """History, queue and status after the worker's death in a plan."""
    (item,) = server.history()
    result = item["result"]
    assert item["item_uid"] == plan.uid
    assert (result["exit_status"], result["ending"]) == ("failed", "interrupted")
    assert reason in result["msg"]
    assert result["run_uids"] == runs
    back = server.queue()[0]
    assert back["item_uid"] != plan.uid
    assert back["name"] == item["name"]
    assert back["result"]["ending"] == "interrupted"
    assert reason in back["result"]["msg"]
    status = server.status()
    assert (status["manager_state"], status["worker_environment_state"]) == ("idle", "closed")
    assert (status["running_item_uid"], status["re_state"]) == (None, None)
    assert reason in status["environment_failure"]["msg"]


def wait_run(server: Server) -> list[str]:
    """Wait until the running plan has opened a run; returns the uids."""
    return [run["uid"] for run in until(lambda: server.ok("re_runs")["run_list"], "a run to be opened")]


def test_worker_killed_in_a_plan(server: Server, held: MakeHeld) -> None:
    plan, second = held("plan"), held("second")
    server.ok("queue_start")
    plan.wait("begin")
    runs = wait_run(server)
    environment_id = server.environment.environment_id
    server.events.next(time.monotonic() + 1.0)
    kill_worker(server)
    check_interrupted(server, plan, runs, "The worker process ")  # how it ended is known to its parent only
    assert [item["item_uid"] for item in server.queue()][1:] == [second.uid]
    server.open()
    assert server.status()["environment_failure"] is None
    assert server.environment.environment_id != environment_id
    until(lambda: stop_documents(server, runs[0]), "a stop document by the relay")
    (stop,) = stop_documents(server, runs[0])
    assert stop["exit_status"] == "fail"
    assert "worker process" in stop["reason"]
    plan.go()
    second.go()
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_history"] == 3, "both items to end")
    assert [item["result"]["ending"] for item in server.history()] == ["interrupted", "completed", "completed"]
    assert second.ran_once


def check_fate_unknown(server: Server, plan: Held) -> None:
    """The item is in the history as unknown and nowhere else."""
    (item,) = [item for item in server.history() if item["item_uid"] == plan.uid]
    assert (item["result"]["exit_status"], item["result"]["ending"]) == ("unknown", "lost")
    assert "lost" in item["result"]["msg"]
    assert plan.uid not in [item["item_uid"] for item in server.queue()]
    assert server.status()["manager_state"] == "idle"


def test_reports_lost_with_the_worker(server: Server, held: MakeHeld) -> None:
    """Nobody can know how the plan ended: it is never run again by itself."""
    plan, second = held("plan"), held("second")
    server.ok("queue_start")
    plan.wait("begin")
    wait_run(server)
    shutil.rmtree(server.environment.reports)
    kill_worker(server)
    check_fate_unknown(server, plan)
    assert [item["item_uid"] for item in server.queue()] == [second.uid]


def test_damaged_report_raises_an_alarm_and_touches_no_plan(server: Server, held: MakeHeld) -> None:
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    wait_run(server)
    kill(server.watchdog, server.manager)
    last = max(server.environment.reports.iterdir())
    lines = last.read_bytes().split(b"\n")
    lines[-3] = b"x" + lines[-3][1:]
    last.write_bytes(b"\n".join(lines))
    plan.go()
    plan.wait("cleanup")
    server.start()
    status = server.wait_for(lambda status: status["environment_alarm"], "the alarm")
    assert "cannot be read" in status["environment_alarm"]
    assert plan.ran_once
    server.ok("environment_destroy")
    wait_closed(server)
    check_fate_unknown(server, plan)
    assert plan.ran_once


def stop_documents(server: Server, run_uid: str) -> list[dict[str, Any]]:
    """Stop documents of a run, from the journal."""
    entries = JournalReader(server.instance.journal, arrays=False)
    return [entry.doc for entry in entries if entry.name == "stop" and entry.doc["run_start"] == run_uid]


def test_worker_killed_in_loop_mode(new_server: Callable[..., Server], tmp_path: Path) -> None:
    """With loop mode and ignored failures too: the death is no failure of the plan, nothing goes round."""
    server = new_server()
    server.start()
    server.ok("queue_item_add", item={"item_type": "instruction", "name": "queue_stop"}, user="t", user_group="primary")
    server.ok("queue_clear")
    server.stop()
    set_loop_mode(server)
    server.start()
    assert server.status()["plan_queue_mode"] == {"loop": True, "ignore_failures": True}
    server.open()
    plan = Held(server, tmp_path, "plan")
    server.ok("queue_start")
    plan.wait("begin")
    runs = wait_run(server)
    server.events.next(time.monotonic() + 1.0)
    kill_worker(server)
    check_interrupted(server, plan, runs, "The worker process was killed by signal 9 (SIGKILL), ")
    result = server.history()[0]["result"]
    assert "MB of memory" in result["msg"]
    assert (result["last_document"]["run_uid"], result["last_document"]["name"]) == (runs[0], "start")
    (back,) = server.queue()
    assert (back["returned"]["ending"], back["returned"]["run_uids"]) == ("interrupted", runs)
    assert back["returned"]["reason"] == result["summary"]
    assert (back["returned"]["item_uid"], back["returned"]["confirmed"]) == (plan.uid, False)
    assert len(server.queue()) == 1
    server.stop()


def test_worker_and_manager_killed_together(server: Server, held: MakeHeld) -> None:
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    runs = wait_run(server)
    kill(server.worker, server.manager)
    server.wait_for(lambda status: not status["worker_environment_exists"], "the worker's death to be seen")
    (item,) = server.history()
    assert (item["result"]["ending"], item["result"]["run_uids"]) == ("interrupted", runs)
    assert len(server.queue()) == 1


def test_idle_worker_killed(server: Server) -> None:
    kill(server.worker)
    status = server.wait_for(lambda status: not status["worker_environment_exists"], "the worker's death to be seen")
    assert "worker process" in status["environment_failure"]["msg"]
    assert server.history() == []


def test_destroy_in_a_plan(server: Server, held: MakeHeld) -> None:
    plan, worker = held("plan"), server.worker
    server.ok("queue_start")
    plan.wait("begin")
    server.ok("environment_destroy")
    server.wait_for(lambda status: not status["worker_environment_exists"], "the environment to be closed")
    wait_dead(worker)
    (item,) = server.history()
    assert (item["result"]["exit_status"], item["result"]["ending"]) == ("failed", "interrupted")
    assert "destroyed" in item["result"]["msg"]
    assert len(server.queue()) == 1
    assert server.status()["environment_failure"] is None


def test_closing_and_opening(server: Server) -> None:
    """In order; then an opening that is broken off; then one whose manager dies."""
    worker = server.worker
    server.ok("environment_close")
    wait_closed(server)
    wait_dead(worker)
    assert server.refused("queue_start")["error"]["code"] == "no_environment"
    server.ok("environment_open")
    until(server.instance.environment_file.exists, "the worker to be launched")
    server.ok("environment_destroy")
    wait_closed(server)
    until(lambda: not server.instance.environment_file.exists(), "the worker to be buried")
    server.ok("environment_open")
    until(server.instance.environment_file.exists, "the worker to be launched")
    kill(server.manager)
    server.wait_for(lambda status: status["worker_environment_state"] == "idle", "the environment to be open", 30.0)
    assert is_process(server.worker)


def test_destroying_a_worker_that_does_not_answer(server: Server, held: MakeHeld) -> None:
    """The next manager cannot adopt it, so that nothing may be concluded; a user's word ends it all the same."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    worker = server.worker
    freeze(worker)
    kill(server.manager)
    status = server.status()
    assert (status["manager_state"], status["running_item_uid"]) == ("executing_queue", plan.uid)
    server.ok("environment_destroy")
    wait_closed(server)
    wait_dead(worker)
    (item,) = server.history()
    assert (item["item_uid"], item["result"]["ending"]) == (plan.uid, "interrupted")
    assert len(server.queue()) == 1


def test_worker_that_was_never_launched(tmp_path: Path) -> None:
    """Its manager died between writing environment.json and starting the process: after a while that counts as dead."""
    instance = Instance(tmp_path)
    record = new_record(instance, StartupSource(kind="dir", value=str(tmp_path)))
    Path(record.directory).mkdir(parents=True)
    asked: list[bool] = []
    write_environment(instance, replace(record, began=record.began - 60.0))
    found = asyncio.run(find_worker(instance, 1, lambda: bool(asked.append(True))))
    assert isinstance(found, Gone)
    assert found.record.environment_id == record.environment_id
    assert asked == []
    write_environment(instance, record)  # just now: it may still come, unless nobody wants it
    found = asyncio.run(find_worker(instance, 1, lambda: bool(asked.append(True))))
    assert isinstance(found, Gone)
    assert asked == [True]


def wait_closed(server: Server) -> None:
    """Wait until there is no environment."""
    server.wait_for(lambda status: status["worker_environment_state"] == "closed", "the environment to be closed")


def test_broken_startup_code(new_server: Callable[..., Server]) -> None:
    server = new_server("--startup-dir", str(BROKEN_STARTUP), "--saver", "none")
    server.start()
    server.events.next(time.monotonic() + 5.0)
    server.ok("environment_open")
    status = server.wait_for(lambda status: status["environment_failure"], "the failure to be told")
    failure = status["environment_failure"]
    assert (failure["file"], failure["line"]) == ("10-broken.py", 8)
    assert "ZeroDivisionError" in failure["msg"]
    assert "return 1 / 0" in failure["traceback"]
    assert status["worker_environment_state"] == "closed"
    assert status["manager_state"] == "idle"
    until(lambda: not server.instance.environment_file.exists(), "the worker to be buried")
    assert server.status()["environment_failure"] == failure
    server.events.wait(
        lambda _: any("ZeroDivisionError" in json.dumps(told.get("changes", "")) for told in server.events.log),
        "the failure on the event stream",
    )
    told = next(told for told in server.events.log if "ZeroDivisionError" in json.dumps(told.get("changes", "")))
    assert '"10-broken.py"' in json.dumps(told["changes"])
    server.stop()


def test_documents_that_cannot_be_kept_stop_the_queue_if_wished(new_server: Callable[..., Server], tmp_path: Path) -> None:
    """The plan itself goes on to its end."""
    server = new_server("--startup-dir", str(STARTUP), "--saver", "none", "--stop-on-alarm", "ON")
    server.start()
    server.open()
    (server.instance.journal / server.environment.environment_id).write_text("in the way")
    first, second = Held(server, tmp_path, "first"), Held(server, tmp_path, "second")
    first.go()
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_history"] == 1, "the first plan to end")
    status = server.wait_state("idle")
    assert "journal" in status["environment_alarm"]
    assert [item["item_uid"] for item in server.queue()] == [second.uid]
    assert server.history()[0]["result"]["ending"] == "completed"
    assert first.ran_once
    (server.instance.journal / server.environment.environment_id).unlink()
    server.stop()
