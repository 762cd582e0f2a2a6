"""`qserver-console` and `qserver-console-monitor` with a server that is a socket of the test."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from jupyter_queueserver.programs import console

LIMIT = 60.0
INFO = {
    "transport": "tcp",
    "ip": "127.0.0.1",
    "key": "secret",
    "shell_port": 1,
    "iopub_port": 2,
    "stdin_port": 3,
    "control_port": 4,
    "hb_port": 5,
    "signature_scheme": "hmac-sha256",
}
#: Stands in for Jupyter's console: notes what it was given and ends with a status of its own.
FAKE = """
import json, os, stat, sys
path = sys.argv[1].removeprefix("--existing=")
mode = stat.S_IMODE(os.stat(path).st_mode)
json.dump({"path": path, "mode": mode, "info": json.load(open(path))}, open(os.environ["FAKE_NOTE"], "w"))
sys.exit(7)
"""

Serve = Callable[[dict[str, Any]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers one request with that configuration; returns its address."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    threads: list[threading.Thread] = []

    def start(config: dict[str, Any]) -> str:
        socket = context.socket(zmq.REP)
        port = socket.bind_to_random_port("tcp://127.0.0.1")

        def answer() -> None:
            if socket.poll(int(LIMIT * 1000)):
                request = json.loads(socket.recv())
                assert request["method"] == "config_get"
                socket.send(json.dumps({"success": True, "msg": "", "config": config}).encode())
            socket.close(linger=1000)

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return f"tcp://127.0.0.1:{port}"

    yield start
    for thread in threads:
        thread.join()
    context.destroy(linger=0)


@pytest.mark.parametrize(("name", "module"), [("qserver-console", "jupyter_console"), ("qserver-qtconsole", "qtconsole")])
def test_the_console_is_run_with_a_private_connection_file(serve: Serve, tmp_path: Path, name: str, module: str) -> None:
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").write_text("")
    (tmp_path / module / "__main__.py").write_text(FAKE)
    note = tmp_path / "note.json"
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_queueserver", name, "-a", serve({"ip_connect_info": INFO})],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "FAKE_NOTE": str(note)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    found = json.loads(note.read_text())
    assert found["info"] == INFO
    assert found["mode"] == 0o600
    assert not Path(found["path"]).exists()


def test_without_kernel(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["-a", serve({"ip_connect_info": {}})]) == 5
    assert "--use-ipython-kernel ON" in capsys.readouterr().err
    elsewhere = {**INFO, "transport": "ipc", "ip": "/nowhere/k1"}
    assert console.main(["-a", serve({"ip_connect_info": elsewhere})]) == 5
    assert "--ipython-kernel-ip" in capsys.readouterr().err
    assert console.main(["-a", serve({"ip_connect_info": {"ip": "x"}})]) == 5
    assert "shell_port" in capsys.readouterr().err


def test_without_the_package(serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert console.main(["-a", serve({"ip_connect_info": INFO})]) == 4
    assert "pip install jupyter-console" in capsys.readouterr().err


def test_without_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["--data-dir", str(tmp_path)]) == 3
    assert "no answer" in capsys.readouterr().err
    assert console.main(["-a", "nonsense"]) == 1
    assert "no address" in capsys.readouterr().err


@pytest.fixture
def publisher() -> Iterator[zmq.Socket[bytes]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.bind("tcp://127.0.0.1:*")
    yield socket
    context.destroy(linger=0)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_monitor_prints_console_text(publisher: zmq.Socket[bytes], encoding: str) -> None:
    address = publisher.getsockopt_string(zmq.LAST_ENDPOINT)
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_queueserver", "qserver-console-monitor", "--zmq-encoding", encoding],
        env={**os.environ, "QSERVER_ZMQ_INFO_ADDRESS": address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert publisher.poll(int(LIMIT * 1000)), "the monitor does not subscribe"
        assert publisher.recv() == b"\x01QS_Console"
        pack = msgspec.json.encode if encoding == "json" else msgspec.msgpack.encode
        publisher.send_multipart([b"QS_Info", pack({"time": 1.0, "msg": {"status": {}}})])
        publisher.send_multipart([b"QS_Console", b"\xc1"])  # in no encoding
        for text in ("half a ", "line\nand µ\n"):
            publisher.send_multipart([b"QS_Console", pack({"time": 1.0, "msg": text})])
        expected = "half a line\nand µ\n".encode()
        seen = b""
        deadline = time.monotonic() + LIMIT
        while len(seen) < len(expected):
            assert select.select([process.stdout], [], [], deadline - time.monotonic())[0], seen
            seen += os.read(process.stdout.fileno(), 4096)
        assert seen == expected
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert b"could not be read" in err
