"""The machine's clock jumps by a day, forwards and backwards, under a server that runs a queue.

Every process of the server reads the wall clock through a file that the test writes: what a clock that is set again does to
them all at once.  The clock that nobody sets (``time.monotonic``) goes on as ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Held, Server, kill, until

DAY = 86400.0

#: Taken by Python before anything else: shifts the wall clock by the seconds in a file.
SHIFTED = """
import os, time

_path, _true = os.environ["SHIFT_FILE"], time.time


def shifted():
    try:
        with open(_path) as file:
            return _true() + float(file.read())
    except (OSError, ValueError):
        return _true()


time.time = shifted
time.time_ns = lambda: int(shifted() * 1e9)
"""


class Clock:
    """The wall clock of the server's processes."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (directory / "site").mkdir()
        (directory / "site" / "sitecustomize.py").write_text(SHIFTED)
        self._file = directory / "shift"
        self.jump(0.0)
        monkeypatch.setenv("SHIFT_FILE", str(self._file))
        monkeypatch.setenv("PYTHONPATH", str(directory / "site"), prepend=os.pathsep)

    def jump(self, seconds: float) -> None:
        """From now on it is off by that much."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)


def wait_idle(server: Server) -> None:
    """Ask until it is so: times in messages tell nothing about their order here."""
    until(lambda: server.status()["manager_state"] == "idle", "the queue to end")


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(tmp_path, monkeypatch)


def test_queue_goes_on_over_jumps(clock: Clock, new_server: Callable[..., Server], tmp_path: Path) -> None:
    server = new_server()
    before = server.start()
    server.open()
    worker = server.worker
    plans = [Held(server, tmp_path, name) for name in ("first", "second", "third")]
    server.ok("queue_start")
    for plan, shift in zip(plans, (DAY, -DAY, 0.0), strict=True):
        plan.wait("begin")
        clock.jump(shift)
        server.wait_for(lambda status: status["manager_state"] == "executing_queue", "the status after the jump")
        plan.go()
    wait_idle(server)
    assert all(plan.ran_once for plan in plans), [plan.lines for plan in plans]
    history = server.history()
    assert [item["item_uid"] for item in history] == [plan.uid for plan in plans]
    assert [item["result"]["exit_status"] for item in history] == ["completed"] * 3
    results = [item["result"] for item in history]
    assert results[0]["time_stop"] - results[0]["time_start"] > DAY / 2, "the clock of the worker did jump"
    runtime = server.runtime()
    assert (runtime.epoch, server.worker) == (before.epoch, worker), "nobody took the jump for silence or age"
    server.stop()


@pytest.mark.parametrize("shift", [DAY, -DAY], ids=["forwards", "backwards"])
def test_everything_is_found_again(clock: Clock, new_server: Callable[..., Server], tmp_path: Path, shift: float) -> None:
    """Watchdog and manager die, the clock jumps, and the next ones adopt the worker in the middle of its plan."""
    server = new_server()
    server.start()
    server.open()
    worker = server.worker
    plan = Held(server, tmp_path, "plan")
    server.ok("queue_start")
    plan.wait("begin")
    kill(server.watchdog, server.manager)
    clock.jump(shift)
    server.start()
    server.wait_running(plan.uid)
    until(lambda: server.status()["worker_environment_state"] == "executing_plan", "the worker to be adopted")
    assert server.worker == worker
    plan.go()
    wait_idle(server)
    assert plan.ran_once
    (item,) = server.history()
    assert item["result"]["exit_status"] == "completed"
    server.stop()
