"""A whole server in a temporary data directory: watchdog, manager, worker, relay, all as real processes.

Tests talk to it through its sockets only, and kill its processes by pid.  Nothing here sleeps: it waits for an event, a file or
a death, always with a deadline and with words for what did not come.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import zmq

from jupyter_queueserver.core.codec import from_json
from jupyter_queueserver.instance import Instance, Runtime, read_runtime
from jupyter_queueserver.link.environment import EnvironmentRecord, read_environment
from jupyter_queueserver.manager.duty import read_duty

T = TypeVar("T")
Status = dict[str, Any]

HERE = Path(__file__).parent
#: A copy: a server writes the list of plans and devices beside its startup code.
STARTUP = Path(tempfile.mkdtemp(prefix="jqs-startup-")) / "startup"
shutil.copytree(HERE / "startup", STARTUP)
atexit.register(shutil.rmtree, STARTUP.parent, ignore_errors=True)
BROKEN_STARTUP = HERE / "broken_startup"
#: Seconds that anything may take that is not measured.
PATIENCE = 60.0
PROGRAM = (sys.executable, "-m", "jupyter_queueserver")


def until(look: Callable[[], T | None], what: str, timeout: float = PATIENCE) -> T:
    """Return what ``look`` finds as soon as it is true; fails with ``what`` after ``timeout`` seconds."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {timeout:g} s for: {what}"
        pause.wait(0.005)
    return found


def is_process(pid: int) -> bool:
    """Whether it lives; a zombie is dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text[text.rindex(")") + 2] not in "ZX"


def wait_dead(pid: int, timeout: float = PATIENCE, command: str = "") -> None:
    """Return when the process is gone; ``command`` is told if it stays."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], timeout)[0], f"waited {timeout:g} s for the end of process {pid} {command}"
    finally:
        os.close(handle)


def freeze(pid: int) -> None:
    """SIGSTOP, and wait until all threads have stopped."""
    os.kill(pid, signal.SIGSTOP)

    def is_frozen() -> bool:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
        return all(text[text.rindex(")") + 2] == "T" for text in texts)

    until(is_frozen, f"process {pid} to stop")


def kill(*pids: int) -> None:
    """SIGKILL all of them at one moment: none can act on the death of another."""
    for pid in pids:
        freeze(pid)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_dead(pid)


def is_locked(path: Path) -> bool:
    """Whether somebody holds the `flock` of that file."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


class Events:
    """One subscription to the event stream, outliving the managers that serve it.

    Attributes
    ----------
    log
        All messages so far, each with the wall time of its arrival under ``arrived``.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RECONNECT_IVL, 20)
        self._socket.set(zmq.RECONNECT_IVL_MAX, 20)
        self._socket.connect(address)
        self._epoch: str | None = None
        self._seq = 0
        self._spoke = 0.0
        self.log: list[dict[str, Any]] = []

    def next(self, deadline: float) -> dict[str, Any] | None:
        """Return the next message; None when the deadline (monotonic) has passed."""
        while (now := time.monotonic()) < deadline:
            if now > self._spoke + 0.1:
                self._subscribe()
            if self._socket.poll(int(min(0.1, deadline - now) * 1000) + 1):
                message = from_json(self._socket.recv())
                self._take(message)
                return message
        return None

    def wait(self, predicate: Callable[[dict[str, Any]], Any], what: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the first message to come that fulfils the predicate."""
        deadline = time.monotonic() + timeout
        while (message := self.next(deadline)) is not None:
            if predicate(message):
                return message
        raise AssertionError(f"waited {timeout:g} s for: {what}")

    def find(self, predicate: Callable[[dict[str, Any]], Any], what: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the first message that fulfils the predicate, of those that came and those to come."""
        found = next(filter(predicate, self.log), None)
        return self.wait(predicate, what, timeout) if found is None else found

    def _subscribe(self) -> None:
        want = {
            "topics": ["state", "console", "documents"],
            "epoch": self._epoch,
            "since": self._seq,
            "console": None,
            "history": 50,
        }
        with contextlib.suppress(zmq.Again):
            self._socket.send(json.dumps({"subscribe": want}).encode(), zmq.NOBLOCK)
        self._spoke = time.monotonic()

    def _take(self, message: dict[str, Any]) -> None:
        message["arrived"] = time.time()
        self.log.append(message)
        if message["kind"] in ("snapshot", "changes"):
            self._epoch, self._seq = message["epoch"], message["seq"]

    def console(self) -> str:
        """Console text so far."""
        return "".join(message["text"] for message in self.log if message["kind"] == "console")

    def close(self) -> None:
        self._socket.close()


class Server:
    """One instance and its processes.

    Parameters
    ----------
    data_dir
        Its data directory; every process of the server has this path in its command line.
    options
        Of `start-re-manager`.
    """

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.instance = Instance(data_dir)
        self.options = options or ("--startup-dir", str(STARTUP), "--saver", "none")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._events: Events | None = None
        self._epochs: set[str] = set()

    @property
    def lives(self) -> int:
        """How many managers have served it since `start`, as far as was looked."""
        return len(self._epochs)

    # -- processes -----------------------------------------------------------------------------

    def start(self) -> Runtime:
        """Run ``start-re-manager --detach`` and return what it printed."""
        command = [*PROGRAM, "start-re-manager", "--detach", "--private", "--data-dir", str(self.data_dir), *self.options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, f"the server does not start: {done.stderr}"
        self._epochs.clear()
        return self.runtime()

    def runtime(self) -> Runtime:
        """What `runtime.json` says; its manager may be dead."""
        found = read_runtime(self.instance, living=False)
        assert found is not None, "there is no runtime.json"
        self._epochs.add(found.epoch)
        return found

    @property
    def manager(self) -> int:
        """pid of the manager that published itself last."""
        return self.runtime().manager.pid

    @property
    def watchdog(self) -> int:
        """pid of the watchdog on duty, dead or alive."""
        note = read_duty(self.instance, living=False)
        assert note is not None, "no watchdog was ever on duty"
        return note.watchdog.pid

    @property
    def environment(self) -> EnvironmentRecord:
        """`environment.json`."""
        found = read_environment(self.instance)
        assert found is not None, "there is no environment.json"
        return found

    @property
    def worker(self) -> int:
        """pid of the worker."""
        identity = self.environment.identity
        assert identity is not None, "the worker has no identity yet"
        return identity.pid

    def processes(self) -> dict[int, str]:
        """All living processes of this server: pid and command line."""
        mark = str(self.data_dir).encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if any(mark in word for word in words) and is_process(int(entry.name)):
                    found[int(entry.name)] = b" ".join(words).decode()
        return found

    # -- talking -------------------------------------------------------------------------------

    def call(self, method: str, /, *, timeout: float = PATIENCE, **params: Any) -> dict[str, Any]:
        """Send one request and return the reply; fails after ``timeout`` seconds without one."""
        return from_json(self.send(json.dumps({"method": method, "params": params}).encode(), timeout=timeout))

    def send(self, *frames: bytes, timeout: float = PATIENCE) -> bytes:
        """Send these frames from a new REQ socket and return the answer."""
        answer = self.try_send(*frames, timeout=timeout)
        assert answer is not None, f"no answer within {timeout:g} s to {frames[0][:200]!r}"
        return answer

    def try_send(self, *frames: bytes, timeout: float) -> bytes | None:
        """`send` that returns None if no answer comes."""
        with self.socket() as socket:
            socket.send_multipart(frames)
            return socket.recv() if socket.poll(int(timeout * 1000)) else None

    @contextlib.contextmanager
    def socket(self) -> Iterator[zmq.Socket[bytes]]:
        """A REQ socket connected to the control address."""
        socket = self._context.socket(zmq.REQ)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RECONNECT_IVL, 20)
        socket.set(zmq.RECONNECT_IVL_MAX, 20)
        socket.connect(self.instance.control_address)
        try:
            yield socket
        finally:
            socket.close()

    @contextlib.contextmanager
    def pipeline(self) -> Iterator[zmq.Socket[bytes]]:
        """A DEALER socket connected to the control address: several requests may be under way."""
        socket = self._context.socket(zmq.DEALER)
        socket.set(zmq.LINGER, 0)
        socket.connect(self.instance.control_address)
        try:
            yield socket
        finally:
            socket.close()

    @contextlib.contextmanager
    def raw_events(self) -> Iterator[zmq.Socket[bytes]]:
        """A DEALER socket connected to the event stream that has said nothing yet."""
        socket = self._context.socket(zmq.DEALER)
        socket.set(zmq.LINGER, 0)
        socket.connect(self.instance.events_address)
        try:
            yield socket
        finally:
            socket.close()

    @contextlib.contextmanager
    def monitored_socket(self) -> Iterator[tuple[zmq.Socket[bytes], Callable[[], bool]]]:
        """A REQ socket, and a function that tells whether its connection was closed by the server."""
        with self.socket() as socket:
            monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            try:
                yield socket, lambda: bool(monitor.poll(0))
            finally:
                socket.disable_monitor()
                monitor.close()

    def ok(self, method: str, /, **params: Any) -> dict[str, Any]:
        """`call` that must succeed."""
        reply = self.call(method, **params)
        assert reply["success"], f"{method} was refused: {reply['msg']}"
        return reply

    def refused(self, method: str, /, **params: Any) -> dict[str, Any]:
        """`call` that must be refused in full form."""
        reply = self.call(method, **params)
        assert not reply["success"], f"{method} was not refused"
        error = reply["error"]
        assert error["code"], error
        assert error["hint"], error
        assert reply["msg"], reply
        return reply

    def status(self, **more: Any) -> Status:
        """The status."""
        return self.call("status", **more)

    def add(self, name: str, /, **kwargs: Any) -> str:
        """Add a plan to the queue; returns its uid."""
        item = {"item_type": "plan", "name": name, "kwargs": {key: str(value) for key, value in kwargs.items()}}
        return self.ok("queue_item_add", item=item, user="tester", user_group="primary")["item"]["item_uid"]

    def history(self) -> list[dict[str, Any]]:
        """Items of the history, oldest first."""
        return self.ok("history_get")["items"]

    def queue(self) -> list[dict[str, Any]]:
        """Items of the queue."""
        return self.ok("queue_get")["items"]

    # -- waiting -------------------------------------------------------------------------------

    @property
    def events(self) -> Events:
        """The event stream of this server."""
        if self._events is None:
            self._events = Events(self._context, self.instance.events_address)
        return self._events

    def wait_for(self, predicate: Callable[[Status], Any], what: str, timeout: float = PATIENCE) -> Status:
        """Return the first status on the event stream that fulfils the predicate, the present one included."""
        deadline = time.monotonic() + timeout
        status: Status = {}
        with contextlib.suppress(AssertionError):
            status = self.status(timeout=min(timeout, 2.0))
            if predicate(status):
                return status
        began = status.get("time", "")  # what is on its way since earlier does not count
        while (message := self.events.next(deadline)) is not None:
            status = message.get("status", status)
            if "status" in message and status["time"] >= began and predicate(status):
                return status
        raise AssertionError(f"waited {timeout:g} s for: {what}; last status: {_short(status)}")

    def wait_state(self, state: str, timeout: float = PATIENCE) -> Status:
        """Wait for a ``manager_state``."""
        return self.wait_for(lambda status: status["manager_state"] == state, f"manager_state {state}", timeout)

    def wait_running(self, item_uid: str) -> Status:
        """Wait until that item is the running one."""
        return self.wait_for(lambda status: status["running_item_uid"] == item_uid, f"item {item_uid} to run")

    def wait_new_manager(self, old: int, timeout: float = PATIENCE) -> int:
        """Return the pid of the manager that follows ``old``, once it is published."""
        return until(lambda: self.manager if self.manager != old else None, f"a manager after {old}", timeout)

    def wait_watchdog(self, other_than: int, timeout: float = PATIENCE) -> int:
        """Return the pid of a living watchdog that is not ``other_than``."""

        def look() -> int | None:
            note = read_duty(self.instance)
            return note.watchdog.pid if note is not None and note.watchdog.pid != other_than else None

        return until(look, f"a watchdog after {other_than}", timeout)

    def open(self) -> None:
        """Open the environment and wait for it."""
        self.ok("environment_open")
        status = self.wait_for(lambda status: status["manager_state"] == "idle", "the environment to open or to fail", 30.0)
        assert status["worker_environment_exists"], f"the environment did not open: {status['environment_failure']}"

    # -- the end -------------------------------------------------------------------------------

    def stop(self) -> None:
        """End everything in order and check that nothing is left."""
        self.ok("manager_stop", option="safe_off")
        self.check_gone()

    def check_gone(self) -> None:
        """Wait for the end of all processes; then no socket, lock or file for the living may be left."""
        deadline = time.monotonic() + PATIENCE
        while pids := self.processes():  # one that was just being started sees that it is not needed, and ends too
            for pid, command in pids.items():
                wait_dead(pid, max(0.0, deadline - time.monotonic()), command)
        assert not self.instance.sockets.exists(), list(self.instance.sockets.iterdir())
        locks = [self.instance.lease, self.instance.watchdog_lock, self.instance.journal / "relay.lock"]
        assert [path for path in locks if is_locked(path)] == []
        assert not self.instance.runtime_file.exists()
        assert not self.instance.environment_file.exists()

    def kill_all(self) -> None:
        """For a test that failed: leave no process behind."""
        for _ in range(5):
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for name in list(self.instance.sockets.glob("*")):
            name.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.instance.sockets.rmdir()

    def close(self) -> None:
        """Close the sockets of the test."""
        if self._events is not None:
            self._events.close()
        self._context.destroy(linger=0)


def _short(status: Mapping[str, Any]) -> dict[str, Any]:
    names = ("manager_state", "running_item_uid", "items_in_queue", "items_in_history", "re_state", "environment_failure")
    return {name: status.get(name) for name in names}


class Held:
    """A plan that holds until it is let go: its trace and its go file.

    Attributes
    ----------
    uid
        Of the item in the queue.
    """

    def __init__(self, server: Server, directory: Path, name: str) -> None:
        self.trace = directory / f"{name}.trace"
        self._go = directory / f"{name}.go"
        self._server = server
        self.uid = server.add("hold", trace=self.trace, go=self._go)

    @property
    def lines(self) -> list[str]:
        """What it has written so far."""
        return self.trace.read_text().split() if self.trace.exists() else []

    def wait(self, line: str) -> None:
        """Wait until it has written that."""
        until(lambda: line in self.lines, f"'{line}' in {self.trace.name}")

    def go(self) -> None:
        """Let it end."""
        self._go.touch()

    @property
    def ran_once(self) -> bool:
        """Whether it ran from its beginning to its end exactly once."""
        return self.lines == ["begin", "end", "cleanup"]
