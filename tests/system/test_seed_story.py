"""The first version's story on a real server: its command line at the second socket, its routes at a real Jupyter server."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import PROGRAM, STARTUP, Server, until

from jupyter_queueserver.cli import main

TOKEN = "secret"


class Story:
    """A server with the second socket; commands go there, as ``qserver`` would send them."""

    def __init__(self, server: Server, address: str, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.server = server
        self._address = address
        self._capsys = capsys
        self._folder = folder

    def do(self, command: str, *params: str, status: int = 0) -> dict[str, Any]:
        """Run a command; returns the answer."""
        words = ["-c", command, *(["-p", *params] if params else []), "-a", self._address, "--json"]
        found = main(words)
        printed = self._capsys.readouterr().out
        assert found == status, printed
        return json.loads(printed)

    def plan(self, name: str) -> str:
        """A plan that holds, in the words of the first version."""
        kwargs = {"trace": str(self._folder / f"{name}.trace"), "go": str(self._folder / f"{name}.go")}
        return json.dumps({"name": "hold", "kwargs": kwargs})

    def names(self) -> list[str]:
        """What is queued."""
        return [Path(item["kwargs"]["go"]).stem for item in self.do("queue_get")["items"]]

    def wait(self, state: str) -> None:
        """Wait for a state of the RunEngine."""
        self.server.wait_for(lambda status: status["re_state"] == state, f"the RunEngine in state {state}", 30.0)

    def wait_paused(self) -> None:
        """Wait until the plan can be resumed or ended: a moment after its RunEngine has paused."""
        self.server.wait_state("paused", 30.0)


@pytest.fixture
def story(new_server: Callable[..., Server], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Story]:
    """The server, started, without environment."""
    folder = Path(tempfile.mkdtemp(prefix="jqs-test-", dir="/tmp"))
    address = f"ipc://{folder}/legacy"
    server = new_server()
    places = ["--data-dir", str(server.data_dir), "--zmq-control-addr", f"ipc://{folder}/today", "--legacy", address]
    command = [*PROGRAM, "start-re-manager", "--detach", "--startup-dir", str(STARTUP), "--saver", "none", *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    yield Story(server, address, capsys, tmp_path)
    shutil.rmtree(folder, ignore_errors=True)


def open_environment(story: Story) -> None:
    story.do("environment_open")
    story.server.wait_for(lambda status: status["worker_environment_state"] == "idle", "the environment to open", 30.0)


def test_plans_are_added_run_and_ended_by_hand(story: Story) -> None:
    assert story.do("ping")["manager_state"] == "idle"
    open_environment(story)
    assert "hold" in story.do("plans_allowed")["plans_allowed"]
    for place, name in ((), "a"), ((), "b"), (("-1",), "c"), (("front",), "d"), (("100",), "e"), (("2",), "f"):
        story.do("queue_plan_add", *place, story.plan(name))
    assert story.names() == ["d", "a", "f", "c", "b", "e"]
    story.do("queue_plan_remove")
    story.do("queue_plan_remove", "-2")
    story.do("queue_plan_remove", "7", status=2)
    assert story.names() == ["d", "a", "f", "b"]

    for number, command in enumerate(("re_stop", "re_abort", "re_halt"), 1):
        story.do("queue_start")
        story.wait("running")
        story.do("re_pause", "immediate")
        story.wait_paused()
        story.do("manager_stop", status=2)
        story.do(command)
        story.server.wait_for(lambda status: status["manager_state"] == "idle", "the end of the queue")
        assert story.names() == ["d", "a", "f", "b"], command
        assert len(story.do("history_get")["items"]) == number
    endings = [item["result"]["ending"] for item in story.do("history_get")["items"]]
    assert endings == ["stopped", "aborted", "halted"]

    story.do("queue-clear")
    story.do("history_clear")
    assert (story.names(), story.do("history_get")["items"]) == ([], [])
    story.do("environment_close")
    story.server.wait_for(lambda status: not status["worker_environment_exists"], "the environment to close", 30.0)
    story.do("manager_stop")
    story.server.check_gone()


def test_a_killed_manager_comes_back_at_the_same_address(story: Story) -> None:
    open_environment(story)
    story.do("queue_plan_add", story.plan("a"))
    story.do("queue_start")
    story.wait("running")
    before = story.server.manager
    assert story.do("test_manager_kill", status=3)["error"]["code"] == "no_answer"
    story.server.wait_new_manager(before, 30.0)
    until(lambda: story.do("ping")["re_state"] == "running", "the new manager to answer")
    story.do("manager_stop", "safe_off")
    story.server.check_gone()


class Web:
    """A Jupyter server with the first version's routes without prefix, beside the manager."""

    def __init__(self, server: Server, folder: Path) -> None:
        places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        self.log = folder / "web.log"
        words = ["server", "--legacy-root", "--port", "0", "--data-dir", str(server.data_dir)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | places | {"JUPYTER_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"},
            )
        told = until(
            lambda: re.search(r"Queue server: \S+?(127\.0\.0\.1:\d+)", self.log.read_text()),
            "the server to tell its address",
            30.0,
        )
        self.place = told[1]

    def ask(self, verb: str, path: str, **params: Any) -> dict[str, Any]:
        """Send a request that must be answered with 200."""
        connection = http.client.HTTPConnection(self.place, timeout=60)
        try:
            body = json.dumps(params) if params else None
            connection.request(verb, path, body, {"Authorization": f"Bearer {TOKEN}", "Accept": "*/*"})
            reply = connection.getresponse()
            text = reply.read()
            assert reply.status == 200, text
            return json.loads(text)
        finally:
            connection.close()

    def end(self) -> None:
        """Ctrl-C."""
        self.process.terminate()
        self.process.wait(30.0)


def test_the_web_server_beside_it(story: Story, tmp_path: Path) -> None:
    open_environment(story)
    web = Web(story.server, tmp_path)
    try:
        assert web.ask("GET", "/")["manager_state"] == "idle"
        for place, name in ({}, "a"), ({"pos": -1}, "b"), ({"pos": "front"}, "c"):
            assert web.ask("POST", "/queue/plan/add", plan=json.loads(story.plan(name)), **place)["success"]
        assert story.names() == ["c", "b", "a"]
        assert web.ask("POST", "/queue/start")["success"]
        story.wait("running")
        assert web.ask("POST", "/re/pause", option="immediate")["success"]
        story.wait_paused()
        assert web.ask("POST", "/manager/stop", option="safe_on")["success"] is False
        assert web.ask("POST", "/re_halt")["success"]
        story.server.wait_for(lambda status: status["manager_state"] == "idle", "the end of the queue")
        assert story.names() == ["c", "b", "a"]
        assert [item["result"]["ending"] for item in web.ask("GET", "/history/get")["items"]] == ["halted"]
    finally:
        web.end()
    assert story.do("ping")["manager_state"] == "idle", "the manager ended with the web server"
