"""Start, find and stop the relay of an instance, from any process that wants it to run (manager, tests).

Light; it only handles processes. That there is one relay at most is the relay's own business (its lock).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from jupyter_queueserver.instance import Identity, ProcessWatch, is_alive
from jupyter_queueserver.instance.home import decode_at_home
from jupyter_queueserver.instance.launch import spawn_detached

__all__ = ["find_relay", "start_relay", "stop_relay"]


def start_relay(
    data_dir: Path, socket_dir: Path, log_file: Path, *, saver: Literal["auto", "none"] = "auto", options: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a relay in a session of its own, with *log_file* as its output; it outlives its starter.

    *options* are further
    ones of its command line, such as ``--keep-days``.

    If one serves this journal already, the new one ends at once with status 0. Raises ``OSError``.
    """
    command = [sys.executable, "-P", "-m", "jupyter_queueserver.documents", "--saver", saver]
    command += ["--data-dir", os.fspath(data_dir), "--socket-dir", os.fspath(socket_dir)]
    command += options
    log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return spawn_detached(command, log_file, cwd="/")


def find_relay(data_dir: Path) -> Identity | None:
    """The relay that serves an instance now, whoever started it; None if there is none (or it is just starting).

    That of a data directory of which this one is a copy is another matter.
    """
    try:
        found = decode_at_home((data_dir / "journal" / "relay.lock").read_bytes(), Identity, data_dir)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return found if found is not None and is_alive(found) else None


def stop_relay(data_dir: Path, timeout: float = 20.0) -> bool:
    """End the relay of an instance in order (SIGTERM) and wait for its death; nothing is lost by that.

    Returns
    -------
    ended
        False if it lives on after *timeout* seconds (it is not killed: it may be in the middle of a delivery).
    """
    identity = find_relay(data_dir)
    if identity is None:
        return True
    watch = ProcessWatch(identity.pid)
    try:
        if not is_alive(identity):
            return True
        watch.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while not watch.is_dead():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
    finally:
        watch.close()
