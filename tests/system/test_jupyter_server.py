"""Case 2 and 7: the Jupyter server is killed, interrupted, started again; the queue does not notice."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import PATIENCE, PROGRAM, STARTUP, Held, Server, is_process, until, wait_dead
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

TOKEN = "secret"


class Jupyter:
    """A running `jupyter queueserver` on a data directory."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.log = folder / f"jupyter-{time.monotonic_ns()}.log"
        places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        words = ["--data-dir", str(server.data_dir), "--startup-dir", str(STARTUP), "--port", "0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*PROGRAM, "server", *words, "--manager-option=--saver", "--manager-option=none"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | places | {"JUPYTER_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"},
            )
        found = until(
            lambda: re.search(r"Queue server: \S+?(127\.0\.0\.1:\d+)", self.log.read_text()),
            "the Jupyter server to tell its address",
            30.0,
        )
        self.place = found[1]

    def call(self, verb: str, path: str, **params: Any) -> dict[str, Any]:
        """Call a route of the queue server."""
        connection = http.client.HTTPConnection(self.place, timeout=PATIENCE)
        try:
            headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
            connection.request(verb, f"/queueserver/api{path}", json.dumps(params), headers)
            reply = connection.getresponse()
            text = reply.read()
            assert reply.status == 200, f"{path}: {reply.status} {text[:300]!r}"
            return json.loads(text)
        finally:
            connection.close()

    def console(self, words: str) -> str:
        """Console text from the websocket, read until the words have come."""
        return asyncio.run(self._console(words))

    async def _console(self, words: str) -> str:
        url = f"ws://{self.place}/queueserver/api/events?topics=console"
        socket = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {TOKEN}"}))
        text = ""
        async with asyncio.timeout(PATIENCE):
            while words not in text:
                frame = await socket.read_message()
                assert frame is not None, f"the websocket was closed; console so far: {text!r}"
                message = json.loads(frame)
                text += message["text"] if message["kind"] == "console" else ""
        socket.close()
        return text

    def end(self, number: int) -> str:
        """Send a signal, wait for the end, return the log."""
        self.process.send_signal(number)
        self.process.wait(30.0)
        return self.log.read_text()


@pytest.fixture
def jupyter(new_server: Callable[..., Server], tmp_path: Path) -> Iterator[Callable[[Server], Jupyter]]:
    """Starts Jupyter servers and ends those that are left."""
    started: list[Jupyter] = []

    def start(server: Server) -> Jupyter:
        started.append(Jupyter(server, tmp_path))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_jupyter_server_comes_and_goes(
    new_server: Callable[..., Server], jupyter: Callable[[Server], Jupyter], tmp_path: Path
) -> None:
    server = new_server()
    first = jupyter(server)
    until(lambda: server.instance.runtime_file.exists(), "the extension to start a manager", 30.0)
    first.call("POST", "/environment/open")
    server.wait_for(lambda status: status["worker_environment_state"] == "idle", "the environment to open", 30.0)
    plans = [Held(server, tmp_path, name) for name in ("one", "two", "three")]
    first.call("POST", "/queue/start")
    plans[0].wait("begin")
    manager, worker = server.manager, server.worker

    first.end(signal.SIGKILL)
    plans[0].go()
    plans[1].wait("begin")  # nobody serves HTTP, the queue goes on

    second = jupyter(server)
    assert second.call("GET", "/status")["running_item_uid"] == plans[1].uid
    shown = second.call("GET", "/queue/get")
    assert shown["running_item"]["item_uid"] == plans[1].uid
    assert [item["item_uid"] for item in shown["items"]] == [plans[2].uid]
    assert str(tmp_path / "one.go") in second.console(str(tmp_path / "two.go"))

    said = second.end(signal.SIGINT)  # a plan runs: manager and worker stay
    assert "jupyter queueserver --data-dir" in said
    assert "manager stop safe off" in said
    assert (server.manager, server.worker) == (manager, worker)
    assert is_process(manager)
    plans[1].go()
    plans[2].wait("begin")
    plans[2].go()
    server.wait_state("idle")
    assert all(plan.ran_once for plan in plans)
    assert [item["result"]["ending"] for item in server.history()] == ["completed"] * 3

    third = jupyter(server)
    until(lambda: third.call("GET", "/status")["items_in_history"] == 3, "the third Jupyter server to attach")
    third.end(signal.SIGINT)  # idle: everything ends
    wait_dead(worker)
    server.check_gone()
