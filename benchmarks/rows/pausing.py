"""From a request for an immediate pause to the state `paused`, of a plan with a checkpoint each 0.1 s."""

from __future__ import annotations

import random
import sys
import time

from ..bench import Bench, heard
from ..figures import Figure, Summary, summary
from ..line import User, is_idle
from ..servers import Server


def measure(bench: Bench) -> list[Figure]:
    """Pause and resume one plan again and again, at random moments."""
    number = bench.times(15, 4)
    with bench.bare(sys.executable, "pauses", str(bench.startup), str(number)) as process:
        bare = summary([float(heard(process)) for _ in range(number)])
    ours = pauses(bench.ours(), number)
    old = [pauses(server, bench.times(6, 2)) for server in bench.old()]
    return [
        Figure(
            "immediate pause to `paused`, s",
            ours.median,
            "<= 0.2 s",
            0.2,
            ours.text(1, 3),
            f"`RE.request_pause` to the return of `RE(...)` {bare.text(1, 3)} s",
            f"{old[0].median:.3f}" if old else "",
            3,
        )
    ]


def pauses(server: Server, number: int) -> Summary:
    """S of each pause, as a client sees it that asks for the status every 2 ms."""
    server.open()
    samples = []
    with server.line() as line:
        line.must("queue_clear")
        line.must("queue_item_add", item={"item_type": "plan", "name": "checkpoints"}, **User)
        line.must("queue_start")
        for _ in range(number):
            line.until(lambda status: status["re_state"] == "running")
            time.sleep(random.uniform(0.2, 0.3))
            began = time.perf_counter()
            line.must("re_pause", option="immediate")
            line.until(lambda status: status["manager_state"] == "paused", period=0.002)
            samples.append(time.perf_counter() - began)
            line.must("re_resume")
        line.until(lambda status: status["re_state"] == "running")
        line.must("re_pause", option="immediate")
        line.until(lambda status: status["manager_state"] == "paused")
        line.must("re_abort")
        line.until(is_idle)
        line.must("queue_clear")
        line.must("history_clear")
    return summary(samples)
