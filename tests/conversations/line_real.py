"""Ways in to a real manager with a real worker: 0MQ in both encodings, with and without CurveZMQ, and HTTP.

Changes are heard on the manager's private event stream in every case, so that nothing here asks again and again.
"""

from __future__ import annotations

import abc
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import zmq
from harness import PATIENCE, PROGRAM, Server
from line import EMERGENCY_KEY, Line, Reply, Status

from jupyter_queueserver.api import methods
from jupyter_queueserver.api.http_form import NOT_SERVED
from jupyter_queueserver.client import Client
from jupyter_queueserver.instance import Runtime

TOKEN = "a1b2c3d4e5f60718"
LIMIT = 60.0


class TalkServer(Server):
    """A manager with TCP and the shipped profile, and a Jupyter server if it is wanted.

    Parameters
    ----------
    options
        Further options of `start-re-manager`.
    private_key
        CurveZMQ key (Z85); None: not encrypted.
    """

    def __init__(self, *options: str, private_key: str | None = None) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="jqs-talk-"))
        self.control = _free_address()
        words = ("--zmq-control-addr", self.control, "--saver", "none", "--use-ipython-kernel", "ON", *options)
        super().__init__(self.base / "data", *words)
        self._private_key = private_key
        self._jupyter: subprocess.Popen[str] | None = None

    @property
    def _environ(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("QSERVER_", "JUPYTER_"))}
        places = {f"JUPYTER_{name}_DIR": str(self.base / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        return kept | places | {"JUPYTER_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}

    def start(self) -> Runtime:
        """Run ``start-re-manager --detach``."""
        command = [*PROGRAM, "start-re-manager", "--detach", "--data-dir", str(self.data_dir), *self.options]
        keys = {"QSERVER_EMERGENCY_LOCK_KEY_FOR_SERVER": EMERGENCY_KEY}
        if self._private_key is not None:
            keys["QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER"] = self._private_key
        environ = self._environ | keys
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False, env=environ)
        assert done.returncode == 0, f"the server does not start: {done.stderr}"
        return self.runtime()

    def serve_http(self) -> str:
        """Start a Jupyter server that is attached to this manager; returns its place (host and port)."""
        command = [*PROGRAM, "server", "--data-dir", str(self.data_dir), "--port", "0"]
        with (self.base / "jupyter.log").open("wb") as log:
            self._jupyter = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environ
            )
        assert self._jupyter.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", self._jupyter.stdout.readline())
        assert found, (self.base / "jupyter.log").read_text()
        return found[0]

    def end(self) -> None:
        """End everything, in order where that is possible, and remove the files."""
        if self._jupyter is not None:
            self._jupyter.send_signal(signal.SIGTERM)
            try:
                self._jupyter.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._jupyter.kill()
                self._jupyter.wait()
            assert self._jupyter.stdout is not None
            self._jupyter.stdout.close()
        self.kill_all()
        self.close()
        shutil.rmtree(self.base, ignore_errors=True)


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def python_json(value: Any) -> bytes:
    """Python's dialect of JSON, as existing clients send it."""
    return json.dumps(value).encode()


class RealLine(Line):
    """What the ways in to a real manager have in common."""

    def __init__(self, server: TalkServer) -> None:
        super().__init__(server.base)
        self.server = server
        self._mark = 0

    def wait(self, condition: Callable[[Status], Any], what: str) -> Status:
        return self.server.wait_for(condition, what)

    def mark(self) -> None:
        self._catch_up()
        self._mark = len(self._shown()) - 1

    def states(self) -> list[str]:
        self._catch_up()
        shown = [status["manager_state"] for status in self._shown()[self._mark :]]
        return [state for place, state in enumerate(shown) if place == 0 or state != shown[place - 1]]

    def _catch_up(self) -> None:
        """Hear everything that had happened by now."""
        now = self.server.status()["status_uid"]
        deadline = time.monotonic() + LIMIT
        while not (shown := self._shown()) or all(status["status_uid"] != now for status in reversed(shown)):
            assert self.server.events.next(deadline) is not None, "the present status was never published"

    def _shown(self) -> list[Status]:
        return [message["status"] for message in self.server.events.log if "status" in message]

    def let_go(self, path: str) -> None:
        Path(path).touch()

    @abc.abstractmethod
    def malformed(self) -> list[tuple[int, Reply]]:
        """Send what is no request; returns the answers, with their status where there is one (else 200)."""

    def close(self) -> None:
        """Close the connection."""


class ZmqLine(RealLine):
    """The manager's TCP control socket, as existing clients use it.

    Parameters
    ----------
    encoding
        ``json`` or ``msgpack``.
    public_key
        Of the server; None: not encrypted.

    Attributes
    ----------
    encode
        Makes a request's frame.
    """

    way = "0MQ"

    def __init__(self, server: TalkServer, encoding: str = "json", public_key: bytes | None = None) -> None:
        super().__init__(server)
        self.encode: Callable[[Any], bytes] = python_json if encoding == "json" else msgspec.msgpack.encode
        self._decode: Callable[[bytes], Any] = json.loads if encoding == "json" else msgspec.msgpack.decode
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.REQ_RELAXED, 1)
        if public_key is not None:
            own_public, own_secret = zmq.curve_keypair()
            self._socket.set(zmq.CURVE_SERVERKEY, public_key)
            self._socket.set(zmq.CURVE_PUBLICKEY, own_public)
            self._socket.set(zmq.CURVE_SECRETKEY, own_secret)
        self._socket.connect(server.control)

    def exchange(self, method: str, params: dict[str, Any]) -> Reply:
        answer = self.send(self.encode({"method": method, "params": params}))
        assert answer is not None, f"no answer within {LIMIT:g} s to {method}"
        return answer

    def send(self, *frames: bytes, limit: float = LIMIT) -> Any:
        """Send these frames; returns the decoded answer, None if none came."""
        self._socket.send_multipart(frames)
        return self._decode(self._socket.recv()) if self._socket.poll(int(limit * 1000)) else None

    def malformed(self) -> list[tuple[int, Reply]]:
        wrong = ["text", [], {}, {"method": "status", "surplus": 1}, {"method": "fly"}, {"method": None}]
        frames = [(b"\xc1",), (b"",), (b"", b"x"), (b"x", b"y"), *((self.encode(value),) for value in wrong)]
        return [(200, self.send(*each)) for each in frames]

    def close(self) -> None:
        self._context.destroy(linger=0)


class ClientLine(RealLine):
    """The Python client of this package."""

    way = "client"
    submitter = "filled"

    def __init__(self, server: TalkServer) -> None:
        super().__init__(server)
        self._client = Client(server.control, timeout=LIMIT, user=self.user, user_group=self.user_group)

    def exchange(self, method: str, params: dict[str, Any]) -> Reply:
        return self._client.call(method, **params)

    def malformed(self) -> list[tuple[int, Reply]]:
        return [(200, self._client.call("fly"))]

    def close(self) -> None:
        self._client.close()


class HttpLine(RealLine):
    """The REST interface of a Jupyter server."""

    way = "REST"
    submitter = "known"

    def __init__(self, server: TalkServer, place: str) -> None:
        super().__init__(server)
        self._connection = http.client.HTTPConnection(place, timeout=LIMIT)
        self.user = self._send("GET", "/auth/whoami", {})["identities"][0]["id"]

    def serves(self, method: str) -> bool:
        return method not in NOT_SERVED

    def exchange(self, method: str, params: dict[str, Any]) -> Reply:
        route = methods()[method]
        return self._send(route.verb, route.path, params)

    def malformed(self) -> list[tuple[int, Reply]]:
        bodies = (b"{", b"[]", b"null", b'"text"', b'{"item": \xff}', b"")
        replies = [self._send_text("POST", "/queue/item/add/batch", body) for body in bodies]
        return [(reply.pop("http_status", 200), reply) for reply in replies]

    def _send(self, verb: str, path: str, body: dict[str, Any]) -> Reply:
        return self._send_text(verb, path, json.dumps(body).encode())

    def _send_text(self, verb: str, path: str, body: bytes) -> Reply:
        headers = {"Authorization": f"ApiKey {TOKEN}", "Content-Type": "application/json"}
        self._connection.request(verb, f"/queueserver/api{path}", body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.headers.get_content_type() == "application/json", (answer.status, text[:200])
        said = json.loads(text)
        return said if answer.status == 200 else {"http_status": answer.status} | said

    def close(self) -> None:
        self._connection.close()
