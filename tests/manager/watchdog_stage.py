"""A stage for watchdog tests: a data directory, a fake manager, and a witness that hears what happens."""

from __future__ import annotations

import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from jupyter_queueserver.instance import Instance, ProcessWatch, read_runtime
from jupyter_queueserver.manager.duty import read_duty

FAKE = Path(__file__).with_name("fake_manager.py")
ROOT = Path(__file__).parents[2]
LIMIT = 40.0


class Stage:
    """Starts watchdogs with the fake manager and waits for what is told to the witness."""

    def __init__(self, data_dir: Path, witness_dir: Path) -> None:
        self.instance = Instance(data_dir)
        self.witness_address = str(witness_dir / "witness")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.witness_address)
        self.started: list[subprocess.Popen[str]] = []
        self.pids: set[int] = set()
        self.extra: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        return [
            "--data-dir",
            str(self.instance.data_dir),
            "--private",
            "--manager-program",
            str(FAKE),
            *self.extra,
        ]

    def script(self, **values: object) -> None:
        self.instance.data_dir.mkdir(parents=True, exist_ok=True)
        (self.instance.data_dir / "fake.json").write_bytes(msgspec.json.encode(values))

    def start(self, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_queueserver", "start-re-manager", *self.options, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Wait for its end: exit status, output, errors."""
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out, err

    def expect(self, kind: str, *, within: float = LIMIT, other_than: int = 0) -> dict[str, int]:
        """Wait for an event; ``other_than`` passes over those that name that process as ``other``."""
        deadline = time.monotonic() + within
        while select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            event = msgspec.json.decode(self._socket.recv(4096))
            self.pids |= {event["pid"], event["other"]} - {0}
            if event["kind"] == kind and not (other_than and event["other"] == other_than):
                return event
        raise AssertionError(f"no event '{kind}' within {within} s: {self.logs()}")

    def is_quiet(self, seconds: float) -> bool:
        """Whether no event comes for that long."""
        return not select.select([self._socket], [], [], seconds)[0]

    def wait_dead(self, pid: int, within: float = LIMIT) -> bool:
        watch = ProcessWatch(pid)
        try:
            handle = watch.fileno()
            return handle is None or bool(select.select([handle], [], [], within)[0])
        finally:
            watch.close()

    def logs(self) -> str:
        files = sorted(self.instance.logs.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text()}" for file in files)

    def listing(self) -> dict[str, tuple[int, int, int]]:
        """Everything in the data directory with its size and times of change."""
        base = self.instance.data_dir
        found = {str(path.relative_to(base)): path.stat() for path in [base, *base.rglob("*")]}
        return {name: (info.st_size, info.st_mtime_ns, info.st_ctime_ns) for name, info in found.items()}

    def clear(self) -> None:
        """End everything that was started; the mark keeps a watchdog that is just starting from making a
        new manager."""
        if self.instance.data_dir.exists():
            self.instance.stopped_mark.touch()
        while select.select([self._socket], [], [], 0)[0]:
            event = msgspec.json.decode(self._socket.recv(4096))
            self.pids |= {event["pid"], event["other"]} - {0}
        note, runtime = read_duty(self.instance), read_runtime(self.instance)
        self.pids |= {process.pid for process in self.started if process.poll() is None}
        self.pids |= {note.watchdog.pid, *([note.manager.pid] if note.manager else [])} if note else set()
        self.pids |= {runtime.manager.pid} if runtime else set()
        watches = [ProcessWatch(pid) for pid in self.pids if self._is_ours(pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for watch in watches:
                watch.send_signal(number)
        for watch in watches:
            watch.close()
        for process in self.started:
            process.communicate(timeout=LIMIT)
        self._socket.close()
        shutil.rmtree(self.instance.sockets, ignore_errors=True)

    def _is_ours(self, pid: int) -> bool:
        try:
            return str(self.instance.data_dir).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
