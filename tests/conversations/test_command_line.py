"""`qserver` with a real manager: a conversation in which every command is given, and what it answers."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from line_real import RealLine, TalkServer
from played_server import played_server
from shown import Record, note_one

from jupyter_queueserver.api import methods
from jupyter_queueserver.cli import program
from jupyter_queueserver.cli.commands import read_command

QUICK, LONG = "{'name': 'quick'}", "{'name': 'long_count', 'args': [['det']]}"
DOUBLE = "{'name': 'double', 'args': [21]}"
NOBODY = "ffffffff-ffff-4fff-8fff-ffffffffffff"


class Terminal(RealLine):
    """Gives commands, and keeps which methods were called by them."""

    way = "CLI"

    def __init__(self, server: TalkServer) -> None:
        super().__init__(server)
        self.called: set[tuple[str, bool]] = set()

    def exchange(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        return self.server.call(method, **params)

    def malformed(self) -> list[tuple[int, dict[str, Any]]]:
        return []  # a command line always makes a request, or none

    def __call__(self, *words: str, code: int = 0, key: str | None = None) -> dict[str, Any]:
        """Give a command that ends with this exit status; returns the reply that it printed."""
        options = ["--json", "-a", self.server.control, *(["-k", key] if key else [])]
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            assert program.main([*options, *words]) == code, said.getvalue()
        self.called.add((read_command(list(words), key)[0].name, code == 0))
        return json.loads(said.getvalue().strip().splitlines()[-1]) if said.getvalue() else {}

    def add(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Add a plan; returns its uid."""
        item = {"name": name, "args": list(args), "kwargs": kwargs}
        return self("queue", "add", "plan", repr(item))["item"]["item_uid"]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, record_property: Record) -> Iterator[Terminal]:
    """A terminal; what its commands called is noted."""
    for name in ("QSERVER_ZMQ_PUBLIC_KEY", "QSERVER_ZMQ_ENCODING", "QSERVER_ZMQ_CONTROL_ADDRESS", "JUPYTER_QUEUESERVER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    with played_server() as server:
        terminal = Terminal(server)
        yield terminal
        for method, done in sorted(terminal.called):
            note_one(record_property, terminal.way, method, done=done)


def test_every_command(say: Terminal, tmp_path: Path) -> None:
    for chapter in (asking, editing, running, pausing, tasks, guarding, ending):
        chapter(say, tmp_path)
    assert {method for method, done in say.called if done} == {name for name, method in methods().items() if method.commands} - {
        "manager_kill"  # see test_killing
    }


def asking(say: Terminal, folder: Path) -> None:
    assert say("ping")["manager_state"] == "idle"
    assert say("config")["config"] == {"ip_connect_info": {}}
    say("queue", "start", code=2)
    say("environment", "open")
    say.idle()
    assert say("status")["worker_environment_exists"]
    for existing, allowed in (("plans", "plans"), ("devices", "devices")):
        assert say("existing", existing)[f"{existing}_existing"].keys() == say("allowed", allowed)[f"{allowed}_allowed"].keys()
    assert say("re", "metadata")["re_metadata"]["scan_id"] == 1
    assert say("re", "runs")["run_list"] == []


def editing(say: Terminal, folder: Path) -> None:
    first = say.add("quick")
    second = say("queue", "add", "instruction", "queue-stop")["item"]["item_uid"]
    third = say("queue", "add", "plan", "front", QUICK)["item"]["item_uid"]
    say("queue", "add", "plan", "{'name': 'flight'}", code=2)
    assert say("queue", "item", "get", "front")["item"]["item_uid"] == third
    say("queue", "item", "move", "front", "back")
    assert [item["item_uid"] for item in say("queue", "get")["items"]] == [first, second, third]
    changed = "{'name': 'count', 'args': [['det']]}"
    assert say("queue", "update", "plan", first, changed)["item"]["item_uid"] == first
    assert say("queue", "replace", "plan", first, changed)["item"]["item_uid"] != first
    assert say("queue", "item", "remove", third)["qsize"] == 2
    say("queue", "item", "remove", third, code=2)
    say("queue", "clear")
    say("queue", "mode", "set", "loop", "True")
    assert say("status")["plan_queue_mode"]["loop"]
    say("queue", "mode", "set", "loop", "False")


def running(say: Terminal, folder: Path) -> None:
    uid = say.add("quick")
    say("queue", "start")
    say.idle()
    assert [item["item_uid"] for item in say("history", "get")["items"]] == [uid]
    executed = say("queue", "execute", "plan", QUICK)["item"]["item_uid"]
    say.idle()
    assert say("history", "get")["items"][-1]["item_uid"] == executed
    say("history", "clear", "1")
    say("history", "clear")
    say("queue", "autostart", "enable")
    say.add("quick")
    say.wait(lambda status: status["items_in_history"] == 1, "the plan to run by itself")
    say("queue", "autostart", "disable")
    say.idle()


def pausing(say: Terminal, folder: Path) -> None:
    for command in ("stop", "abort", "halt"):
        uid = say.add("long_count", ["det"])
        say("queue", "start")
        say.running(uid)
        say("queue", "stop")
        say("queue", "stop", "cancel")
        say("re", "pause", "immediate")
        say.paused()
        say("re", "resume")
        say.wait(lambda status: status["re_state"] == "running", "the plan to go on")
        say("kernel", "interrupt", code=2)
        say("kernel", "interrupt", "plan")
        say.paused()
        say("re", command)
        say.idle()
        if command != "stop":
            (back,) = say("queue", "get")["items"]
            assert say("queue", "item", "confirm", back["item_uid"])["items"][0]["returned"]["confirmed"]
        say("queue", "clear")


def tasks(say: Terminal, folder: Path) -> None:
    (folder / "script.py").write_text("a = 1\n", encoding="utf-8")
    task = say("script", "upload", str(folder / "script.py"))["task_uid"]
    say.idle()
    assert say("task", "status", task)["status"] == "completed"
    task = say("function", "execute", DOUBLE)["task_uid"]
    say.idle()
    assert say("task", "result", task)["result"]["return_value"] == 42
    say("environment", "update")
    say.idle()
    assert say("task", "status", NOBODY)["status"] == "not_found"


def guarding(say: Terminal, folder: Path) -> None:
    say("lock", "queue", "a note", key="k1")
    assert say("lock", "info")["lock_info"]["note"] == "a note"
    say("queue", "clear", code=2)
    say("queue", "clear", key="k1")
    say("unlock", key="k2", code=2)
    say("unlock", key="k1")
    rules = folder / "rules.yaml"
    rules.write_text("user_groups: {root: {allowed_plans: [null]}, primary: {allowed_plans: [quick]}}\n", encoding="utf-8")
    say("permissions", "set", str(rules))
    assert say("permissions", "get")["user_group_permissions"]["user_groups"]["primary"]["allowed_plans"] == ["quick"]
    say("permissions", "reload")


def ending(say: Terminal, folder: Path) -> None:
    say("environment", "close")
    say.idle()
    say("environment", "close", code=2)
    say("environment", "open")
    say.idle()
    say("environment", "destroy")
    say.idle()
    say("manager", "stop")
    say.server.check_gone()


@pytest.mark.long
def test_killing(say: Terminal, record_property: Record) -> None:
    uid = say("queue", "add", "instruction", "queue-stop")["item"]["item_uid"]
    old = say.server.manager
    say("manager", "kill", "test", code=3)
    say.server.wait_new_manager(old, 30.0)
    assert [item["item_uid"] for item in say("queue", "get")["items"]] == [uid]
    note_one(record_property, say.way, "manager_kill", done=True)
