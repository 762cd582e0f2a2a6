"""The command `qserver` of bluesky-queueserver 0.0.25, unchanged, over JSON, msgpack and CurveZMQ.

Every sub-command with its exit status; the programs `qserver-console-monitor`, `qserver-console` and `qserver-zmq-keys` too.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from foreign_stage import (
    CLIENTS,
    EMERGENCY_KEY,
    LIMIT,
    OldQserver,
    clean_environment,
    foreign_server,
    free_address,
    need_clients,
    run_client,
)
from harness import until
from subcommands import ROWS

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

COUNT = "{'name': 'count', 'args': [['det']], 'kwargs': {'num': 2}}"
LONG = "{'name': 'long_count', 'args': [['det']], 'kwargs': {'seconds': 60, 'step': 0.05}}"
KEY = "a key of ours"


def zmq_keys(*words: str, code: int = 0) -> tuple[str, ...]:
    """Run the old `qserver-zmq-keys`; returns the keys that it printed, private one first."""
    command = [str(CLIENTS / "qserver-zmq-keys"), *words]
    env = clean_environment(Path.home())
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, env=env)
    assert done.returncode == code, done
    return tuple(re.findall(r"key \(.*\):\s+(\S{40})$", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module", params=["json", "msgpack", "curve"])
def old(request: pytest.FixtureRequest) -> Iterator[OldQserver]:
    """The command and a server that speaks its encoding."""
    need_clients()
    encoding = "msgpack" if request.param == "msgpack" else "json"
    private, public = zmq_keys() if request.param == "curve" else (None, "")
    with foreign_server("--zmq-encoding", encoding, "--use-ipython-kernel", "ON", private_key=private) as server:
        yield OldQserver(server, encoding, public)


@pytest.fixture
def qserver(old: OldQserver) -> OldQserver:
    """The command; the server is unlocked, idle, its queue and history empty, its environment open."""
    server = old.server
    server.ok("unlock", lock_key=EMERGENCY_KEY)
    if server.status()["manager_state"] != "idle":
        server.ok("environment_destroy")
        server.wait_state("idle")
    if not server.status()["worker_environment_exists"]:
        server.open()
    server.ok("permissions_reload")
    server.ok("queue_mode_set", mode="default")
    server.ok("queue_clear")
    server.ok("history_clear")
    return old


def wait_task(qserver: OldQserver, task_uid: str) -> dict:
    """Wait for a task; returns its result."""
    until(lambda: qserver.server.call("task_status", task_uid=task_uid)["status"] == "completed", f"task {task_uid}")
    assert qserver("task", "status", task_uid)["status"] == "completed"
    return qserver("task", "result", task_uid)["result"]


def start_long(qserver: OldQserver) -> None:
    """Let a long plan run."""
    uid = qserver("queue", "add", "plan", LONG)["item"]["item_uid"]
    qserver("queue", "start")
    qserver.server.wait_for(lambda status: status["running_item_uid"] == uid and status["re_state"] == "running", "it to run")


def test_looking(qserver: OldQserver) -> None:
    assert qserver("ping")["msg"].startswith("RE Manager v")
    assert qserver("status")["manager_state"] == "idle"
    assert qserver("config")["config"]["ip_connect_info"]["key"]
    for which in ("existing", "allowed"):
        assert "count" in qserver(which, "plans")[f"plans_{which}"]
        assert "det" in qserver(which, "devices")[f"devices_{which}"]
    assert qserver("queue", "get")["running_item"] == {}
    assert qserver("history", "get")["items"] == []
    for words in ((), ("active",), ("open",), ("closed",)):
        assert qserver("re", "runs", *words)["run_list"] == []
    assert isinstance(qserver("re", "metadata")["re_metadata"], dict)
    assert qserver("lock", "info")["lock_info"]["queue"] is False
    assert qserver("task", "status", "unknown")["status"] == "not_found"


def test_monitor_pings_until_ctrl_c(qserver: OldQserver) -> None:
    qserver.called.append("monitor")
    program = subprocess.Popen([str(CLIENTS / "qserver"), "monitor"], stdout=subprocess.PIPE, text=True, env=qserver.env)
    assert program.stdout is not None
    with program, program.stdout as output:
        lines = iter(output.readline, "")
        assert any("Press Ctrl-C to exit" in line for line in lines)
        for _ in range(2):
            assert any("'manager_state': 'idle'" in line for line in lines)
        program.send_signal(signal.SIGINT)
        assert program.wait(LIMIT) == 0


def test_environment(qserver: OldQserver) -> None:
    server = qserver.server
    assert "already exists" in qserver("environment", "open", code=2)["msg"]
    assert wait_task(qserver, qserver("environment", "update")["task_uid"])["success"]
    assert wait_task(qserver, qserver("environment", "update", "background")["task_uid"])["success"]
    qserver("environment", "close")
    assert not server.wait_state("idle")["worker_environment_exists"]
    qserver("environment", "close", code=2)
    qserver("environment", "open")
    assert server.wait_state("idle")["worker_environment_exists"]
    qserver("environment", "destroy")
    assert not server.wait_state("idle")["worker_environment_exists"]
    qserver("environment", "destroy", code=2)


def test_permissions(qserver: OldQserver, tmp_path: Path) -> None:
    before = qserver("permissions", "get")["user_group_permissions"]
    file = tmp_path / "narrow.yaml"
    file.write_text("user_groups:\n  root: {allowed_plans: [null]}\n  primary: {allowed_plans: [count]}\n")
    qserver("permissions", "set", str(file))
    assert set(qserver("allowed", "plans")["plans_allowed"]) == {"count"}
    file.write_text("user_groups:\n  primary: {allowed_plans: [count]}\n")
    assert qserver("permissions", "set", str(file), code=2)["msg"].startswith("Error: ")
    qserver("permissions", "set", str(tmp_path / "missing.yaml"), code=1)
    qserver("permissions", "reload")
    qserver("permissions", "reload", "lists")
    assert qserver("permissions", "get")["user_group_permissions"] == before


def test_adding(qserver: OldQserver) -> None:
    uid = qserver("queue", "add", "plan", COUNT)["item"]["item_uid"]
    places = [
        ("front",),
        ("back",),
        ("1",),
        ("-1",),
        ("before", uid),
        ("after", uid),
    ]
    uids = [qserver("queue", "add", "plan", *place, COUNT)["item"]["item_uid"] for place in places]
    order = [item["item_uid"] for item in qserver("queue", "get")["items"]]
    assert order == [uids[0], uids[2], uids[4], uid, uids[5], uids[1], uids[3]]
    qserver("queue", "add", "instruction", "queue-stop")
    qserver("queue", "add", "instruction", "front", "queue-stop")
    assert "not in the list of allowed plans" in qserver("queue", "add", "plan", "{'name': 'nonsense'}", code=2)["msg"]
    qserver("queue", "add", "plan", "not python", code=1)
    qserver("queue", "clear")
    assert qserver.server.queue() == []


def test_changing(qserver: OldQserver) -> None:
    uids = [qserver("queue", "add", "plan", COUNT)["item"]["item_uid"] for _ in range(3)]
    changed = "{'name': 'count', 'args': [['det']], 'kwargs': {'num': 7}}"
    assert qserver("queue", "update", "plan", uids[0], changed)["item"]["item_uid"] == uids[0]
    replaced = qserver("queue", "replace", "plan", uids[0], changed)["item"]["item_uid"]
    assert replaced != uids[0]
    qserver("queue", "update", "plan", uids[0], changed, code=2)
    assert qserver("queue", "update", "instruction", uids[1], "queue-stop")["item"]["item_uid"] == uids[1]
    stop = qserver("queue", "replace", "instruction", uids[1], "queue-stop")["item"]["item_uid"]
    assert qserver("queue", "item", "get")["item"]["item_uid"] == uids[2]
    assert qserver("queue", "item", "get", "front")["item"]["item_uid"] == replaced
    assert qserver("queue", "item", "get", "-1")["item"]["item_uid"] == uids[2]
    assert qserver("queue", "item", "get", stop)["item"]["name"] == "queue_stop"
    qserver("queue", "item", "get", "12", code=2)
    for words in (("back", "front"), ("0", "1"), (stop, "before", replaced), ("0", "after", uids[2])):
        qserver("queue", "item", "move", *words)
    assert [item["item_uid"] for item in qserver.server.queue()] == [replaced, uids[2], stop]
    qserver("queue", "item", "move", "0", stop, code=1)
    assert qserver("queue", "item", "remove")["item"]["item_uid"] == stop
    assert qserver("queue", "item", "remove", replaced)["qsize"] == 1
    qserver("queue", "add", "plan", COUNT)
    qserver("queue", "item", "remove", "back")
    qserver("queue", "item", "remove", "0")
    qserver("queue", "item", "remove", code=2)


def test_running(qserver: OldQserver) -> None:
    server = qserver.server
    qserver("queue", "add", "plan", COUNT)
    qserver("queue", "start")
    server.wait_for(lambda status: status["items_in_history"] == 1 and status["manager_state"] == "idle", "the queue to end")
    item = qserver("queue", "execute", "plan", COUNT)["item"]
    server.wait_for(lambda status: status["items_in_history"] == 2 and status["manager_state"] == "idle", "the plan to end")
    qserver("queue", "execute", "instruction", "queue-stop")
    server.wait_state("idle")
    assert [entry["result"]["exit_status"] for entry in qserver("history", "get")["items"]] == ["completed"] * 2
    qserver("history", "clear", item["item_uid"])
    assert server.history() == []
    qserver("history", "clear", "200")
    qserver("history", "clear")
    qserver("queue", "mode", "set", "loop", "True", "ignore_failures", "True")
    qserver("queue", "mode", "set")
    assert qserver("status")["plan_queue_mode"] == {"loop": True, "ignore_failures": True}
    qserver("queue", "mode", "set", "loop", "False", "ignore_failures", "False")
    qserver("queue", "mode", "set", "loop", code=1)
    qserver("queue", "mode", "set", "loop", "true", code=2)
    qserver("queue", "autostart", "enable")
    qserver("queue", "add", "plan", COUNT)
    server.wait_for(lambda status: status["items_in_history"] == 1, "autostart to run it")
    qserver("queue", "autostart", "disable")
    qserver("queue", "stop", code=2)


def test_engine(qserver: OldQserver) -> None:
    server = qserver.server
    endings = {"stop": "stopped", "abort": "aborted", "halt": "halted"}
    options = ((), ("deferred",), ("immediate",))
    for (word, ending), option in zip(endings.items(), options, strict=True):
        start_long(qserver)
        qserver("queue", "stop")
        qserver("queue", "stop", "cancel")
        qserver("re", "pause", *option)
        server.wait_state("paused")
        if word == "stop":
            qserver("re", "resume")
            server.wait_state("executing_queue")
            qserver("re", "pause", "immediate")
            server.wait_state("paused")
        qserver("re", word)
        server.wait_state("idle")
        assert server.history()[-1]["result"]["exit_status"] == ending
        qserver("queue", "clear")
    qserver("re", "pause", code=2)
    qserver("re", "resume", code=2)


def test_tasks(qserver: OldQserver, tmp_path: Path) -> None:
    script = tmp_path / "functions.py"
    script.write_text("def triple(value):\n    return 3 * value\n\ndef linger():\n    import time\n    time.sleep(60)\n")
    assert wait_task(qserver, qserver("script", "upload", str(script))["task_uid"])["success"]
    more = qserver("script", "upload", str(script), "background", "update-re", "keep-lists")
    assert wait_task(qserver, more["task_uid"])["success"]
    qserver("script", "upload", str(tmp_path / "missing.py"), code=1)
    call = "{'name': 'triple', 'args': [7]}"
    assert wait_task(qserver, qserver("function", "execute", call)["task_uid"])["return_value"] == 21
    assert wait_task(qserver, qserver("function", "execute", call, "background")["task_uid"])["return_value"] == 21
    qserver("kernel", "interrupt")
    task_uid = qserver("function", "execute", "{'name': 'linger'}")["task_uid"]
    qserver.server.wait_state("executing_task")
    assert "Not allowed to interrupt running task" in qserver("kernel", "interrupt", code=2)["msg"]
    qserver("kernel", "interrupt", "task", "plan")
    assert wait_task(qserver, task_uid)["success"] is False


def test_lock(qserver: OldQserver) -> None:
    qserver("lock", "queue", code=2)
    qserver("lock", "environment", key=KEY)
    qserver("lock", "queue", key=KEY)
    assert qserver("lock", "all", "in the hutch", key=KEY)["lock_info"]["note"] == "in the hutch"
    assert "Invalid lock key" in qserver("queue", "add", "plan", COUNT, code=2)["msg"]
    qserver("queue", "add", "plan", COUNT, key=KEY)
    qserver("environment", "close", code=2)
    qserver("environment", "update", key=KEY)
    qserver("lock", "info", key=KEY)
    qserver("lock", "info", key="another", code=2)
    qserver("unlock", key="another", code=2)
    qserver("unlock", key=KEY)
    assert not any(qserver("status")["lock"].values())
    qserver.server.wait_state("idle")


def test_exit_status_of_what_is_never_sent(qserver: OldQserver) -> None:
    assert qserver.run("nonsense").returncode == 1
    assert qserver.run("queue", "add").returncode == 1
    assert qserver.run().returncode == 2
    assert qserver.run("status", "--nonsense").returncode == 2
    assert qserver.run("status", "-a", free_address()).returncode == 3
    assert qserver.run("status", QSERVER_ZMQ_PUBLIC_KEY="short").returncode == 1


def test_wrong_encoding_or_key_is_a_communication_error(qserver: OldQserver) -> None:
    other = "json" if "QSERVER_ZMQ_ENCODING" in qserver.env else "msgpack"
    assert qserver.run("status", "--zmq-encoding", other).returncode == 3
    _, public = zmq_keys()
    assert qserver.run("status", QSERVER_ZMQ_PUBLIC_KEY=public).returncode == 3
    assert qserver("status")["manager_state"] == "idle"


def test_console_monitor_shows_what_is_printed(qserver: OldQserver) -> None:
    encoding = ("--zmq-encoding", qserver.env.get("QSERVER_ZMQ_ENCODING", "json"))
    command = [str(CLIENTS / "qserver-console-monitor"), "--zmq-info-addr", qserver.server.info, *encoding]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, env=qserver.env)
    assert program.stdout is not None
    output = program.stdout.fileno()
    said = b""

    def has_come() -> bool:
        nonlocal said
        if qserver.server.status()["manager_state"] == "idle":
            qserver.server.ok("script_upload", script="print('a line for', 'the monitor')")
        while select.select([output], [], [], 0.05)[0] and (more := os.read(output, 65536)):
            said += more
        return b"a line for the monitor" in said

    with program:
        try:
            until(has_come, "the line in the monitor's output")
        finally:
            program.send_signal(signal.SIGINT)
        assert program.wait(LIMIT) in (0, 1)
    qserver.server.wait_state("idle")


def test_old_console_attaches_to_the_worker(qserver: OldQserver) -> None:
    server = qserver.server
    words = ["-a", server.control, "--zmq-encoding", qserver.env.get("QSERVER_ZMQ_ENCODING", "json")]
    assert run_client("old_console.py", server.base, {"words": words}, 60.0, env=qserver.env) == {"status": 0}
    assert server.wait_state("idle")["worker_environment_exists"]


def test_old_keys_program_makes_a_pair(old: OldQserver) -> None:
    private, public = zmq_keys()
    assert private != public
    assert zmq_keys("--zmq-private-key", private) == (private, public)
    zmq_keys("--zmq-private-key", "short", code=4)


def test_manager_is_killed_and_stopped(qserver: OldQserver) -> None:
    server = qserver.server
    before = server.manager
    assert qserver.run("manager", "kill", "test").returncode == 3
    server.wait_new_manager(before)
    until(lambda: qserver.run("status").returncode == 0, "the next manager to answer")
    qserver("manager", "stop")
    server.check_gone()
    server.start()
    server.open()
    start_long(qserver)
    assert "only in 'idle' state" in qserver("manager", "stop", "safe", "on", code=2)["msg"]
    qserver("manager", "stop", "safe", "off")
    server.check_gone()


def test_every_form_was_called(old: OldQserver) -> None:
    """Last: reads what the tests above have called."""
    missing = [row for row in ROWS if not any(re.fullmatch(row, words) for words in old.called)]
    assert not missing
