"""The program `jupyter queueserver` with a real manager and worker: what ends with it and what stays."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_queueserver.client import Client
from jupyter_queueserver.instance import Instance, ProcessWatch, Runtime, read_runtime

LIMIT = 60.0
TOKEN = "t0ken-of-th1s-server"
LONG = {"item_type": "plan", "name": "long_count", "args": [["det"]], "kwargs": {"seconds": 60, "step": 0.1}}


class Server:
    """A running program and a client of it."""

    def __init__(self, instance: Instance, folder: Path, *words: str) -> None:
        self.log = folder / f"server-{time.monotonic_ns()}.log"
        places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        command = [sys.executable, "-m", "jupyter_queueserver", "server", "--data-dir", str(instance.data_dir)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--port", "0", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | places | {"JUPYTER_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", line)
        assert found, self.log.read_text()
        self.place = found[0]

    def call(self, verb: str, path: str, **params: Any) -> dict[str, Any]:
        """Call a route; empty when the manager does not answer."""
        connection = http.client.HTTPConnection(self.place, timeout=LIMIT)
        try:
            headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
            connection.request(verb, f"/queueserver/api{path}", json.dumps(params), headers)
            reply = connection.getresponse()
            return json.load(reply) if reply.status == 200 else {}
        finally:
            connection.close()

    def wait_for(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a status."""
        end = time.monotonic() + LIMIT
        while not condition(status := self.call("GET", "/status")):
            assert time.monotonic() < end, status
            time.sleep(0.05)
        return status

    def end(self, number: int) -> str:
        """Send a signal; returns what it wrote."""
        self.process.send_signal(number)
        self.process.wait(LIMIT)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.log.read_text()


@pytest.fixture
def serve(instance: Instance, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*words: str) -> Server:
        started.append(Server(instance, tmp_path, *words))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)
    kill_leftovers(instance)


def kill_leftovers(instance: Instance) -> None:
    """After a test that failed: every process whose command line names this test's own data directory."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = os.fsencode(instance.data_dir) in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if is_ours:
            ProcessWatch(int(folder.name)).send_signal(signal.SIGKILL)


def has_died(runtime: Runtime) -> bool:
    watches = [ProcessWatch(one.pid) for one in (runtime.manager, runtime.watchdog) if one is not None]
    dead = all(watch.is_dead() for watch in watches)
    for watch in watches:
        watch.close()
    return dead


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--address", "foo"], "'foo' is no address of the form tcp://host:port"),
        (["--address", "tcp://127.0.0.1:99999"], "'tcp://127.0.0.1:99999' is no address"),
        (["--address", "tcp://127.0.0.1:60615", "--QueueServerExtension.public_key=x"], "public_key must be Z85 text"),
        (["--address", "tcp://127.0.0.1:60615", "--QueueServerExtension.events_address=x"], "'x' is no address"),
    ],
)
def test_an_address_that_is_none_ends_it_at_once(words: list[str], reason: str, instance: Instance) -> None:
    command = [sys.executable, "-m", "jupyter_queueserver", "server", "--data-dir", str(instance.data_dir), "--port", "0", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"The queue is not served here: {reason}" in done.stderr.replace("QueueServerExtension.", "")
    assert read_runtime(instance) is None


def test_ctrl_c_ends_everything_when_idle(serve: Callable[..., Server], instance: Instance) -> None:
    server = serve()
    server.wait_for(lambda status: status.get("manager_state") == "idle")
    runtime = read_runtime(instance)
    assert runtime is not None
    said = server.end(signal.SIGINT)
    assert server.process.returncode == 0
    assert "was idle and has ended" in said
    assert has_died(runtime)
    assert not instance.runtime_file.exists()


def test_the_last_server_ends_the_manager_even_while_the_environment_opens(
    serve: Callable[..., Server], instance: Instance, tmp_path: Path
) -> None:
    startup = tmp_path / "startup"
    startup.mkdir()
    (startup / "00-never-done.py").write_text("import threading\nthreading.Event().wait()\n")
    first = serve("--startup-dir", str(startup))
    first.wait_for(lambda status: status.get("manager_state") == "idle")
    runtime = read_runtime(instance)
    assert runtime is not None
    second = serve("--startup-dir", str(startup))
    second.wait_for(lambda status: status.get("manager_state") == "idle")
    said = second.end(signal.SIGINT)
    assert f"for the other Jupyter servers that are attached to it (process {first.process.pid})" in said
    assert f"not applied until it is started again: --startup-dir {startup}" in said
    assert read_runtime(instance) == runtime

    first.call("POST", "/environment/open")
    first.wait_for(lambda status: status.get("manager_state") == "creating_environment")
    said = first.end(signal.SIGINT)
    assert "The queue goes on" not in said
    assert has_died(runtime)
    assert list((instance.data_dir / "gateways").iterdir()) == []


def test_a_running_plan_outlives_the_server(serve: Callable[..., Server], instance: Instance) -> None:
    server = serve()
    server.wait_for(lambda status: status.get("manager_state") == "idle")
    server.call("POST", "/environment/open")
    server.wait_for(lambda status: status.get("worker_environment_state") == "idle")
    item_uid = server.call("POST", "/queue/item/add", item=LONG)["item"]["item_uid"]
    assert server.call("POST", "/queue/start")["success"]
    server.wait_for(lambda status: status.get("re_state") == "running")
    runtime = read_runtime(instance)
    assert runtime is not None
    server.end(signal.SIGKILL)

    again = serve()
    again.wait_for(lambda status: status.get("running_item_uid") == item_uid)
    said = again.end(signal.SIGINT)
    assert again.process.returncode == 0
    assert f"Come back with `jupyter queueserver --data-dir {instance.data_dir}`" in said
    assert "manager stop safe off" in said
    assert read_runtime(instance) == runtime

    with Client(instance=instance) as client:
        status = client.call("status")
        assert (status["running_item_uid"], status["re_state"]) == (item_uid, "running")
        assert client.call("manager_stop", option="safe_off")["success"]
    end = time.monotonic() + LIMIT
    while not has_died(runtime):
        assert time.monotonic() < end
        time.sleep(0.05)
