"""What the kernel says of processes (CPU time, memory, start), and their end, by process id only."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

_TICKS = os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on (the second, the name, may hold blanks)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads so far, in s (user and system); resolution 1/100 s."""
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def age(pid: int) -> float:
    """Time since the process was made, in s; resolution 1/100 s."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(_fields(pid)[19]) / _TICKS


def memory(pid: int, name: str = "Pss") -> int:
    """Proportional (``Pss``) or full (``Rss``) set size, in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {name} of process {pid}")


def naming(text: str) -> list[psutil.Process]:
    """Processes whose command line holds a text: here always a temporary directory that nobody else has."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(text in word for word in words):
            found.append(process)
    return found


def end(processes: Iterable[psutil.Process], patience: float = 5.0) -> None:
    """Wait for processes to end by themselves, then end those that are left."""
    _, left = psutil.wait_procs(list(processes), timeout=patience)
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=5)
