"""`plans_allowed` over 0MQ, against a bare 0MQ echo of as many bytes between two processes."""

from __future__ import annotations

import shutil

from ..bench import Bench
from ..echo import against_echo
from ..figures import Figure, summary
from ..line import User, request
from ..servers import OldServer, OurServer, Server

_REQUEST = request("plans_allowed", user_group=User["user_group"])


def measure(bench: Bench) -> list[Figure]:
    """Blocks of requests to the server and to the echo, in turns; the plans are all that come with bluesky."""
    profile = bench.new_folder()
    shutil.copytree(bench.startup, profile)  # the old server writes into it
    (profile / "20-plans.py").write_text("from bluesky.plans import *\n")
    trips, echoes, size = measured(bench, OurServer(bench.new_folder(), profile, "--saver", "none"))
    old = [measured(bench, OldServer(bench.new_folder(), profile, bench.old_python))[0]] if bench.old_python else []
    found = summary(trips)
    return [
        Figure(
            f"`plans_allowed` ({size / 1e3:.0f} kB) over 0MQ, median, ms",
            found.median * 1e3,
            "<= 5 ms",
            5.0,
            found.text(1e3),
            f"bare 0MQ echo {summary(echoes).text(1e3)} ms",
            f"{summary(old[0]).median * 1e3:.2f}" if old else "",
        )
    ]


def measured(bench: Bench, server: Server) -> tuple[list[float], list[float], int]:
    """`against_echo`, and the server is ended."""
    try:
        return against_echo(bench, server, _REQUEST, rounds=bench.times(10, 3), block=30)
    finally:
        server.stop()
