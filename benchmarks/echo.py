"""A request against a bare 0MQ echo of as many bytes between two processes, in turns."""

from __future__ import annotations

import sys
import time

from .bench import Bench, heard
from .line import Line
from .servers import Server


def against_echo(
    bench: Bench, server: Server, request: bytes, *, rounds: int, block: int
) -> tuple[list[float], list[float], int]:
    """Return the s of each request to the opened server and of each echo, and the size of the reply in bytes."""
    server.open()
    trips: list[float] = []
    echoes: list[float] = []
    with server.line() as line:
        size = len(line.exchange(request))
        address = f"ipc://{bench.new_folder()}"
        with bench.bare(sys.executable, "echo", address, str(size)) as process, Line(address) as echo:
            heard(process)
            for _ in range(rounds):
                trips += _block(line, request, block)
                echoes += _block(echo, request, block)
    return trips, echoes, size


def _block(line: Line, request: bytes, number: int) -> list[float]:
    samples = []
    for _ in range(number):
        began = time.perf_counter()
        line.exchange(request)
        samples.append(time.perf_counter() - began)
    return samples
