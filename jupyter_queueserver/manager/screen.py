"""What `start-re-manager` prints, written by a thread of its own: a terminal that is held (Ctrl-S) or a pipe that nobody reads
must not hold up the watch.

Knows text and a stream, not what the text means.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from pathlib import Path
from typing import TextIO

from ..instance.launch import open_log

#: Pieces of text that may wait; what comes beyond is counted and left out.
_WAITING = 256


class Voice:
    """What the watchdog says: lines of its own, and pieces of the output of others.

    Parameters
    ----------
    stream
        Where it is printed.
    log
        File to which its own lines are appended besides; None: the stream is that file already.
    """

    def __init__(self, stream: TextIO, log: Path | None) -> None:
        self._screen = Screen(stream)
        self._log = log

    def say(self, text: str) -> None:
        """Say one line, with the time."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} watchdog: {text}\n"
        if self._log is not None:
            with contextlib.suppress(OSError):  # what cannot be logged is on the screen
                _append(self._log, line)
        self._screen.show(line)

    def show(self, text: str) -> None:
        """Show a piece of others' output."""
        self._screen.show(text)

    def close(self) -> None:
        """Let what was said go out."""
        self._screen.close()


def _append(log: Path, line: str) -> None:
    handle = open_log(log)
    try:
        os.write(handle, line.encode("utf-8", "replace"))
    finally:
        os.close(handle)


class Screen:
    """A stream behind a bounded queue."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pieces: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="screen", daemon=True)
        self._thread.start()

    def show(self, text: str) -> None:
        """Write the text soon; returns at once."""
        with contextlib.suppress(queue.Full):
            if self._lost:
                self._pieces.put_nowait(f"\n[{self._lost} characters were left out: the output was held up]\n")
                self._lost = 0
            self._pieces.put_nowait(text)
            return
        self._lost += len(text)

    def close(self, limit: float = 2.0) -> None:
        """Write what waits, but take no longer than ``limit`` seconds."""
        with contextlib.suppress(queue.Full):
            self._pieces.put(None, timeout=limit)
            self._thread.join(limit)

    def _write(self) -> None:
        while (text := self._pieces.get()) is not None:
            with contextlib.suppress(OSError, ValueError):  # the terminal may be gone; the watch goes on
                self._stream.write(text)
                self._stream.flush()
