"""What it costs to do nothing: CPU time with the environment open, and the memory of watchdog and manager."""

from __future__ import annotations

import time

from ..bench import Bench
from ..figures import Figure, summary
from ..processes import cpu_seconds, memory
from ..servers import Server
from .plans import queue_seconds

_WINDOW = 5.0


def measure(bench: Bench) -> list[Figure]:
    """Our server with its default settings, the old one in the same windows of time."""
    ours = bench.ours("default", saver="auto")
    servers = [ours, *bench.old()]
    for server in servers:
        server.open()
        queue_seconds(server, "nothing", 5)
    time.sleep(3)  # what follows an opening (lists, relay's start) is not idling
    shares: dict[str, list[float]] = {server.name: [] for server in servers}
    before = {server.name: spent(server) for server in servers}
    first = before["ours"]
    for _ in range(bench.times(6, 1)):
        time.sleep(_WINDOW)
        for server in servers:
            now = spent(server)
            shares[server.name].append(100 * (sum(now.values()) - sum(before[server.name].values())) / _WINDOW)
            before[server.name] = now
    span = _WINDOW * len(shares["ours"])
    parts = {role: 100 * (before["ours"][role] - first[role]) / span for role in first}
    return figures(servers, shares, parts)


def figures(servers: list[Server], shares: dict[str, list[float]], parts: dict[str, float]) -> list[Figure]:
    """The lines of the table; the mean over the whole span is judged, windows give the spread."""
    means = {name: sum(values) / len(values) for name, values in shares.items()}
    sizes = {server.name: watching_memory(server) for server in servers}
    full = watching_memory(servers[0], "Rss")
    return [
        Figure(
            f"idle CPU of {', '.join(sorted(parts))}, % of a core over {_WINDOW * len(shares['ours']):.0f} s",
            means["ours"],
            "<= 1 %",
            1.0,
            summary(shares["ours"]).text(),
            ", ".join(f"{role} {share:.2f}" for role, share in sorted(parts.items())),
            f"{means['old']:.2f}" if "old" in means else "",
        ),
        Figure(
            "memory (PSS) of watchdog + manager, MB",
            sum(sizes["ours"].values()),
            "<= 70 MB",
            70.0,
            baseline=", ".join(f"{role} {size:.1f} (RSS {full[role]:.1f})" for role, size in sizes["ours"].items()),
            old=f"{sum(sizes['old'].values()):.1f}" if "old" in sizes else "",
            digits=1,
        ),
    ]


def spent(server: Server) -> dict[str, float]:
    """CPU s so far by role."""
    return {role: cpu_seconds(pid) for role, pid in server.pids().items()}


def watching_memory(server: Server, kind: str = "Pss") -> dict[str, float]:
    """Memory in MB (1,000,000 bytes) of watchdog and manager; pages that they share with other processes count in part."""
    pids = server.pids()
    return {role: memory(pids[role], kind) / 1e6 for role in ("watchdog", "manager")}
