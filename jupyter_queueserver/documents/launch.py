"""Start the relay of an instance, from any process that wants it to run (manager, tests).

Light; it only starts a process. That there is one relay at most is the relay's own business (its lock).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

__all__ = ["start_relay"]


def start_relay(
    data_dir: Path, socket_dir: Path, log_file: Path, *, saver: Literal["auto", "none"] = "auto"
) -> subprocess.Popen[bytes]:
    """Start a relay in a session of its own, with *log_file* as its output; it outlives its starter.

    If one serves this journal already, the new one ends at once with status 0. Raises ``OSError``.
    """
    command = [sys.executable, "-m", "jupyter_queueserver.documents", "--saver", saver]
    command += ["--data-dir", os.fspath(data_dir), "--socket-dir", os.fspath(socket_dir)]
    log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log_file.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )
