"""A real server for existing clients, and these clients as child processes of another Python.

The clients live in an environment of their own (``.venv-clients``, see the Makefile), which knows nothing of this package:
nothing here imports them.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from harness import PATIENCE, PROGRAM, Server, is_process

from jupyter_queueserver.instance import Runtime

ROOT = Path(__file__).parent.parent.parent
CLIENTS = ROOT / ".venv-clients" / "bin"
SCRIPTS = Path(__file__).parent / "clients"
TOKEN = "a1b2c3d4e5f60718"
EMERGENCY_KEY = "break-the-glass"
#: Seconds for one program of a client that waits for nothing.
LIMIT = 60.0


def need_clients() -> None:
    """Skip when the clients are not installed; under `make` that is a failure."""
    if (CLIENTS / "qserver").exists():
        return
    text = "the existing clients are not installed: run `make .venv-clients/.installed`"
    if os.environ.get("FOREIGN_CLIENTS") == "required":
        pytest.fail(text)
    pytest.skip(text)


def free_address() -> str:
    """A loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


class ForeignServer(Server):
    """A manager that existing clients find: TCP, console published; with a Jupyter server if `serve_http` is called.

    Parameters
    ----------
    base
        Directory that is this server's own; also the home of its clients.
    options
        Further options of `start-re-manager`.
    private_key
        CurveZMQ key (Z85); None: not encrypted.
    """

    def __init__(self, base: Path, *options: str, private_key: str | None = None) -> None:
        self.base = base
        self.control, self.info = free_address(), free_address()
        words = ("--zmq-control-addr", self.control, "--zmq-info-addr", self.info, "--zmq-publish-console", "ON")
        super().__init__(base / "data", *words, "--saver", "none", *options)
        self._private_key = private_key
        self._jupyter: subprocess.Popen[str] | None = None
        self.uri = ""

    def start(self) -> Runtime:
        """Run ``start-re-manager --detach``."""
        command = [*PROGRAM, "start-re-manager", "--detach", "--data-dir", str(self.data_dir), *self.options]
        env = clean_environment(self.base) | {"QSERVER_EMERGENCY_LOCK_KEY_FOR_SERVER": EMERGENCY_KEY}
        if self._private_key:
            env["QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER"] = self._private_key
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * 2, check=False, env=env)
        assert done.returncode == 0, f"the server does not start: {done.stderr}"
        return self.runtime()

    def serve_http(self) -> str:
        """Start a Jupyter server with the extension, attached to this manager; returns the URI that clients are given."""
        places = {f"JUPYTER_{name}_DIR": str(self.base / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        command = [*PROGRAM, "server", "--data-dir", str(self.data_dir), "--port", "0"]
        env = clean_environment(self.base) | places | {"JUPYTER_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}
        with (self.base / "jupyter.log").open("wb") as log:
            self._jupyter = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=env
            )
        assert self._jupyter.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", self._jupyter.stdout.readline())
        assert found, (self.base / "jupyter.log").read_text()
        self.uri = f"http://{found[0]}/queueserver"
        return self.uri

    def end(self) -> None:
        """End everything, in order where that is possible."""
        if self._jupyter is not None:
            self._jupyter.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._jupyter.wait(PATIENCE)
            self._jupyter.kill()
            self._jupyter.wait()
            assert self._jupyter.stdout is not None
            self._jupyter.stdout.close()
        self.kill_all()
        self.close()
        assert not [pid for pid in self.processes() if is_process(pid)]


@contextlib.contextmanager
def foreign_server(*options: str, private_key: str | None = None) -> Iterator[ForeignServer]:
    """A started server; everything of it is gone afterwards."""
    need_clients()
    base = Path(tempfile.mkdtemp(prefix="jqs-foreign-"))
    server = ForeignServer(base, *options, private_key=private_key)
    try:
        server.start()
        yield server
    finally:
        server.end()
        shutil.rmtree(base, ignore_errors=True)


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of a program that must know nothing of this machine's queue servers."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("QSERVER_", "JUPYTER_", "PYTHON"))}
    return kept | {"HOME": str(home)}


def run_client(
    script: str, home: Path, words: Mapping[str, Any], limit: float, *, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run a script of `clients/` with the clients' Python and return what it reports (its last line, JSON).

    Parameters
    ----------
    words
        What it is told, on its command line as JSON.
    limit
        Seconds until it is killed.
    env
        Its environment; None: `clean_environment`.
    """
    env = clean_environment(home) if env is None else env
    command = [str(CLIENTS / "python"), str(SCRIPTS / script), json.dumps(words)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, env=env, cwd=home)
    except subprocess.TimeoutExpired as err:
        said = "\n".join(part.decode() if isinstance(part, bytes) else part for part in (err.stdout, err.stderr) if part)
        raise AssertionError(f"{script} did not end within {limit:g} s\n{said[-4000:]}") from None
    assert done.returncode == 0, f"{script} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return json.loads(done.stdout.strip().splitlines()[-1])


def converse(
    server: ForeignServer, protocol: str, style: str, limit: float, *, chapters: list[str] | None = None
) -> dict[str, Any]:
    """Hold the conversation of `clients/api_conversation.py`; returns its report.

    Parameters
    ----------
    protocol, style
        ``zmq`` or ``http``, ``blocking`` or ``asyncio``.
    chapters
        The only ones to run; None: all but ``core``.
    """
    words = {
        "protocol": protocol,
        "style": style,
        "control": server.control,
        "info": server.info,
        "uri": server.uri,
        "token": TOKEN,
        "emergency_key": EMERGENCY_KEY,
        "nowhere": free_address(),
        "chapters": chapters,
    }
    return run_client("api_conversation.py", server.base, words, limit)


class OldQserver:
    """The command `qserver` of the clients' environment.

    Parameters
    ----------
    encoding
        json or msgpack.
    public_key
        Key of the server; empty: not encrypted.

    Attributes
    ----------
    called
        The words of every call so far, joined by blanks; without the lock key.
    """

    def __init__(self, server: ForeignServer, encoding: str = "json", public_key: str = "") -> None:
        self.server = server
        self.called: list[str] = []
        self._encoding = encoding
        self.env = clean_environment(server.base) | {"QSERVER_ZMQ_CONTROL_ADDRESS": server.control, "PYTHONUNBUFFERED": "1"}
        if encoding != "json":
            self.env["QSERVER_ZMQ_ENCODING"] = encoding
        if public_key:
            self.env["QSERVER_ZMQ_PUBLIC_KEY"] = public_key

    def __call__(self, *words: str, code: int = 0, key: str | None = None) -> dict[str, Any]:
        """Run it, expect an exit status, and return the reply that it printed (empty: none was)."""
        done = self.run(*words, key=key)
        assert done.returncode == code, f"qserver {' '.join(words)}: {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
        _, _, reply = done.stdout.partition(" - MESSAGE: ")
        return ast.literal_eval(reply.strip()) if reply else {}

    def run(self, *words: str, key: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, with a lock key and further environment variables."""
        self.called.append(" ".join(words))
        command = [str(CLIENTS / "qserver"), *words, *(() if key is None else ("-k", key))]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, env=self.env | env, cwd=self.server.base
        )
