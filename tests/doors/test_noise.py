"""Noise at every socket: garbage, half-open clients, scans, huge frames, clients that send a byte now and then.

Nobody is restarted by it, nothing is left of it, and who is there on business is served meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from doors_stage import ALL_DOORS, listening, start
from harness import Held, Server, until

MakeServer = Callable[..., Server]
Address = tuple[str, int] | str

#: The beginning of every conversation in ZMTP 3.1 without encryption.
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
#: Fewer than a crowd for which newcomers are held off, more than any client makes.
SCANS, HALF_OPEN, SLOW = 200, 100, 5


def command(name: bytes, **properties: bytes) -> bytes:
    """A ZMTP command frame."""
    body = bytes([len(name)]) + name
    for key, value in properties.items():
        word = key.replace("_", "-").encode()
        body += bytes([len(word)]) + word + struct.pack(">I", len(value)) + value
    return b"\x04" + bytes([len(body)]) + body


def ready(kind: bytes) -> bytes:
    """Greeting and first command of a peer of that kind."""
    return GREETING + command(b"READY", Socket_Type=kind, Identity=b"")


def openings(seed: int) -> list[bytes]:
    """What a stranger may send."""
    noise = random.Random(seed)
    made = [
        b"",
        b"\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise.randbytes(500),
        b"\xff" * 200,
        bytes(200),
        GREETING[:20],
        GREETING,
        GREETING.replace(b"NULL", b"CURVE")[:64] + noise.randbytes(300),
        GREETING.replace(b"NULL", b"PLAIN")[:64] + command(b"HELLO", u=b"x"),
        GREETING + command(b"READY", Socket_Type=b"X" * 200),
        GREETING + b"\x06" + struct.pack(">Q", 1 << 62) + b"READY",
        GREETING + command(b"ERROR"),
        GREETING + b"\x04\x00",
        ready(b"REP"),
        *(ready(kind) + b"\x02" + struct.pack(">Q", 1 << 40) + b"x" * 1000 for kind in (b"REQ", b"DEALER", b"SUB", b"PUSH")),
        *(ready(kind) + b"\x02" + struct.pack(">Q", (1 << 64) - 1) for kind in (b"REQ", b"DEALER", b"SUB", b"PUSH")),
        *(ready(kind) + b"\x00\x03abc" * 50 for kind in (b"REQ", b"DEALER", b"SUB", b"PUSH")),
        *(ready(kind) + b"\x01\x00" * 2000 for kind in (b"REQ", b"DEALER", b"SUB", b"PUSH")),
        ready(b"DEALER") + b"\x01\x00\x00\x0anot a json" * 100,
        ready(b"DEALER") + command(b"PING", ttl=b"x") + command(b"SUBSCRIBE") * 20,
        ready(b"SUB") + b"".join(b"\x00" + bytes([9]) + b"\x01" + noise.randbytes(8) for _ in range(500)),
    ]
    for _ in range(30):
        good = bytearray(ready(noise.choice([b"REQ", b"DEALER", b"SUB", b"PUSH"])) + b"\x01\x00\x00\x02{}")
        for _ in range(noise.randrange(1, 6)):
            good[noise.randrange(len(good))] = noise.randrange(256)
        made.append(bytes(good[: noise.randrange(1, len(good) + 1)]))
    return made


def connect(address: Address) -> socket.socket:
    made = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    try:
        if isinstance(address, tuple):
            made.settimeout(20.0)  # not before a Unix socket is connected: it would not wait at all
        made.connect(address)
        made.settimeout(20.0)
    except OSError:
        made.close()
        raise
    return made


def say(address: Address, text: bytes) -> None:
    """Connect, send, and go without a word; that the other side closes first is welcome."""
    made = connect(address)
    with made, contextlib.suppress(OSError):
        made.sendall(text)


class Body(contextlib.AbstractContextManager["Body"]):
    """What a process has in its hands, to compare before and after."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def __exit__(self, *_: object) -> None:
        return None

    @property
    def handles(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    @property
    def megabytes(self) -> float:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def sockets_of(server: Server) -> dict[str, Address]:
    """Every socket of an instance: those by TCP from the kernel's table, those in the directory of the sockets."""
    found: dict[str, Address] = {}
    for path in server.instance.sockets.iterdir():
        if path.is_socket() and not path.name.endswith(".bell"):
            found[path.name] = str(path)
    for pid in server.processes():
        for address in listening(pid):
            host, _, port = address.rpartition(":")
            found[address] = (host, int(port))
    return found


def bells_of(server: Server) -> list[Path]:
    return [path for path in server.instance.sockets.iterdir() if path.name.endswith(".bell")]


@pytest.fixture(scope="module")
def noisy() -> Iterator[Server]:
    """All sockets that there are, the worker's among them; one server for all tests, which must stay the same."""
    base = Path(tempfile.mkdtemp(prefix="jqs-test-"))
    server = Server(base / "data")
    try:
        start(server, *ALL_DOORS, "--saver", "none", "--use-ipython-kernel", "ON")
        server.open()
        yield server
        server.stop()
    finally:
        server.kill_all()
        server.close()
        shutil.rmtree(base, ignore_errors=True)


def pids(server: Server) -> tuple[int, int, int]:
    return server.watchdog, server.manager, server.worker


@pytest.mark.long
def test_noise_at_every_socket(noisy: Server) -> None:
    """One after the other, and who is there on business is served after each piece."""
    found = sockets_of(noisy)
    assert len(found) == 3 + 3 + 5, found
    before = pids(noisy)
    bodies = [Body(pid) for pid in before]
    at_rest = [(body.handles, body.threads) for body in bodies]
    for number, (name, address) in enumerate(sorted(found.items())):
        for text in openings(number):
            say(address, text)
        status = noisy.status()
        assert status["manager_state"] == "idle", name
    for path in bells_of(noisy):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            for text in (b"", b"{", b"\xff" * 60_000, b'{"kind":"ending","pid":1}', b'{"kind":"ready"}', *[b"x"] * 500):
                with contextlib.suppress(OSError):  # full, or too long: nobody is hurt
                    stranger.sendto(text, str(path))
    assert noisy.status()["manager_state"] == "idle"
    for body, (handles, _) in zip(bodies, at_rest, strict=True):
        until(lambda body=body, most=handles + 2: body.handles <= most, f"the connections of {body.pid} to be gone", timeout=60)
    assert all(body.threads <= threads + 1 for body, (_, threads) in zip(bodies, at_rest, strict=True))
    assert pids(noisy) == before
    a_plan_runs(noisy)


def a_plan_runs(server: Server) -> None:
    """The whole way is open: queue, worker, history."""
    trace = server.data_dir / "trace"
    uid = server.add("brief", trace=trace)
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_queue"] == 0 and status["manager_state"] == "idle", "the plan's end")
    assert [item["item_uid"] for item in server.history()][-1] == uid


def test_scans_half_open_and_slow_clients(noisy: Server) -> None:
    """At the sockets of the manager that strangers may reach, and at the private ones: nothing is left of them."""
    before = pids(noisy)
    manager = Body(before[1])
    names = [name for name in sockets_of(noisy) if is_managers(name)]
    assert len(names) == 6
    at_rest, weight = manager.handles, manager.megabytes
    for name in names:
        address = sockets_of(noisy)[name]
        for _ in range(SCANS):
            connect(address).close()
        half_open = [connect(address) for _ in range(HALF_OPEN)]
        slow = [connect(address) for _ in range(SLOW)]
        for place, byte in enumerate(ready(b"DEALER")[:40]):
            for client in slow:
                with contextlib.suppress(OSError):
                    client.send(bytes([byte]))
            if place % 10 == 0:
                assert noisy.status()["manager_state"] == "idle", name
        for client in (*half_open, *slow):
            client.close()
    until(lambda: manager.handles <= at_rest + 2, "the connections to be gone", timeout=60)
    assert manager.megabytes < weight + 30
    assert pids(noisy) == before
    a_plan_runs(noisy)


def test_who_says_nothing_is_sent_away(noisy: Server) -> None:
    """Without his doing: the other side closes what never becomes a conversation."""
    strangers = [connect(address) for name, address in sockets_of(noisy).items() if is_managers(name)]
    assert len(strangers) == 6
    for place, silent in enumerate(strangers):
        until(lambda silent=silent: is_closed(silent), f"the connection {place} to be closed", timeout=60)
        silent.close()


def is_managers(name: str) -> bool:
    """Not the worker's: those are of this user, and their messages are signed."""
    return not name.startswith("k")


def is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(4096) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.long
def test_a_crowd_by_tcp_does_not_take_the_managers_own_files(new_server: MakeServer) -> None:
    """With few open files allowed, more connections than those: newcomers by TCP wait while the crowd stands there, who is in
    stays and is answered, and the private door stays open."""
    server = new_server()
    address = str(start(server, *ALL_DOORS, "--saver", "none", files=256).tcp_address)[6:]
    host, _, port = address.rpartition(":")
    server.open()
    before = pids(server)
    log = server.instance.logs / "manager.log"
    with zmq.Context() as context, context.socket(zmq.REQ) as early, context.socket(zmq.REQ) as late:
        early.linger = late.linger = 0
        early.connect(f"tcp://{address}")
        ask(early)
        crowd = crowd_at((host, int(port)))
        until(lambda: "no new ones are taken by TCP" in log.read_text(), "newcomers to be held off")
        late.connect(f"tcp://{address}")
        late.send(json.dumps({"method": "status", "params": {}}).encode())
        a_plan_runs(server)
        for _ in range(20):
            ask(early)
        assert not late.poll(0)
        assert Body(before[1]).handles < 240
        for client in crowd:
            client.close()
        until(lambda: "new ones are taken." in log.read_text(), "newcomers to be taken again", timeout=60)
        assert late.poll(60_000)
        ask(early)
    assert log.read_text().count("no new ones are taken") == 1, "those who stand there are not sent away to come again"
    assert pids(server) == before
    server.stop()


def crowd_at(address: tuple[str, int]) -> list[socket.socket]:
    """Finished conversations, until no more come in."""
    crowd: list[socket.socket] = []
    with contextlib.suppress(OSError):
        for _ in range(1000):
            crowd.append(socket.create_connection(address, timeout=2.0))  # held off: nobody answers
            crowd[-1].sendall(ready(b"REQ"))
    assert 50 < len(crowd) < 1000
    return crowd


def ask(client: zmq.Socket[bytes]) -> None:
    client.send(json.dumps({"method": "status", "params": {}}).encode())
    assert client.poll(15_000)
    assert json.loads(client.recv())["manager_state"] == "idle"


@pytest.mark.parametrize("door", ["control", "first_version"])
def test_a_huge_frame_is_one_clients_own_trouble(noisy: Server, door: str) -> None:
    """Announced with an absurd length, or really sent above the limit: that connection is closed, the others go on."""
    runtime = noisy.runtime()
    others = listening(runtime.manager.pid) - {str(runtime.tcp_address)[6:], str(runtime.info_address)[6:]}
    address = str(runtime.tcp_address)[6:] if door == "control" else next(iter(others))
    weight = Body(noisy.manager).megabytes
    host, _, port = address.rpartition(":")
    with connect((host, int(port))) as client:
        client.sendall(ready(b"REQ") + b"\x01\x00" + b"\x02" + struct.pack(">Q", 1 << 40))
        with contextlib.suppress(OSError):
            client.sendall(b"x" * 100_000)
        until(lambda: is_drained(client), "the connection to be closed")
    with zmq.Context() as context, context.socket(zmq.REQ) as good:
        good.linger = 0
        good.connect(f"tcp://{address}")
        good.send(json.dumps({"method": "status", "params": {}}).encode())
        assert good.poll(15_000)
        assert json.loads(good.recv())["manager_state"] == "idle"
    assert Body(noisy.manager).megabytes < weight + 30


def is_drained(client: socket.socket) -> bool:
    """Whether the other side has closed, after whatever it said."""
    client.setblocking(False)
    try:
        while said := client.recv(4096):
            assert len(said) <= 4096
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def test_the_service_goes_on_in_the_middle_of_a_plan(noisy: Server) -> None:
    """Noise while a plan runs: it runs to its end, once."""
    plan = Held(noisy, noisy.data_dir, "plan")
    noisy.ok("queue_start")
    plan.wait("begin")
    for address in sockets_of(noisy).values():
        for text in openings(99)[:25]:
            say(address, text)
    plan.go()
    noisy.wait_for(lambda status: status["manager_state"] == "idle", "the plan's end")
    assert plan.ran_once
    assert noisy.history()[-1]["result"]["ending"] == "completed"
