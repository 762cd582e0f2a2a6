"""A server with TCP sockets, as existing clients use it: keys, encodings, the info socket, and what stands in the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from harness import PROGRAM, Server, freeze, kill, until

from jupyter_queueserver.instance import Runtime
from jupyter_queueserver.link.lists import load_lists

MakeServer = Callable[..., Server]

STARTUP = """
from bluesky import RunEngine
import bluesky.plan_stubs as bps
RE = RunEngine({})

def talks(text: str = "half a line"):
    print(text + " from the plan", flush=True)
    yield from bps.null()
"""
PERMISSIONS = "user_groups: {root: {allowed_plans: [null]}, primary: {allowed_plans: [null]}, %s: {}}\n"


@pytest.fixture
def startup(tmp_path: Path) -> Path:
    directory = tmp_path / "startup"
    directory.mkdir()
    (directory / "00.py").write_text(STARTUP)
    (directory / "user_group_permissions.yaml").write_text(PERMISSIONS % "first")
    return directory


def start(server: Server, startup: Path, *options: str, **environ: str) -> Runtime:
    """Start it in the background with TCP sockets at free ports."""
    command = [*PROGRAM, "start-re-manager", "--detach", "--data-dir", str(server.data_dir), "--saver", "none"]
    command += ["--startup-dir", str(startup), "--zmq-control-addr", "tcp://*:0", "--zmq-info-addr", "tcp://localhost:0"]
    if "QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER" not in environ:
        command[command.index("tcp://*:0")] = "tcp://127.0.0.1:0"
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environ}
    )
    assert done.returncode == 0, done.stderr
    return server.runtime()


class Wire:
    """Sockets of existing clients."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def ask(self, address: str, *frames: bytes, key: str | None = None, seconds: float = 5.0) -> bytes | None:
        """Send one request as REQ; None if no answer comes."""
        socket = self.context.socket(zmq.REQ)
        socket.set(zmq.LINGER, 0)
        if key is not None:
            public, secret = zmq.curve_keypair()
            socket.set(zmq.CURVE_SERVERKEY, key.encode())
            socket.set(zmq.CURVE_PUBLICKEY, public)
            socket.set(zmq.CURVE_SECRETKEY, secret)
        socket.connect(address.replace("*", "127.0.0.1").replace("0.0.0.0", "127.0.0.1"))  # noqa: S104 - connects
        try:
            socket.send_multipart(frames)
            return socket.recv() if socket.poll(int(seconds * 1000)) else None
        finally:
            socket.close()

    @contextlib.contextmanager
    def listen(self, address: str, decode: Callable[[bytes], Any]) -> Iterator[Callable[[bytes], Any]]:
        """Subscribe to everything; gives a function that returns the next message of a topic."""
        socket = self.context.socket(zmq.SUB)
        socket.connect(address)
        socket.subscribe(b"")

        def next_of(topic: bytes) -> Any:
            deadline = time.monotonic() + 60
            while socket.poll(max(0, int((deadline - time.monotonic()) * 1000))):
                found, payload = socket.recv_multipart()
                if found == topic:
                    return decode(payload)
            raise AssertionError(f"no message of topic {topic!r}")

        try:
            yield next_of
        finally:
            socket.close(linger=0)


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.context.destroy(linger=0)


STATUS = b'{"method": "status"}'


def test_with_a_key_who_has_it_is_answered(new_server: MakeServer, startup: Path, wire: Wire) -> None:
    """Any client key will do, a wrong server key or none ends in silence; the info socket is never encrypted."""
    server = new_server()
    public, private = (key.decode() for key in zmq.curve_keypair())
    runtime = start(server, startup, "--zmq-publish-console", "ON", QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER=private)
    address, info = runtime.tcp_address, runtime.info_address
    assert address is not None
    assert info is not None
    assert runtime.public_key == public
    assert info.startswith("tcp://127.0.0.1:")
    for _ in range(2):  # a new client key each time
        answer = wire.ask(address, STATUS, key=public)
        assert answer is not None
        assert json.loads(answer)["manager_state"] == "idle"
    other = zmq.curve_keypair()[0].decode()
    assert wire.ask(address, STATUS, key=other, seconds=0.7) is None
    assert wire.ask(address, STATUS, seconds=0.7) is None
    assert wire.ask(address, STATUS, key=public) is not None
    with wire.listen(info, msgspec.json.decode) as next_of:
        assert next_of(b"QS_Info")["msg"]["status"]["manager_state"] == "idle"
    assert server.status()["manager_state"] == "idle"  # the private socket needs no key
    server.stop()


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_requests_and_publications(new_server: MakeServer, startup: Path, wire: Wire, encoding: str) -> None:
    server = new_server()
    runtime = start(server, startup, "--zmq-publish-console", "ON", "--zmq-encoding", encoding)
    module = msgspec.json if encoding == "json" else msgspec.msgpack
    assert runtime.tcp_address is not None
    assert runtime.info_address is not None

    def ask(*frames: bytes) -> Any:
        answer = wire.ask(str(runtime.tcp_address), *frames)
        assert answer is not None
        return module.decode(answer)

    request = module.encode({"method": "status"})
    assert ask(request)["manager_state"] == "idle"
    refused = ask(request, b"second frame")
    assert set(refused) == {"success", "msg"}
    assert not refused["success"]
    assert refused["msg"].startswith("Failed to decode the request: ")
    assert ask(b"\xc1")["msg"].startswith("Failed to decode the request: ")
    assert ask(request)["manager_state"] == "idle", "the service goes on"
    with wire.listen(runtime.info_address, module.decode) as next_of:
        first, second = next_of(b"QS_Info"), next_of(b"QS_Info")
        assert second["time"] - first["time"] < 1.5
        server.open()
        states = {first["msg"]["status"]["manager_state"]}
        while "creating_environment" not in states or second["msg"]["status"]["worker_environment_state"] != "idle":
            second = next_of(b"QS_Info")
            states.add(second["msg"]["status"]["manager_state"])
        server.ok("queue_item_add", item={"name": "talks", "item_type": "plan"}, user="me", user_group="primary")
        server.ok("queue_start")
        text = ""
        while "half a line from the plan\n" not in text:
            message = next_of(b"QS_Console")
            assert set(message) == {"time", "msg"}
            text += message["msg"]
    server.stop()


def shows(terminal: Path, text: bytes) -> None:
    """Wait until that is in the terminal."""
    try:
        until(lambda: text in terminal.read_bytes(), f"{text!r} in the terminal")
    except AssertionError as err:
        raise AssertionError(f"{err}; there is: {terminal.read_text()}") from None


def test_the_terminal_shows_manager_worker_and_plan(new_server: MakeServer, startup: Path, tmp_path: Path) -> None:
    """Also after the terminal has come back to a manager that lives, and not what was shown before."""
    server = new_server()
    command = [*PROGRAM, "start-re-manager", "--private", "--data-dir", str(server.data_dir), "--saver", "none"]
    command += ["--startup-dir", str(startup), "--verbose"]
    out = tmp_path / "terminal.txt"

    def terminal() -> subprocess.Popen[bytes]:
        with out.open("wb") as file:
            return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def run(text: str) -> None:
        item = {"name": "talks", "item_type": "plan", "kwargs": {"text": text}}
        server.ok("queue_item_add", item=item, user="me", user_group="primary")
        server.ok("queue_start")
        server.wait_state("idle")

    process = terminal()
    try:
        until(lambda: b"is ready" in out.read_bytes(), "the manager")
        server.open()
        run("early")
        shows(out, b"early from the plan\n")
        process.kill()
        process.wait(10)
        server.wait_watchdog(process.pid)
        process = terminal()
        until(lambda: b"watches over it from now on" in out.read_bytes(), "the terminal to be back")
        run("late")
        shows(out, b"late from the plan\n")
        assert b"early from the plan" not in out.read_bytes()
        server.stop()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(15)
    assert b"from the plan" not in (server.instance.logs / "manager.log").read_bytes()
    assert b"The manager has ended" in (server.instance.logs / "watchdog.log").read_bytes()


def test_monitor_of_an_instance_needs_no_setting(new_server: MakeServer, startup: Path, tmp_path: Path) -> None:
    """`qserver-console-monitor --data-dir` listens to the event stream, and goes on with the next manager."""
    server = new_server()
    start(server, startup)
    server.open()
    out = tmp_path / "monitor.txt"
    command = [*PROGRAM, "qserver-console-monitor", "--data-dir", str(server.data_dir)]
    with out.open("wb") as file:
        monitor = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        for text in ("one", "two"):
            item = {"name": "talks", "item_type": "plan", "kwargs": {"text": text}}
            server.ok("queue_item_add", item=item, user="me", user_group="primary")
            server.ok("queue_start")
            server.wait_state("idle")
            until(lambda text=text: f"{text} from the plan\n" in out.read_text(), "the plan's text")
            before = server.manager
            os.kill(before, signal.SIGKILL)
            server.wait_new_manager(before)
            server.wait_for(lambda status: status["worker_environment_state"] == "idle", "the worker to be adopted")
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(10) == 0
    finally:
        monitor.kill()
        monitor.wait()
    assert out.read_text().count("one from the plan") == 1
    server.stop()


def test_kernel_by_tcp_with_a_copied_connection_file(new_server: MakeServer, startup: Path, tmp_path: Path) -> None:
    """A restarted manager adopts it; the copy goes with the environment."""
    server = new_server()
    options = ["--use-ipython-kernel", "ON", "--ipython-kernel-ip", "localhost", "--ipython-matplotlib", "svg"]
    copy = tmp_path / "runtime" / "kernel-lab.json"
    start(server, startup, *options, "--ipython-connection-file", copy.name, "--ipython-connection-dir", str(copy.parent))
    server.open()
    info = server.ok("config_get")["config"]["ip_connect_info"]
    assert (info["transport"], info["ip"]) == ("tcp", "127.0.0.1")
    assert json.loads(copy.read_text())["key"] == info["key"]
    assert b"MPLBACKEND=svg" in Path(f"/proc/{server.worker}/environ").read_bytes().split(b"\0")
    before, worker = server.manager, server.worker
    os.kill(before, signal.SIGKILL)
    server.wait_new_manager(before)
    server.wait_for(lambda status: status["worker_environment_state"] == "idle", "the worker to be adopted")
    assert server.worker == worker
    server.ok("environment_close")
    until(lambda: not copy.exists(), "the copy to be removed")
    server.stop()


def test_profile_is_loaded_before_the_script(new_server: MakeServer, startup: Path, tmp_path: Path) -> None:
    """With the kernel shown; the two YAML files are found in the profile."""
    server = new_server()
    profile = tmp_path / "ipython" / "profile_lab"
    profile.mkdir(parents=True)
    startup.rename(profile / "startup")
    script = tmp_path / "more.py"
    script.write_text("import bluesky.plan_stubs as bps\nfirst = talks\ndef sings():\n    yield from bps.null()\n")
    command = [*PROGRAM, "start-re-manager", "--detach", "--private", "--data-dir", str(server.data_dir), "--saver", "none"]
    command += ["--startup-profile", "lab", "--startup-script", str(script), "--use-ipython-kernel", "ON"]
    environ = {**os.environ, "IPYTHONDIR": str(profile.parent)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    server.open()
    assert sorted(server.ok("plans_existing")["plans_existing"]) == ["first", "sings", "talks"]
    assert "first" in server.ok("permissions_get")["user_group_permissions"]["user_groups"]
    path = profile / "startup" / "existing_plans_and_devices.yaml"
    until(path.exists, "the file")
    server.stop()


def test_port_in_use_fails_the_opening_with_a_sentence(new_server: MakeServer, startup: Path) -> None:
    server = new_server()
    with zmq.Context() as context, context.socket(zmq.REP) as taken:
        port = taken.bind_to_random_port("tcp://127.0.0.1")
        start(server, startup, "--use-ipython-kernel", "ON", "--ipython-shell-port", str(port))
        server.ok("environment_open")
        status = server.wait_for(lambda status: status["environment_failure"], "the failure")
    assert f"shell channel cannot use 127.0.0.1:{port}" in status["environment_failure"]["msg"]
    assert status["worker_environment_state"] == "closed"
    server.stop()


@pytest.mark.parametrize("reload", ["ON_STARTUP", "ON_REQUEST", "NEVER"])
def test_which_permissions_hold_after_a_start(new_server: MakeServer, startup: Path, reload: str) -> None:
    server = new_server()
    options = ("--user-group-permissions-reload", reload)
    start(server, startup, *options)
    assert "first" in server.ok("permissions_get")["user_group_permissions"]["user_groups"]
    server.stop()
    (startup / "user_group_permissions.yaml").write_text(PERMISSIONS % "second")
    start(server, startup, *options)
    expected = "second" if reload == "ON_STARTUP" else "first"
    assert expected in server.ok("permissions_get")["user_group_permissions"]["user_groups"]
    server.stop()


def test_lists_of_the_file_are_known_to_a_new_instance(new_server: MakeServer, startup: Path) -> None:
    """Written by one server when it opens its environment, read by another before it ever did."""
    first, second = new_server(), new_server()
    start(first, startup)
    first.open()
    path = startup / "existing_plans_and_devices.yaml"
    until(path.exists, "the file")
    first.stop()
    found = load_lists(path)
    assert found is not None
    assert list(found[0]) == ["talks"]
    start(second, startup)
    assert list(second.ok("plans_allowed", user_group="primary")["plans_allowed"]) == ["talks"]
    second.ok("queue_item_add", item={"name": "talks", "item_type": "plan"}, user="me", user_group="primary")
    assert not second.call("queue_item_add", item={"name": "sings", "item_type": "plan"}, user="me", user_group="primary")[
        "success"
    ]
    second.stop()


def test_a_taken_port_does_not_keep_a_new_manager_from_its_work(new_server: MakeServer, startup: Path, wire: Wire) -> None:
    """The queue goes on; clients by TCP are served as soon as the port is free again."""
    server = new_server()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start(server, startup, "--zmq-control-addr", f"tcp://127.0.0.1:{port}")
    server.open()
    manager, watchdog = server.manager, server.watchdog
    freeze(watchdog)
    kill(manager)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        os.kill(watchdog, signal.SIGCONT)
        server.wait_new_manager(manager)
        uid = server.add("talks")
        server.ok("queue_start")
        server.wait_state("idle")
        assert [entry["item_uid"] for entry in server.history()] == [uid]
        assert server.runtime().tcp_address is None
    until(lambda: server.runtime().tcp_address, "the address by TCP")
    answer = wire.ask(f"tcp://127.0.0.1:{port}", b'{"method": "ping", "params": {}}')
    assert answer is not None
    assert json.loads(answer)["manager_state"] == "idle"
    server.stop()
