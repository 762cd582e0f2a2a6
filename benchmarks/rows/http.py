"""`status` over HTTP with keep-alive, against the shortest authenticated answer of the same Jupyter server."""

from __future__ import annotations

import http.client
import time

from ..bench import Bench
from ..figures import Figure, summary
from ..servers import Gateway


def measure(bench: Bench) -> list[Figure]:
    """Blocks of requests on one connection, in turns."""
    trips: list[float] = []
    bare: list[float] = []
    with bench.gateway() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        block(connection, server, "/queueserver/api/status", 50)
        for _ in range(bench.times(15, 3)):
            trips += block(connection, server, "/queueserver/api/status")
            bare += block(connection, server, "/api/status")
        connection.close()
    found = summary(trips)
    return [
        Figure(
            "`status` over HTTP keep-alive, median, ms",
            found.median * 1e3,
            "<= 3 ms",
            3.0,
            found.text(1e3),
            f"Jupyter's own GET /api/status {summary(bare).text(1e3)} ms",
        )
    ]


def block(connection: http.client.HTTPConnection, server: Gateway, path: str, number: int = 60) -> list[float]:
    """S of each request."""
    samples = []
    for _ in range(number):
        began = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"token {server.token}"})
        answer = connection.getresponse()
        answer.read()
        samples.append(time.perf_counter() - began)
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status}")
    return samples
