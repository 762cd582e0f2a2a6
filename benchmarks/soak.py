"""``python -m benchmarks.soak``: a crowd at a busy server for minutes, then one run of very many events.

What is looked for: memory and open files that stay as they are, an answer within 20 ms, plans that follow each other as fast as
before.  With ``--write`` the section "Soak" of RESULTS.md is replaced.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_queueserver.instance import Instance, read_runtime

from .bench import Bench
from .crowd import Crowd
from .line import Line, User, is_done, is_idle, is_open
from .processes import memory
from .report import write_section
from .servers import Gateway, OurServer

_ROLES = ("manager", "gateway", "relay", "worker", "watchdog")


@dataclass
class Samples:
    """Memory (bytes), open files and threads of each process over time."""

    pids: dict[str, int]
    rows: list[dict[str, tuple[int, int, int]]] = field(default_factory=list)

    def take(self) -> None:
        """Take one sample of each."""
        self.rows.append({role: (memory(pid), _open_files(pid), _threads(pid)) for role, pid in self.pids.items()})

    def line(self, role: str) -> list[str]:
        """Cells of one process: memory at first, in the middle, at the end, growth of the second half, files, threads."""
        sizes = [row[role][0] / 2**20 for row in self.rows]
        third = max(1, len(sizes) // 5)
        middle = len(sizes) // 2
        first, half, last = (statistics.median(part) for part in (sizes[:third], sizes[middle : middle + third], sizes[-third:]))
        files, threads = ([row[role][place] for row in self.rows] for place in (1, 2))
        return [
            role,
            f"{first:.1f}",
            f"{half:.1f}",
            f"{last:.1f}",
            f"{last - half:+.1f}",
            f"{files[0]} / {max(files)} / {files[-1]}",
            f"{threads[0]} / {max(threads)} / {threads[-1]}",
        ]


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


class Soak:
    """One soak on a Jupyter server with a manager of its own.

    Parameters
    ----------
    items
        Length of the queue meanwhile.
    crowd
        Keyword arguments of `Crowd`: how many of each kind.
    """

    def __init__(self, gateway: Gateway, items: int, **crowd: int) -> None:
        runtime = read_runtime(Instance(gateway.data_dir))
        assert runtime is not None
        self._gateway = gateway
        self._address = runtime.control_address
        self._items = items
        self._crowd = crowd
        self._stamps = gateway.data_dir.parent / "stamps"
        self._item = {"item_type": "plan", "name": "stamps", "kwargs": {"path": str(self._stamps)}}
        self.pids: dict[str, int] = {}

    def prepare(self) -> None:
        """Open the environment and fill the queue."""
        with Line(self._address) as line:
            line.must("environment_open")
            line.until(is_open)
            for _ in range(0, self._items, 10_000):
                line.must("queue_item_add_batch", items=[self._item] * min(self._items, 10_000), **User)
        found = OurServer.pids_in(self._gateway.data_dir)
        self.pids = {"gateway": self._gateway.pid} | {role: pid for role, pid in found.items() if role in _ROLES}

    def gaps(self, number: int) -> list[float]:
        """Run some plans; returns the seconds between the end of one and the start of the next."""
        with Line(self._address) as line:
            before = line.call("status")["items_in_history"]
            line.must("queue_start")
            line.until(lambda status: status["items_in_history"] >= before + number, period=0.05)
            line.must("queue_stop")
            line.until(is_idle, period=0.05)
        return self._gaps()

    def live(self, seconds: float, pause: float) -> tuple[Crowd, Samples, list[float], dict[str, Any]]:
        """Let the crowd live while the queue runs; returns it, the samples, the gaps between plans, and the last status."""
        crowd = Crowd(self._gateway, self._address, item=self._item, reach=max(3, self._items // 3), **self._crowd)
        samples = Samples(self.pids)
        with Line(self._address) as line:
            before = line.call("status")["items_in_history"]
            line.must("queue_start")
            asyncio.run(crowd.live(seconds, pause, samples.take, max(0.5, seconds / 120)))
            line.must("queue_stop")
            line.until(is_idle, period=0.05)
            status = line.call("status")
            ran = status["items_in_history"] - before
        gaps = self._gaps()
        if len(gaps) + 1 != ran:
            raise RuntimeError(f"{ran} plans ended, {len(gaps) + 1} ran to their end")
        return crowd, samples, gaps, status

    def _gaps(self) -> list[float]:
        """Seconds between the end of one plan and the start of the next, as the plans have written them down."""
        lines = [[float(word) for word in line.split()] for line in self._stamps.read_text().splitlines()]
        self._stamps.unlink()
        return [after[0] - before[1] for before, after in itertools.pairwise(lines)]


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which that part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1)))]


def milliseconds(values: Sequence[float]) -> str:
    """``median / p99 / max`` in ms."""
    return " / ".join(f"{value * 1e3:.1f}" for value in (statistics.median(values), percentile(values, 0.99), max(values)))


@dataclass
class CrowdSoak:
    """What a soak with a crowd has shown.

    Attributes
    ----------
    quiet, gaps
        Seconds from plan to plan, without and with the crowd.
    missed
        How often a client missed changes and got no snapshot.
    files
        Open files of each process before the crowd and after it.
    """

    crowd: Crowd
    samples: Samples
    quiet: list[float]
    gaps: list[float]
    missed: int
    files: dict[str, tuple[int, int]]
    store_failure: str | None


def crowd_soak(bench: Bench, options: argparse.Namespace) -> CrowdSoak:
    """Let a crowd live at a Jupyter server whose manager runs a queue."""
    with bench.gateway() as gateway:
        slow = options.slow // 2
        sizes = {"listeners": options.clients - options.slow, "slow": slow, "asleep": options.slow - slow}
        soak = Soak(gateway, options.items, editors=options.editors, **sizes)
        soak.prepare()
        quiet = soak.gaps(options.plans)
        idle = Samples(soak.pids)
        idle.take()
        crowd, samples, gaps, status = soak.live(options.minutes * 60, options.pause)
        time.sleep(12)  # the manager forgets subscribers that are silent for 10 s
        idle.take()
    files = {role: (idle.rows[0][role][1], idle.rows[1][role][1]) for role in soak.pids}
    missed = sum(one.gaps for one in (*crowd.awake, *crowd.slow))
    return CrowdSoak(crowd, samples, quiet, gaps, missed, files, status.get("store_failure"))


def crowd_report(found: CrowdSoak, options: argparse.Namespace) -> list[str]:
    """The lines of its report."""
    crowd, quiet, gaps = found.crowd, found.quiet, found.gaps
    return [
        f"- {options.clients} websockets ({len(crowd.slow)} read one message in 2 s, {len(crowd.asleep)} never read),"
        f" {options.editors} editors, {options.items} items, {options.minutes:g} minutes:"
        f" {sum(editor.operations for editor in crowd.editors)} operations, {len(gaps) + 1} plans,"
        f" {sum(one.messages for one in crowd.awake)} messages read by those that were awake.",
        f"- Status under this load, ms (median / p99 / max): {milliseconds(crowd.prober.times)};"
        f" reach p99 <= 20 ms: {verdict(percentile(crowd.prober.times, 0.99) <= 0.02)}.",
        f"- From plan to plan, ms (median / p99 / max): {milliseconds(gaps)}; without the crowd {milliseconds(quiet)};"
        f" reach at most doubled: {verdict(statistics.median(gaps) <= 2 * statistics.median(quiet))}.",
        f"- Changes missed without a snapshot: {found.missed}; snapshots of those awake:"
        f" {sum(one.snapshots for one in crowd.awake)}; store failures: {found.store_failure}.",
        "- Open files before the crowd and 12 s after it: "
        + ", ".join(f"{role} {before} and {after}" for role, (before, after) in found.files.items())
        + ".",
        *table(found.samples),
    ]


def events_report(bench: Bench, number: int) -> list[str]:
    """One run of so many events; returns the lines of its report."""
    server = bench.ours("soak")
    server.open()
    pids = {role: pid for role, pid in server.pids().items() if role in _ROLES}
    samples = Samples(pids)
    item = {"item_type": "plan", "name": "events", "kwargs": {"number": number}}
    with server.line() as line:
        line.must("queue_item_add", item=item, **User)
        began = time.monotonic()
        line.must("queue_start")
        while not is_done(line.call("status")):
            samples.take()
            time.sleep(1.0)
        took = time.monotonic() - began
        (done,) = line.must("history_get", limit=1)["items"]
    if done["result"]["exit_status"] != "completed":
        raise RuntimeError(f"The run did not complete: {done['result']}")
    return [f"- One run of {number} events: {took:.0f} s, {took / number * 1e3:.2f} ms an event.", *table(samples)]


def table(samples: Samples) -> list[str]:
    """The samples as a table."""
    head = ["process", "PSS first, MB", "middle", "last", "second half", "files first / max / last", "threads"]
    rows = [head, ["---"] * len(head), *(samples.line(role) for role in samples.pids)]
    return ["", *("| " + " | ".join(row) + " |" for row in rows), ""]


def verdict(reached: bool) -> str:
    """``yes`` or ``no``."""
    return "yes" if reached else "no"


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    made.add_argument("--minutes", type=float, default=10.0)
    made.add_argument("--clients", type=int, default=50, help="websockets")
    made.add_argument("--slow", type=int, default=20, help="how many of them are slow (one half) or asleep (the other)")
    made.add_argument("--editors", type=int, default=10)
    made.add_argument("--items", type=int, default=10_000)
    made.add_argument("--pause", type=float, default=0.1, help="seconds between two operations of an editor")
    made.add_argument("--plans", type=int, default=100, help="that run before the crowd comes")
    made.add_argument("--events", type=int, default=500_000, help="of one run; 0: leave that out")
    made.add_argument("--write", action="store_true", help="write the section into RESULTS.md")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    words = list(sys.argv[1:] if words is None else words)
    options = parser().parse_args(words)
    lines = [f"Made by `python -m benchmarks.soak{''.join(f' {word}' for word in words)}`, {os.cpu_count()} cores.", ""]
    with Bench() as bench:
        if options.minutes:
            lines += crowd_report(crowd_soak(bench, options), options)
        if options.events:
            lines += events_report(bench, options.events)
    print("\n".join(lines))
    if options.write:
        write_section(Path(__file__).with_name("RESULTS.md"), "Soak", "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
