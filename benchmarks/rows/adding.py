"""`queue_item_add` one by one, durable, against a raw commit of the same kind of file plus one status round trip."""

from __future__ import annotations

import json
import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from ..bench import Bench
from ..figures import Figure, summary
from ..line import Line, User, request

SIZES = (0, 1_000, 10_000)
ITEM = {"item_type": "plan", "name": "scan", "args": [["det"], "motor", -1, 1, 11], "kwargs": {}, "meta": {"sample": "A1"}}
_ADD = request("queue_item_add", item=ITEM, **User)
_STATUS = request("status")
_BLOCK = 25


def measure(bench: Bench) -> list[Figure]:
    """Three managers, one for each size of the queue, measured in turns, so that all see the same disk."""
    stations = [Station(bench, size) for size in SIZES]
    for station in stations:
        station.fill()
    try:
        for _ in range(bench.times(16, 4)):
            stations[0].fill()
            for _ in range(_BLOCK):
                for station in stations:
                    station.once()
            for station in stations:
                station.end_round()
    finally:
        for station in stations:
            station.end()
    old = old_times(bench)
    figures = [station.figure(old.get(station.size, "")) for station in stations]
    for station in stations[1:]:
        ratios = [mine / first for mine, first in zip(station.adds, stations[0].adds, strict=True)]
        figures.append(
            Figure(
                f"the same at {station.size} against 0 (1.00 = flat)",
                statistics.median(ratios),
                "within 10 %",
                1.10,
                summary(ratios).text(),
                "the same round at an empty queue",
            )
        )
    return figures


class Station:
    """A manager with a queue of some size, and a plain SQLite file with as many rows."""

    def __init__(self, bench: Bench, size: int) -> None:
        self.size = size
        server = bench.ours(f"queue-{size}")
        server.open()  # so that the plans are known; closed again, since three idle workers would only be in the way
        server.close()
        self._line = server.line()
        self._raw = RawFile(bench.new_folder(), size)
        self._round: tuple[list[float], list[float], list[float]] = ([], [], [])
        self.adds: list[float] = []
        self.ratios: list[float] = []
        self.commits: list[float] = []
        self.trips: list[float] = []

    def fill(self) -> None:
        """Have exactly `size` items."""
        self._line.must("queue_clear")
        if self.size:
            self._line.must("queue_item_add_batch", items=[ITEM] * self.size, **User)

    def once(self) -> None:
        """Measure one of each kind."""
        acts = (lambda: accepted(self._line, _ADD), self._raw.commit, lambda: self._line.exchange(_STATUS))
        for act, samples in zip(acts, self._round, strict=True):
            samples.append(seconds(act))

    def end_round(self) -> None:
        """Take the medians of a round; the three belong together."""
        add, commit, trip = map(statistics.median, self._round)
        self._round = ([], [], [])
        self.adds.append(add)
        self.commits.append(commit)
        self.trips.append(trip)
        self.ratios.append(add / (commit + trip))

    def figure(self, old: str) -> Figure:
        """The ratio, as a line of the table."""
        ratio, add = summary(self.ratios), summary(self.adds)
        return Figure(
            f"`queue_item_add` at a queue of {self.size}, in units of (raw commit + status)",
            ratio.median,
            "<= 2",
            2.0,
            f"{ratio.text()}; {add.text(1e3)} ms = {1 / add.median:.0f}/s",
            f"raw commit {summary(self.commits).text(1e3)} ms, status {summary(self.trips).text(1e3)} ms",
            old,
        )

    def end(self) -> None:
        """Close everything; leave an empty queue."""
        self._line.must("queue_clear")
        self._line.__exit__(None, None, None)
        self._raw.close()


class RawFile:
    """A table like that of the queue, filled with `size` rows: one row is the least that a durable addition costs."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir()
        self._text = json.dumps(ITEM | {"user": "bench", "user_group": "primary", "item_uid": "0" * 36}).encode()
        self._connection = sqlite3.connect(folder / "raw.sqlite", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE queue (uid TEXT PRIMARY KEY, rank INTEGER NOT NULL, text BLOB NOT NULL)")
        self._connection.execute("CREATE INDEX queue_by_rank ON queue (rank)")
        self._number = 0
        self._connection.execute("BEGIN")
        for _ in range(size):
            self._insert()
        self._connection.execute("COMMIT")

    def _insert(self) -> None:
        self._number += 1
        row = (f"{self._number * 2654435761 % 2**64:036x}", self._number, self._text)
        self._connection.execute("INSERT INTO queue VALUES (?, ?, ?)", row)

    def commit(self) -> None:
        """One row in a transaction of its own."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._insert()
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def accepted(line: Line, asked: bytes) -> None:
    """Exchange, and look that it was not refused (without decoding, which would be the client's time)."""
    if b'"success":true' not in (reply := line.exchange(asked)).replace(b" ", b"")[:4000]:
        raise RuntimeError(f"refused: {reply[:500]!r}")


def seconds(act: Callable[[], object]) -> float:
    """S of an action."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def old_times(bench: Bench) -> dict[int, str]:
    """The old server's times for one addition by size of the queue."""
    found: dict[int, str] = {}
    for server in bench.old():
        server.open()
        with server.line() as line:
            for size in SIZES[:2] if bench.quick else SIZES:
                line.must("queue_clear")
                if size:
                    line.must("queue_item_add_batch", items=[ITEM] * size, **User)
                took = statistics.median(seconds(lambda: accepted(line, _ADD)) for _ in range(_BLOCK))
                found[size] = f"{took * 1e3:.2f} ms = {1 / took:.0f}/s"
            line.must("queue_clear")
    return found
