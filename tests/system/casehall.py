"""What the named worker cases share: a server with short limits, and plans of `case_startup` with a trace and a go file."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import HERE, Server, Status, until

#: A copy: a server writes the list of plans and devices beside its startup code.
CASES = Path(tempfile.mkdtemp(prefix="jqs-cases-")) / "startup"
shutil.copytree(HERE / "case_startup", CASES)
atexit.register(shutil.rmtree, CASES.parent, ignore_errors=True)

LIMITS = ("--pause-limit", "1", "--deferred-pause-limit", "1", "--ending-limit", "1", "--worker-silence-limit", "2")
OPTIONS = ("--startup-dir", str(CASES), "--saver", "none", *LIMITS)


class Case:
    """One plan of `case_startup` in the queue.

    Attributes
    ----------
    uid
        Of the item.
    """

    def __init__(self, server: Server, directory: Path, plan: str, **kwargs: Any) -> None:
        self._server = server
        name = f"{plan}-{len(list(directory.iterdir()))}"
        self._trace, self._go = directory / f"{name}.trace", directory / f"{name}.go"
        takes_go = plan not in ("brief", "eats_memory", "segfaults")
        places = {"trace": self._trace} | ({"go": self._go} if takes_go else {})
        self._trace.touch()
        self.uid = server.add(plan, **places, **kwargs)

    @property
    def lines(self) -> list[str]:
        """What it has written so far."""
        return self._trace.read_text().split()

    def started(self) -> Case:
        """Start the queue and wait until the plan has begun."""
        self._server.ok("queue_start")
        return self.wait("begin")

    def wait(self, line: str) -> Case:
        """Wait until it has written that."""
        until(lambda: line in self.lines, f"'{line}' in {self._trace.name}")
        return self

    def go(self) -> None:
        """Let it end."""
        self._go.touch()


MakeCase = Callable[..., Case]


def pending(server: Server) -> dict[str, Any] | None:
    """What the plan was told and has not done yet."""
    return server.status()["re_pending"]


def wait_overdue(server: Server, command: str) -> dict[str, Any]:
    """Wait until that command is overdue; the event stream tells it.  Returns ``re_pending``."""

    def is_overdue(status: Status) -> bool:
        found = status["re_pending"]
        return found is not None and found["command"] == command and found["overdue"]

    return server.wait_for(is_overdue, f"{command} to be overdue")["re_pending"]


def wait_paused(server: Server) -> Status:
    """Wait for the state paused."""
    return server.wait_state("paused")


def wait_closed(server: Server) -> Status:
    """Wait until there is no environment."""
    return server.wait_for(lambda status: status["worker_environment_state"] == "closed", "the environment to be closed")


def endings(server: Server) -> list[str]:
    """Endings of the items in the history, oldest first."""
    return [item["result"]["ending"] for item in server.history()]
