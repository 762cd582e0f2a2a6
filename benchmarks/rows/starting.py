"""From the start of the manager's process to its first answer."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from ..bench import Bench
from ..figures import Figure, summary
from ..line import Line
from ..processes import age
from ..servers import OldServer, OurServer


def measure(bench: Bench) -> list[Figure]:
    """A plain interpreter, our start and the old one's take turns; each start has a fresh directory."""
    bare, alone, whole, old_alone, old_whole = [], [], [], [], []
    for _ in range(bench.times(9, 3)):
        bare.append(interpreter_seconds())
        first, total = our_start(bench)
        alone.append(first)
        whole.append(total)
    for _ in range(bench.times(3, 1)):
        if bench.old_python is not None:
            first, total = old_start(bench)
            old_alone.append(first)
            old_whole.append(total)
    base = f"`python -c pass` {summary(bare).text()} s"
    return [
        Figure(
            "manager's process start to first ping, s",
            summary(alone).median,
            "<= 0.6 s",
            0.6,
            summary(alone).text(),
            base,
            f"{summary(old_alone).median:.2f}" if old_alone else "",
        ),
        Figure(
            "start-re-manager (watchdog first) to first ping, s",
            summary(whole).median,
            spread=summary(whole).text(),
            baseline=base,
            old=f"{summary(old_whole).median:.2f}" if old_whole else "",
        ),
    ]


def interpreter_seconds() -> float:
    """S of a Python that does nothing."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def our_start(bench: Bench) -> tuple[float, float]:
    """Return the s from the manager's start, and from the command, to the first ping."""
    from jupyter_queueserver.instance import Instance

    folder = bench.new_folder()
    began = time.perf_counter()
    with Line(Instance(folder).control_address, limit=30) as line:
        ping = _Ping(line, began)
        server = OurServer(folder, bench.startup, "--saver", "none")
        try:
            total = ping.seconds()
            return age(server.runtime["manager"]["pid"]) - (time.perf_counter() - began - total), total
        finally:
            server.stop()


class _Ping:
    """A ping that waits, in a thread, for whoever will bind its address."""

    def __init__(self, line: Line, began: float) -> None:
        self._seconds = 0.0
        self._began = began
        self._thread = threading.Thread(target=self._wait, args=(line,))
        self._thread.start()

    def _wait(self, line: Line) -> None:
        line.call("ping")
        self._seconds = time.perf_counter() - self._began

    def seconds(self) -> float:
        """S from the beginning to the answer."""
        self._thread.join()
        return self._seconds


def old_start(bench: Bench) -> tuple[float, float]:
    """The same for the old server; its Redis runs already."""
    (running,) = bench.old()
    assert bench.old_python is not None
    assert isinstance(running, OldServer)
    began = time.perf_counter()
    server = OldServer(bench.new_folder(), bench.startup, bench.old_python, redis_port=running.redis_port)
    try:
        with Line(server.address, limit=30) as line:
            line.call("ping")
            total = time.perf_counter() - began
            return age(server.pids()["manager"]) - (time.perf_counter() - began - total), total
    finally:
        server.stop()
