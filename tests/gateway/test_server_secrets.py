"""A real Jupyter server with a token: where it shows up, and how its manager can be reached."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from test_server_process import LIMIT, TOKEN, Server, serve

from jupyter_queueserver.instance import Instance, read_runtime

__all__ = ["serve"]


def texts_of(instance: Instance) -> dict[str, bytes]:
    """What the processes of the instance were started with, and all that they have written."""
    found = {str(path): path.read_bytes() for path in instance.data_dir.rglob("*") if path.is_file()}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            if os.fsencode(instance.data_dir) in words and b"\0server\0" not in words:
                found |= {f"cmdline of {folder.name}": words, f"environ of {folder.name}": (folder / "environ").read_bytes()}
        except OSError:
            continue
    return found


def listens_by_tcp(pid: int) -> bool:
    inodes = {os.readlink(handle)[8:-1] for handle in Path(f"/proc/{pid}/fd").iterdir() if handle.is_symlink()}
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]
    return any(fields[3] == "0A" and fields[9] in inodes for fields in lines)


def test_the_token_stays_where_it_is(serve: Callable[..., Server], instance: Instance) -> None:
    """Not in the Jupyter server's log though it is in addresses, not with manager and worker though it is a variable."""
    server = serve("--debug")
    server.wait_for(lambda status: status.get("manager_state") == "idle")
    runtime = read_runtime(instance)
    assert runtime is not None
    assert not listens_by_tcp(runtime.manager.pid), "the manager of a Jupyter server has its private Unix socket alone"
    assert runtime.tcp_address is None
    server.call("POST", "/environment/open")
    server.wait_for(lambda status: status.get("worker_environment_state") == "idle")
    script = "import os\nprint(dict(os.environ), flush=True)\n"
    assert server.call("POST", "/script/upload", script=script)["success"]
    server.wait_for(lambda status: status.get("manager_state") == "idle")
    for query in (f"?token={TOKEN}-x-{TOKEN}", f"?api_key={TOKEN}-x-{TOKEN}", f"?x=1&api_key={TOKEN}&y=2"):
        for verb, path in (("GET", "/status"), ("GET", "/nothing"), ("POST", "/queue/clear"), ("GET", "/info/ws")):
            connection = http.client.HTTPConnection(server.place, timeout=LIMIT)
            connection.request(verb, f"/queueserver/api{path}{query}")
            connection.getresponse().read()
            connection.close()
    found = texts_of(instance)
    assert any(name.startswith("environ of") for name in found)
    assert any(name.endswith("console.log") and b"PATH" in text for name, text in found.items())
    assert {name for name, text in found.items() if TOKEN.encode() in text} == set()
    assert server.call("POST", "/environment/close")["success"]
    server.wait_for(lambda status: status.get("worker_environment_state") == "closed")
    said = server.end(signal.SIGINT)
    assert "api_key=[secret]" in said
    lines = [line for line in said.splitlines() if TOKEN in line.replace("[secret]", "") and "queueserver" in line]
    assert lines == []


@pytest.mark.long
def test_noise_at_the_web_server(serve: Callable[..., Server]) -> None:
    """Half-open connections, garbage, and bodies that never come: others are served meanwhile, nothing stays."""
    server = serve()
    server.wait_for(lambda status: status.get("manager_state") == "idle")
    host, _, port = server.place.rpartition(":")
    fds = Path(f"/proc/{server.process.pid}/fd")
    before = len(list(fds.iterdir()))
    noise = [
        b"",
        b"\x16\x03\x01" * 100,
        b"GET /queueserver/api/status HTTP/1.1\r\n",
        b"POST /queueserver/api/queue/item/add HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n{",
        b"GET / HTTP/9.9\r\n\r\n" + b"\xff" * 5000,
        b"POST /queueserver/api/queue/clear HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"GET /queueserver/api/info/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\xff"
        + b"\xff" * 50,
    ]
    strangers = [socket.create_connection((host, int(port)), timeout=LIMIT) for _ in range(150)]
    for number, stranger in enumerate(strangers):
        stranger.sendall(noise[number % len(noise)])
    assert server.call("GET", "/status")["manager_state"] == "idle"
    for stranger in strangers:
        stranger.close()
    server.wait_for(lambda _: len(list(fds.iterdir())) <= before + 5)
    assert server.process.poll() is None
    server.end(signal.SIGINT)
