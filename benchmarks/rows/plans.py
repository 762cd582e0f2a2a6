"""Time per plan in a running queue, above the bare loop ``RE(plan())`` in a plain Python with the same startup code."""

from __future__ import annotations

import time

from ..bench import Bench, asked, heard
from ..figures import Figure, Summary, summary
from ..line import User, is_done
from ..servers import Server

_PLANS = {"nothing": [], "count": [["det"]]}


def measure(bench: Bench) -> list[Figure]:
    """No-op plans (judged) and ``count([det])``, which also carries four documents."""
    ours = bench.ours()
    number, repetitions = bench.times(200, 50), bench.times(7, 2)
    above, bare = compare(bench, ours, "nothing", number, repetitions)
    old = [compare(bench, server, "nothing", 20, bench.times(2, 1))[0] for server in bench.old()]
    counted, bare_count = compare(bench, ours, "count", bench.times(50, 20), bench.times(5, 2))
    return [
        Figure(
            f"time per no-op plan in a queue of {number}, above a bare loop, ms",
            above.median * 1e3,
            "<= 6 ms",
            6.0,
            above.text(1e3),
            f"bare loop {bare.text(1e3)} ms",
            f"{old[0].median * 1e3:.0f} (queue of 20)" if old else "",
        ),
        Figure(
            "the same for `count([det])`, ms",
            counted.median * 1e3,
            spread=counted.text(1e3),
            baseline=f"bare loop {bare_count.text(1e3)} ms",
        ),
    ]


def compare(bench: Bench, server: Server, name: str, number: int, repetitions: int) -> tuple[Summary, Summary]:
    """Return what the server takes for a plan above the bare loop, and the bare loop, in s; bare and server take turns."""
    server.open()
    above, bare = [], []
    with bench.bare(bench.python(server), "plans", str(bench.startup), name, str(number)) as process:
        heard(process)
        queue_seconds(server, name, min(number, 20))  # warm
        for _ in range(repetitions):
            bare.append(asked(process))
            above.append(queue_seconds(server, name, number) - bare[-1])
    return summary(above), summary(bare)


def queue_seconds(server: Server, name: str, number: int) -> float:
    """Fill the queue with a plan and run it; return the s for one."""
    item = {"item_type": "plan", "name": name, "args": _PLANS[name]}
    with server.line() as line:
        line.must("queue_clear")
        line.must("queue_item_add_batch", items=[item] * number, **User)
        began = time.perf_counter()
        line.must("queue_start")
        line.until(is_done, period=0.02)
        took = time.perf_counter() - began
        done = [entry["result"]["exit_status"] for entry in line.must("history_get")["items"][-number:]]
        line.must("history_clear")
    if done != ["completed"] * number:
        raise RuntimeError(f"Not every plan completed: {done}")
    return took / number
