"""The worker's standard output: Python text goes to the console file at once and to attached consoles soon after.

File descriptors 1 and 2 stay what they are, the console file: what C code or a child process prints arrives there too, and the
last words of a crashing process are not lost in a pipe.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from ipykernel.iostream import OutStream

from ..link.bell import CONSOLE, Bell
from ..link.console import punch_head

_IN_MODIFY = 0x00000002
#: Seconds between two rings at least.
RING_INTERVAL = 0.05


log = logging.getLogger(__name__)


class ConsoleStream(OutStream):
    """`sys.stdout` or `sys.stderr` of the worker."""

    flush_interval = 0.05
    #: Called after text was written to the file; empty where the file itself is watched.
    on_text: ClassVar[list[Callable[[], object]]] = []

    def fileno(self) -> int:
        """The console file, for child processes."""
        return 2 if self.name == "stderr" else 1

    def write(self, string: str) -> int | None:
        """As inherited, but it never raises: the RunEngine itself prints, and a full disk must not swallow a pause.

        Half surrogate pairs, which no encoder takes, are written as escapes.
        """
        try:
            return super().write(string.encode("utf-8", "backslashreplace").decode())
        except OSError:
            return len(string)

    def flush(self) -> None:
        """As inherited, but free of charge when there is nothing to flush: it is called after every message."""
        with self._buffer_lock:
            empty = not self._buffers
        if not empty:
            super().flush()

    def _flush(self) -> None:
        try:
            super()._flush()
        except UnicodeError:
            log.warning("text that is no text could not be sent to attached consoles; it is in the console file")
        for tell in self.on_text:
            tell()


class ConsoleWatch:
    """Rings the manager when the console file grows, whoever wrote, and keeps the file bounded.

    With inotify (Linux) a thread sleeps until something is written; elsewhere `ConsoleStream` rings after Python text only,
    and the manager finds the rest when it looks by itself.
    """

    def __init__(self, path: Path, bell: Bell) -> None:
        self._bell = bell
        self._punched = 0
        self._pid = os.getpid()
        self._inotify = _watch_file(path)
        if self._inotify is None:
            ConsoleStream.on_text.append(self._tell)
            return
        threading.Thread(target=self._run, args=(self._inotify,), name="console", daemon=True).start()

    def _run(self, inotify: int) -> None:
        while True:
            os.read(inotify, 65536)
            self._tell()
            time.sleep(RING_INTERVAL)

    def _tell(self) -> None:
        if os.getpid() != self._pid:
            return  # a forked child: its parent looks after the file
        self._bell.ring(CONSOLE)
        try:
            self._punched = punch_head(1, self._punched)
        except OSError:
            self._punched = 1 << 62  # the descriptor was closed by user code: nothing to bound any more


def _watch_file(path: Path) -> int | None:
    libc: Any = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        return None
    descriptor = libc.inotify_init1(os.O_CLOEXEC)
    if descriptor < 0:
        return None
    if libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(descriptor)
        return None
    return descriptor
