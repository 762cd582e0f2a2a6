"""How much memory a worker uses, looked at now and then, so that its death by SIGKILL can be explained.

Without special rights nobody tells a process why another one was killed; what can be known is how big it was, and whether the
system has killed some process for lack of memory meanwhile.  Where there is no ``/proc`` nothing is known.
"""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEGABYTE = 1_000_000


class MemoryWatch:
    """The memory of one process.

    Attributes
    ----------
    largest
        Most bytes of physical memory that were seen; None if none were.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._kills = system_kills()
        self.largest: int | None = None
        self.look()

    def look(self) -> None:
        """Note what it uses now; a dead process is passed over."""
        used = resident(self._pid)
        if used:
            self.note(used)
            self._kills = system_kills()

    def note(self, used: int) -> None:
        """Note that it has used so many bytes."""
        self.largest = max(used, self.largest or 0)

    def system_has_killed(self) -> bool:
        """Whether the system has killed some process for lack of memory since the last look at the living process."""
        now = system_kills()
        return now is not None and self._kills is not None and now > self._kills

    def text(self) -> str:
        """What it has used, e.g. ``"it had used up to 512 MB of memory"``; empty if that is not known."""
        return "" if self.largest is None else f"it had used up to {round(self.largest / _MEGABYTE)} MB of memory"


def resident(pid: int) -> int | None:
    """Bytes of physical memory that a process uses; None if it cannot be read, 0 for a zombie."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return None


def system_kills() -> int | None:
    """How many processes the system has killed for lack of memory since its start; None if it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
