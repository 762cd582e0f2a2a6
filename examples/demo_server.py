"""The server of the demo: a process that is started, talked to over HTTP, stopped, and looked after for leftovers.

It uses nothing of the package but the name of the program and the places of files, as any user's program could.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_queueserver.instance import find_instance, read_runtime

#: Every process of the demo inherits this variable; so they are found again whoever started them.
MARK = "JUPYTER_QUEUESERVER_DEMO"


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


class DemoServer:
    """A Jupyter server with the queue server on a free loopback port.

    Parameters
    ----------
    folder
        Where its files go: ``data`` (unless another data directory is given), Jupyter's own ones, ``server.log``.
    data_dir
        Data directory of the queue server.
    """

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.log = folder / "server.log"
        self.url = ""
        self._folder = folder
        self._token = secrets.token_hex(16)
        self._mark = secrets.token_hex(8)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait for its address; raises `DemoError`."""
        os.environ[MARK] = self._mark
        places = {f"JUPYTER_{name.upper()}_DIR": str(self._folder / "jupyter" / name) for name in ("config", "data", "runtime")}
        places["TMPDIR"] = str(self._folder)  # so that what a killed process could not remove goes with the folder
        environment = os.environ | places | {"JUPYTER_TOKEN": self._token, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "jupyter_queueserver", "server", "--data-dir", str(self.data_dir), "--port", "0"]
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C ends the demo, which then stops the server in order
            )
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            word, _, address = line.decode().partition(": ")
            if word == "Queue server":
                self.url = address.partition("/queueserver")[0].strip()
                return
        raise DemoError(f"The server ended at its start:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The end of what the server and the manager said."""
        logs = [self.log, *sorted((self.data_dir / "logs").glob("*.log"))]
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs if log.exists())

    async def call(self, verb: str, path: str, **params: Any) -> dict[str, Any]:
        """Call a REST route and return its reply; raises `DemoError` when it refuses."""
        request = HTTPRequest(
            f"{self.url}/queueserver/api{path}",
            method=verb,
            headers=self._headers() | {"Content-Type": "application/json"},
            body=json.dumps(params),
            allow_nonstandard_methods=True,
        )
        response = await AsyncHTTPClient().fetch(request, raise_error=False)
        reply = json.loads(response.body or b"{}")
        if response.code != 200 or not reply.get("success", True):
            raise DemoError(f"{verb} {path} was refused ({response.code}): {reply.get('detail') or reply.get('msg')}")
        return reply

    async def wait_ready(self, limit: float = 20.0) -> dict[str, Any]:
        """Wait until the manager answers; returns its status."""
        end = asyncio.get_running_loop().time() + limit
        while True:
            try:
                return await self.call("GET", "/status")
            except DemoError:
                if asyncio.get_running_loop().time() > end:
                    raise
                await asyncio.sleep(0.1)

    async def events(self) -> WebSocketClientConnection:
        """Open the event stream."""
        address = f"{self.url.replace('http', 'ws', 1)}/queueserver/api/events?topics=state,documents"
        return await websocket_connect(HTTPRequest(address, headers=self._headers()))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self._token}"}

    async def stop(self, limit: float = 30.0) -> None:
        """Stop it as Ctrl-C does; raises `DemoError` when it does not end."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(limit):
                await self._process.wait()
        except TimeoutError as err:
            raise DemoError(f"The server did not end within {limit:g} s.\n{self.log_tail()}") from err

    def leftovers(self) -> list[str]:
        """Say what is still there of it: processes, port, socket files, locks."""
        instance = find_instance(self.data_dir)
        found = self._living()
        port = int(self.url.rpartition(":")[2] or 0)
        if port and _is_open(port):
            found.append(f"port {port}")
        found += [f"socket {path}" for path in instance.sockets.glob("*")]
        found += [f"lock {path}" for path in (instance.lease, instance.watchdog_lock) if _is_locked(path)]
        found += [f"file {path}" for path in (instance.runtime_file, instance.environment_file) if path.exists()]
        return found

    def clean(self) -> None:
        """Remove the empty folder of the sockets."""
        with contextlib.suppress(OSError):
            find_instance(self.data_dir).sockets.rmdir()

    def remove(self, limit: float = 5.0) -> list[str]:
        """End every process of the demo at once and remove its files; returns what is left after ``limit`` seconds."""
        instance = find_instance(self.data_dir)
        sockets = instance.sockets  # found by means of a file that is removed below
        end = time.monotonic() + limit
        while self._living() and time.monotonic() < end:  # one that is dying may have started another
            self.kill()
            time.sleep(0.05)
        if read_runtime(instance) is None:  # with --data-dir there may be a manager of somebody else
            shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        return self._living()

    def _living(self) -> list[str]:
        return [f"process {pid}: {command}" for pid, command in self._processes()]

    def kill(self) -> None:
        """End every process of the demo, for a demo that failed."""
        for pid, _ in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _processes(self) -> Iterator[tuple[int, str]]:
        """Processes that inherited the mark, this one excepted."""
        if not Path("/proc/self/environ").exists():
            yield from self._processes_by_name()
            return
        wanted = f"{MARK}={self._mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = wanted in (folder / "environ").read_bytes().split(b"\0")
                is_dead = (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
                command = (folder / "cmdline").read_text().replace("\0", " ").strip()
            except OSError:
                continue
            if is_ours and not is_dead and int(folder.name) != os.getpid():
                yield int(folder.name), command

    def _processes_by_name(self) -> Iterator[tuple[int, str]]:
        lines = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True).stdout  # noqa: S607
        for line in lines.splitlines():
            pid, _, command = line.strip().partition(" ")
            if str(self.data_dir) in command and int(pid) != os.getpid():
                yield int(pid), command


def _is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
