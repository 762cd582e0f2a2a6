"""`status` over 0MQ, against a bare 0MQ echo of as many bytes between two processes."""

from __future__ import annotations

import sys
import time

from ..bench import Bench, heard
from ..figures import Figure, Summary, summary
from ..line import Line, request
from ..servers import Server

_STATUS = request("status")


def measure(bench: Bench) -> list[Figure]:
    """Blocks of requests to the server and to the echo, in turns."""
    trips, echoes = compare(bench, bench.ours())
    old = [compare(bench, server)[0] for server in bench.old()]
    return [
        Figure(
            "`status` over 0MQ, median, ms",
            trips.median * 1e3,
            "<= 0.4 ms",
            0.4,
            trips.text(1e3, 3),
            f"bare 0MQ echo {echoes.text(1e3, 3)} ms",
            f"{old[0].median * 1e3:.3f}" if old else "",
            3,
        )
    ]


def compare(bench: Bench, server: Server) -> tuple[Summary, Summary]:
    """Return the s of a status and of an echo of that size; both over the same kind of socket."""
    server.open()
    trips: list[float] = []
    echoes: list[float] = []
    with server.line() as line:
        size = len(line.exchange(_STATUS))
        address = f"ipc://{bench.new_folder()}"
        with bench.bare(sys.executable, "echo", address, str(size)) as process, Line(address) as echo:
            heard(process)
            for _ in range(bench.times(20, 4)):
                trips += block(line)
                echoes += block(echo)
    return summary(trips), summary(echoes)


def block(line: Line) -> list[float]:
    """S of 200 exchanges."""
    samples = []
    for _ in range(200):
        began = time.perf_counter()
        line.exchange(_STATUS)
        samples.append(time.perf_counter() - began)
    return samples
