"""A batch of 10,000 items: how long it takes, and how long another client waits meanwhile."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ..bench import Bench
from ..figures import Figure, Summary, summary
from ..line import Line, User, request
from ..servers import Server
from .adding import ITEM, RawFile

_NUMBER = 10_000


def measure(bench: Bench) -> list[Figure]:
    """Repeat: probe the idle manager, a batch under probes, one `queue_get` of everything, a raw insertion."""
    server = bench.ours()
    server.open()
    took, waits, quiet, whole, raw = [], [], [], [], []
    for _ in range(bench.times(7, 2)):
        with Prober(server) as prober:
            time.sleep(0.3)
        quiet.append(max(prober.waits))
        with server.line() as line:
            seconds, longest = one_batch(server, line)
            took.append(seconds)
            waits.append(longest)
            began = time.perf_counter()
            line.exchange(request("queue_get"))
            whole.append(time.perf_counter() - began)
            line.must("queue_clear")
        raw.append(raw_seconds(bench.new_folder()))
    return figures(summary(took), summary(waits), summary(quiet), summary(whole), summary(raw), old_batch(bench))


def figures(took: Summary, waits: Summary, quiet: Summary, whole: Summary, raw: Summary, old: tuple[str, str]) -> list[Figure]:
    """The lines of the table."""
    return [
        Figure(
            f"`queue_item_add_batch` of {_NUMBER}, s",
            took.median,
            "<= 1 s",
            1.0,
            took.text(),
            f"raw insertion of as many rows {raw.text()} s",
            old[0],
        ),
        Figure(
            "longest wait of another client's status and queue_get meanwhile, ms",
            waits.median * 1e3,
            "<= 50 ms",
            50.0,
            waits.text(1e3, 1),
            f"longest wait at an idle manager {quiet.text(1e3, 1)} ms",
            old[1],
            1,
        ),
        Figure(f"`queue_get` of {_NUMBER} items, ms", whole.median * 1e3, spread=whole.text(1e3, 1), digits=1),
    ]


class Prober:
    """Another client, in a thread: status and queue_get in turns, without a break, undecoded.

    ``with`` waits for its first answer; `waits` are the s of all its requests that began inside.
    """

    def __init__(self, server: Server) -> None:
        self.waits: list[float] = []
        self._server = server
        self._end = threading.Event()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._probe)

    def __enter__(self) -> Prober:
        self._thread.start()
        self._running.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _probe(self) -> None:
        requests = (request("status"), request("queue_get"))
        with self._server.line() as line:
            while not self._end.is_set():
                for asked in requests:
                    began = time.perf_counter()
                    line.exchange(asked)
                    self.waits.append(time.perf_counter() - began)
                self._running.set()
                time.sleep(0.001)


def one_batch(server: Server, line: Line) -> tuple[float, float]:
    """Return the s of a batch and of the longest wait of another client."""
    line.must("queue_clear")
    asked = request("queue_item_add_batch", items=[ITEM] * _NUMBER, **User)
    with Prober(server) as prober:
        began = time.perf_counter()
        line.exchange(asked)
        took = time.perf_counter() - began
    if line.call("status")["items_in_queue"] != _NUMBER:
        raise RuntimeError("The batch was refused.")
    return took, max(prober.waits)


def raw_seconds(folder: Path) -> float:
    """S to insert as many rows into a plain file in one FULL commit."""
    began = time.perf_counter()
    RawFile(folder, _NUMBER).close()
    return time.perf_counter() - began


def old_batch(bench: Bench) -> tuple[str, str]:
    """The old server's two figures."""
    for server in bench.old():
        server.open()
        with server.line() as line:
            took, longest = one_batch(server, line)
            line.must("queue_clear")
        return f"{took:.1f}", f"{longest * 1e3:.0f}"
    return "", ""
