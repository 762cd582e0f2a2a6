"""`status` over 0MQ, against a bare 0MQ echo of as many bytes between two processes."""

from __future__ import annotations

from ..bench import Bench
from ..echo import against_echo
from ..figures import Figure, Summary, summary
from ..line import request
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
    trips, echoes, _ = against_echo(bench, server, _STATUS, rounds=bench.times(20, 4), block=200)
    return summary(trips), summary(echoes)
