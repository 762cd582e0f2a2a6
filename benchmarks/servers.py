"""Servers under measurement: ours, the old one with its Redis, and ours under a Jupyter server.

Each lives in a temporary directory, on loopback or Unix sockets, and ends with everything that it started.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

import psutil

from .line import Line, is_closed, is_idle, is_open
from .processes import end, naming


def free_port() -> int:
    """A TCP port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server(ABC):
    """What a measurement needs of a server; `address` is that of its control socket."""

    name = ""
    address = ""

    def line(self) -> Line:
        """Return a new client."""
        return Line(self.address)

    def open(self) -> None:
        """Have the environment open."""
        with self.line() as line:
            if not is_open(line.call("status")):
                line.must("environment_open")
                line.until(is_open)

    def close(self) -> None:
        """Have the environment closed."""
        with self.line() as line:
            if is_open(line.call("status")):
                line.must("environment_close")
                line.until(is_closed)

    @abstractmethod
    def pids(self) -> dict[str, int]:
        """Process ids by role: watchdog, manager, worker, relay."""

    @abstractmethod
    def stop(self) -> None:
        """End it, and whatever it started."""


_ROLES = {
    "start-re-manager": "watchdog",
    "jupyter_queueserver.manager": "manager",
    "jupyter_queueserver.worker": "worker",
    "jupyter_queueserver.documents": "relay",
    "jupyter_queueserver.documents.tiled_server": "catalog",
}


class OurServer(Server):
    """``start-re-manager --detach --private`` on a data directory of its own."""

    name = "ours"

    def __init__(self, data_dir: Path, startup: Path, *options: str) -> None:
        self.data_dir = data_dir
        command = [sys.executable, "-m", "jupyter_queueserver", "start-re-manager", "--detach", "--private"]
        command += ["--data-dir", str(data_dir), "--startup-dir", str(startup), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"start-re-manager ended with status {done.returncode}: {done.stderr}")
        self.runtime = json.loads(done.stdout.strip().splitlines()[-1])
        self.address: str = self.runtime["control_address"]

    def pids(self) -> dict[str, int]:
        """Process ids by role."""
        return self.pids_in(self.data_dir)

    @staticmethod
    def pids_in(data_dir: Path) -> dict[str, int]:
        """Process ids by role of the server with that data directory."""
        found: dict[str, int] = {}
        for process in naming(str(data_dir)):
            with contextlib.suppress(psutil.Error):
                for word in process.cmdline():
                    if word in _ROLES:
                        found[_ROLES[word]] = process.pid
        return found

    def stop(self) -> None:
        """Ask the manager to stop; then end what is left."""
        ours = naming(str(self.data_dir))
        with contextlib.suppress(Exception), Line(self.address, limit=5) as line:
            line.call("manager_stop", option="safe_off")
        end([*ours, *naming(str(self.data_dir))])


class OldServer(Server):
    """The old server as an installed program, with a Redis of its own on loopback (the program's defaults, no saving)."""

    name = "old"

    def __init__(self, folder: Path, startup: Path, python: Path, *, redis_port: int | None = None) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._redis: subprocess.Popen[bytes] | None = None
        if redis_port is None:
            redis_port = free_port()
            self._redis = start_redis(folder, redis_port)
        self.redis_port = redis_port
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        command = [str(python), str(python.parent / "start-re-manager"), "--startup-dir", str(startup), "--quiet"]
        command += ["--zmq-control-addr", self.address, "--redis-addr", f"127.0.0.1:{redis_port}"]
        command += ["--redis-name-prefix", folder.name, "--console-output", "OFF"]
        with (folder / "log").open("wb") as log:
            self._watchdog = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True
            )

    def pids(self) -> dict[str, int]:
        """Process ids by role; the manager is the first child of the watchdog, the worker the next."""
        children = psutil.Process(self._watchdog.pid).children(recursive=True)
        pids = sorted(child.pid for child in children if "resource_tracker" not in " ".join(child.cmdline()))
        return {"watchdog": self._watchdog.pid, **dict(zip(("manager", "worker"), pids, strict=False))}

    def stop(self) -> None:
        """Ask the manager to stop; then end what is left, Redis last."""
        processes = [psutil.Process(self._watchdog.pid)]
        processes += processes[0].children(recursive=True)
        with contextlib.suppress(Exception), Line(self.address, limit=10) as line:
            line.call("manager_stop", option="safe_off")
        end(processes, patience=10)
        if self._redis is not None:
            self._redis.terminate()
            self._redis.wait(timeout=10)


def start_redis(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a Redis server on loopback, with its data in `folder`."""
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return process
        time.sleep(0.02)
    raise RuntimeError(f"redis-server did not start: {(folder / 'redis.log').read_text()}")


class Gateway:
    """A Jupyter server with the extension, which starts a manager of its own."""

    def __init__(self, folder: Path, startup: Path) -> None:
        self.data_dir = folder / "data"
        self.token = secrets.token_hex(16)
        self.port = free_port()
        (folder / "jupyter").mkdir(parents=True)
        command = [sys.executable, "-m", "jupyter_queueserver", "server", "--data-dir", str(self.data_dir)]
        command += ["--startup-dir", str(startup), "--manager-option=--saver", "--manager-option=none"]
        command += ["--no-browser", "--ip=127.0.0.1", f"--port={self.port}", f"--ServerApp.root_dir={folder}"]
        command += ["--allow-root"] if os.geteuid() == 0 else []
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR")
        environment = os.environ | {name: str(folder / "jupyter") for name in names} | {"JUPYTER_TOKEN": self.token}
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    @property
    def pid(self) -> int:
        """Of the Jupyter server."""
        return self._process.pid

    def wait(self, limit: float = 60.0) -> None:
        """Wait until the manager answers through it."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._answers():
                    return
            time.sleep(0.1)
        raise RuntimeError(f"The Jupyter server does not answer: {self.log.read_text()[-2000:]}")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", "/queueserver/api/status", headers={"Authorization": f"token {self.token}"})
            answer = connection.getresponse()
            text = answer.read()
        return answer.status == 200 and is_idle(json.loads(text))

    def stop(self) -> None:
        """End it; being idle, its manager ends with it."""
        ours = naming(str(self.data_dir))
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        end([*ours, *naming(str(self.data_dir))])
