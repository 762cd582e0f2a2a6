"""One instance and everything that runs in it, as a user would start it: server, worker, relay, perhaps a Jupyter server.

It starts what a user starts, knows who is who, and ends by leaving nothing.  What may go wrong is in `campaign.faults`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from harness import PROGRAM, Server, is_locked, is_process, until, wait_dead

from jupyter_queueserver.core.codec import from_json
from jupyter_queueserver.documents.launch import find_relay
from jupyter_queueserver.instance import read_runtime
from jupyter_queueserver.link.environment import read_environment
from jupyter_queueserver.manager.duty import read_duty
from jupyter_queueserver.manager.faultpoints import VARIABLE

Role = Literal["worker", "manager", "watchdog", "relay", "jupyter"]

STARTUP = Path(__file__).parent / "startup"
TOKEN = "campaign"
#: Seconds that anything may take: long, because the machine may be slow and nothing here measures.
PATIENCE = 90.0


class Broken(AssertionError):
    """A law does not hold."""


class World:
    """One instance in a directory of its own.

    Parameters
    ----------
    jupyter
        Whether a Jupyter server hosts the manager; else `start-re-manager` runs alone.
    """

    def __init__(self, *, jupyter: bool) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="jqs-campaign-"))
        startup = self.base / "startup"
        shutil.copytree(STARTUP, startup, ignore=shutil.ignore_patterns("__pycache__"))
        options = ("--startup-dir", str(startup), "--saver", "none")
        self.server = Server(self.base / "data", *options)
        self.instance = self.server.instance
        self.trace = self.base / "steps.log"
        self.script = self.instance.data_dir / "faults.json"
        self.has_jupyter = jupyter
        self.jupyter: subprocess.Popen[bytes] | None = None
        self.place = ""
        self._variable = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(self.script)

    # -- starting ------------------------------------------------------------------------------

    def start(self) -> None:
        """What a user does: start the Jupyter server if this world has one, else the server."""
        if self.has_jupyter:
            self.start_jupyter()
        else:
            self.start_server()

    def start_server(self) -> None:
        """``start-re-manager --detach``; a refusal is broken law."""
        command = [*PROGRAM, "start-re-manager", "--detach", "--private", "--data-dir", str(self.server.data_dir)]
        done = subprocess.run(
            [*command, *self.server.options], capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=self.base
        )
        if done.returncode != 0:
            raise Broken(f"start-re-manager is refused: {done.stderr.strip()}")

    def start_jupyter(self) -> None:
        """``jupyter queueserver`` on this instance."""
        log = self.base / "jupyter.log"
        places = {f"JUPYTER_{name}_DIR": str(self.base / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        words = ["--data-dir", str(self.server.data_dir), "--port", "0", "--startup-dir", str(self.base / "startup")]
        words += ["--manager-option=--saver", "--manager-option=none"]
        with log.open("wb") as output:
            self.jupyter = subprocess.Popen(
                [*PROGRAM, "server", *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.base,
                env=os.environ | places | {"JUPYTER_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"},
            )
        pattern = re.compile(r"Queue server: \S+?(127\.0\.0\.1:\d+)")
        found = until(lambda: pattern.search(log.read_text()), "the Jupyter server to tell its address", PATIENCE)
        self.place = found[1]

    @property
    def roles(self) -> tuple[Role, ...]:
        """Who is there, or should be."""
        return ("worker", "manager", "watchdog", "relay", *(("jupyter",) if self.has_jupyter else ()))

    # -- who is who ----------------------------------------------------------------------------

    def pid(self, role: Role) -> int | None:
        """The living process of that role; None if there is none."""
        pid = _FINDERS[role](self)
        return pid if pid is not None and is_process(pid) else None

    def crowd(self) -> dict[str, list[int]]:
        """All living processes of this instance by what they are, as their command lines tell."""
        found: dict[str, list[int]] = {}
        for pid, words in self.server.processes().items():
            kind = next((kind for kind, mark in _MARKS.items() if mark in words), "other")
            found.setdefault(kind, []).append(pid)
        return found

    def alive(self) -> bool:
        """Whether a manager answers."""
        reply = self.ask("status", limit=1.0)
        return reply is not None and "manager_state" in reply

    # -- talking -------------------------------------------------------------------------------

    def ask(self, method: str, /, *, limit: float, **params: Any) -> dict[str, Any] | None:
        """One request over 0MQ; None if no answer comes within that many seconds."""
        answer = self.server.try_send(json.dumps({"method": method, "params": params}).encode(), timeout=limit)
        return None if answer is None else from_json(answer)

    def ask_http(self, path: str, *, limit: float, **params: Any) -> dict[str, Any] | None:
        """One POST to the Jupyter server; None if no answer of a manager comes."""
        connection = http.client.HTTPConnection(self.place, timeout=limit)
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        try:
            connection.request("POST", f"/queueserver/api{path}", json.dumps(params), headers)
            reply = connection.getresponse()
            found = json.loads(reply.read())
            return found if reply.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()

    def must(self, method: str, /, **params: Any) -> dict[str, Any]:
        """A request to a manager that is well: it must be answered."""
        reply = self.ask(method, limit=PATIENCE, **params)
        if reply is None:
            raise Broken(f"{method} is not answered within {PATIENCE:g} s")
        return reply

    # -- the end -------------------------------------------------------------------------------

    def unlimit(self) -> None:
        """Take limits of file sizes back, from everybody who may have inherited them."""
        for pid in self.server.processes():
            with contextlib.suppress(OSError):
                hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    def end_jupyter(self) -> None:
        """Ctrl-C."""
        if self.jupyter is not None and self.jupyter.poll() is None:
            self.jupyter.send_signal(signal.SIGINT)
            self.jupyter.wait(PATIENCE)

    def check_gone(self) -> None:
        """Everything has been ended: no process, socket, lock, or file for the living may be left."""
        with contextlib.suppress(AssertionError):
            until(lambda: not self.server.processes(), "the end of all processes", PATIENCE)
        left: dict[str, Any] = {"processes": self.server.processes()}
        with contextlib.suppress(FileNotFoundError):
            left["sockets"] = [path.name for path in self.instance.sockets.iterdir()] or ["the directory itself"]
        locks = (self.instance.lease, self.instance.watchdog_lock, self.instance.journal / "relay.lock")
        left["locks"] = [path.name for path in locks if is_locked(path)]
        living = (self.instance.runtime_file, self.instance.environment_file)
        left["files"] = [path.name for path in living if path.exists()]
        if any(left.values()):
            raise Broken(f"left behind: { {kind: what for kind, what in left.items() if what} }")

    def stored(self) -> tuple[list[str], list[str]]:
        """uids of the queue and of the history, as another program reads them in the SQLite file."""
        with contextlib.closing(sqlite3.connect(f"file:{self.instance.store}?mode=ro", uri=True)) as database:
            queue = [uid for (uid,) in database.execute("SELECT uid FROM queue ORDER BY rank")]
            history = [uid for (uid,) in database.execute("SELECT uid FROM history ORDER BY n")]
        return queue, history

    def destroy(self) -> None:
        """Leave nothing behind, whatever has happened."""
        if self.jupyter is not None and self.jupyter.poll() is None:
            self.jupyter.kill()
            self.jupyter.wait()
        self.server.kill_all()
        for pid in self.server.processes():
            wait_dead(pid)
        self.server.close()
        if self._variable is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = self._variable

    def remove(self) -> None:
        """Delete the directory."""
        shutil.rmtree(self.base, ignore_errors=True)


def _worker(world: World) -> int | None:
    record = read_environment(world.instance)
    return record.identity.pid if record is not None and record.identity is not None else None


def _manager(world: World) -> int | None:
    runtime = read_runtime(world.instance)
    return runtime.manager.pid if runtime is not None else None


def _watchdog(world: World) -> int | None:
    note = read_duty(world.instance)
    return note.watchdog.pid if note is not None else None


def _relay(world: World) -> int | None:
    relay = find_relay(world.instance.data_dir)
    return relay.pid if relay is not None else None


def _jupyter(world: World) -> int | None:
    return world.jupyter.pid if world.jupyter is not None and world.jupyter.poll() is None else None


_FINDERS: dict[Role, Callable[[World], int | None]] = {
    "worker": _worker,
    "manager": _manager,
    "watchdog": _watchdog,
    "relay": _relay,
    "jupyter": _jupyter,
}
#: Words of the command lines.
_MARKS = {
    "manager": "jupyter_queueserver.manager",
    "relay": "jupyter_queueserver.documents",
    "worker": "jupyter_queueserver.worker",
    "watchdog": "start-re-manager",
    "jupyter": "jupyter_queueserver server",
}
