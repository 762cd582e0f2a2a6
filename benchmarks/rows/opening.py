"""`environment_open` until the environment is open, above a plain Python that runs the same startup code.

The worker spares itself one slow import that plain Python makes (a grammar behind an optional check of jsonschema), so that
the difference may be negative; the second figure compares with a plain Python that spares it too.
"""

from __future__ import annotations

import time

from ..bench import Bench
from ..figures import Figure, Summary, summary
from ..line import is_open
from ..servers import Server


def measure(bench: Bench) -> list[Figure]:
    """Plain start and opening take turns."""
    number = bench.times(7, 2)
    above, bare, opened, light = compare(bench, bench.ours(), number)
    old = [compare(bench, server, bench.times(3, 1))[0] for server in bench.old()]
    return [
        Figure(
            "`environment_open` above the bare start of the same code, s",
            above.median,
            "<= 1 s",
            1.0,
            above.text(),
            f"plain Python with that code {bare.text()} s; open after {opened.text()} s",
            f"{old[0].median:.2f}" if old else "",
        ),
        Figure(
            "the same above a plain Python that spares the same import, s",
            opened.median - light.median,
            baseline=f"plain Python that spares it {light.text()} s",
        ),
    ]


def compare(bench: Bench, server: Server, number: int) -> tuple[Summary, Summary, Summary, Summary]:
    """Return difference, plain start, opening, and plain start without the slow import, in s."""
    server.open()  # the first one writes byte code and fills the page cache
    above, bare, opened, light = [], [], [], []
    for _ in range(number):
        server.close()
        bare.append(bench.bare_import(bench.python(server)))
        opened.append(opening_seconds(server))
        above.append(opened[-1] - bare[-1])
        light.append(bench.bare_import(bench.python(server), "import-light"))
    return summary(above), summary(bare), summary(opened), summary(light)


def opening_seconds(server: Server) -> float:
    """S from the request to an open environment."""
    with server.line() as line:
        began = time.perf_counter()
        line.must("environment_open")
        line.until(is_open, period=0.01)
        return time.perf_counter() - began
