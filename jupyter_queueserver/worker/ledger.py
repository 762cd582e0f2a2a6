"""The ledger of items and tasks: which were accepted, which is taken, and what became of each.  It makes a start exactly-once.

Control thread and main thread share it under one lock.  Every step is a line of ``accepted.log`` *before* it counts, so that a
manager can read after the worker's death how far an item had come.  A line survives the death of the process; it is not forced
to the disk, because nothing of it matters after the machine itself went down.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..core.tasks import TaskKind
from ..link.accepted import LedgerLine, read_ledger
from ..link.messages import Allowed, ItemFate

__all__ = ["AcceptedItem", "AcceptedTask", "Ledger", "read_ledger"]


@dataclass(frozen=True)
class AcceptedItem:
    """An item that waits for the main thread; ``text`` is its JSON text."""

    uid: str
    text: str
    allowed: Allowed
    fence: int


@dataclass(frozen=True)
class AcceptedTask:
    """A task that waits for the main thread, or for a thread of its own; ``payload`` is JSON text."""

    uid: str
    kind: TaskKind
    background: bool
    payload: str
    fence: int


class Ledger:
    """At most one item or foreground task accepted or running at a time, no uid ever twice."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._forget_lock()
        os.register_at_fork(after_in_child=self._forget_lock)  # of a thread that the child does not have
        self._pid = os.getpid()
        self._fates: dict[str, ItemFate] = {}
        self._accepted: AcceptedItem | None = None
        self._running: AcceptedItem | None = None
        self._tasks: dict[str, AcceptedTask] = {}

    def _forget_lock(self) -> None:
        self._lock = threading.RLock()

    @property
    def accepted(self) -> str | None:
        """uid of the item that waits to be taken."""
        with self._lock:
            return self._accepted.uid if self._accepted else None

    @property
    def running(self) -> str | None:
        """uid of the item that was taken and has not ended."""
        with self._lock:
            return self._running.uid if self._running else None

    @property
    def is_free(self) -> bool:
        """Whether nothing is accepted or running; background tasks do not count."""
        with self._lock:
            return self._accepted is None and self._running is None and self.foreground is None

    @property
    def tasks(self) -> tuple[str, ...]:
        """uids of the tasks that were accepted and have not ended."""
        with self._lock:
            return tuple(self._tasks)

    @property
    def foreground(self) -> str | None:
        """uid of the foreground task that was accepted and has not ended."""
        with self._lock:
            return next((task.uid for task in self._tasks.values() if not task.background), None)

    def fate(self, uid: str) -> ItemFate | None:
        """What became of the item; None if it was never seen."""
        with self._lock:
            return self._fates.get(uid)

    def accept(self, item: AcceptedItem) -> bool:
        """Note it for the main thread; False (and nothing done) when another one is there.

        Raises ``OSError`` when it cannot be written down; it is not accepted then.
        """
        with self._lock:
            if not self.is_free or item.uid in self._fates:
                return False
            self._write(item, "accepted")
            self._accepted = item
            return True

    def withdraw(self, uid: str) -> bool:
        """Take it back; False when it is not (or no longer) waiting."""
        with self._lock:
            if self._accepted is None or self._accepted.uid != uid:
                return False
            self._write(self._accepted, "withdrawn")
            self._accepted = None
            return True

    def take(self) -> AcceptedItem | None:
        """The main thread takes what waits; None if nothing does.

        Raises ``OSError`` when it cannot be written down: it counts as taken, but its plan must not begin, because after the
        worker's death everybody would believe that it had not.
        """
        with self._lock:
            item = self._accepted
            if item is None:
                return None
            self._accepted, self._running = None, item
            self._write(item, "taken", strict=True)
            return item

    def end(self, tell: Callable[[], object]) -> None:
        """The running item has ended: `tell` reports it first, and nothing new is accepted in between.

        So whoever reads of the end here, also after the worker's death, finds the report of how it ended; and who has the
        report finds all here as it is after the end: a look waits for it.
        """
        with self._lock:
            tell()
            if self._running is not None:
                self._write(self._running, "ended")
                self._running = None

    def accept_task(self, task: AcceptedTask) -> bool:
        """Note it; False (and nothing done) when it was seen before, or the main thread that it needs has something in hand.

        Raises ``OSError`` when it cannot be written down; it is not accepted then.
        """
        with self._lock:
            if task.uid in self._fates or not (task.background or self.is_free):
                return False
            self._write(task, "accepted")
            self._tasks[task.uid] = task
            return True

    def take_task(self) -> AcceptedTask | None:
        """The main thread takes the foreground task that waits; None if there is none."""
        with self._lock:
            for task in self._tasks.values():
                if not task.background and self._fates[task.uid] == "accepted":
                    self._write(task, "taken")
                    return task
            return None

    def take_background(self, task: AcceptedTask) -> None:
        """Its own thread begins with it."""
        with self._lock:
            self._write(task, "taken")

    def end_task(self, task: AcceptedTask, tell: Callable[[], object]) -> None:
        """It has ended; as `end`."""
        with self._lock:
            tell()
            self._write(task, "ended")
            self._tasks.pop(task.uid, None)

    def _write(self, item: AcceptedItem | AcceptedTask, fate: ItemFate, *, strict: bool = False) -> None:
        if os.getpid() != self._pid:
            return  # a forked child: what it does is none of the worker's deeds
        line = msgspec.json.encode(LedgerLine(item.uid, fate, item.fence)) + b"\n"
        try:
            if os.write(self._fd, line) < len(line):
                raise OSError("the disk took only a part of the line")
        except OSError:
            if fate == "accepted":
                raise
            self._fates[item.uid] = fate
            if strict:
                raise
        # Later steps happen in any case: the reports say the same, and those are kept until the disk takes them.
        self._fates[item.uid] = fate

    def close(self) -> None:
        """Release the file."""
        os.close(self._fd)
