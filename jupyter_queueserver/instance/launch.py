"""Start the programs of an instance in the background, and find its manager or have one started.

Everybody who needs a manager (the gateway, a magic, a test) uses `ensure_manager`.  This module starts
programs by name; it does not import them, and it knows nothing of what they do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .paths import Instance
from .runtime import Runtime, read_runtime
from .secrecy import OWN_SECRETS, without_secrets

LOG_LIMIT = 8 << 20
"""Bytes above which a log file is moved aside when it is opened again."""


class LaunchError(Exception):
    """No manager runs and none could be started; the text says why and what to do."""


def open_log(path: Path) -> int:
    """Open a log file for appending (0600); a file above `LOG_LIMIT` becomes ``<name>.1`` first."""
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_name(path.name + ".1"))
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, 0o600)  # one of an earlier version may be open to others
    return handle


def spawn_detached(
    command: Sequence[str], log: Path, *, pass_fds: Sequence[int] = (), cwd: str | None = None
) -> subprocess.Popen[bytes]:
    """Start a program that outlives this one: a session of its own, no input, output appended to ``log``, no keys in its
    environment.

    It runs in the directory ``cwd``; None: in this program's.
    """
    handle = open_log(log)
    try:
        return subprocess.Popen(  # noqa: S603 - a program of ours, by a list of words
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            cwd=cwd,
            env=without_secrets(),
        )
    finally:
        os.close(handle)


def watchdog_command(*arguments: str) -> list[str]:
    """Command line of `start-re-manager` that does not depend on which program of that name is installed.

    With ``-P``: a ``queue.py`` of the user, in the folder where he happens to be, is not taken for Python's.
    """
    return [sys.executable, "-P", "-m", "jupyter_queueserver", "start-re-manager", *arguments]


def ensure_manager(instance: Instance, arguments: Sequence[str] = (), timeout: float = 20.0, *, force: bool = False) -> Runtime:
    """Return how to reach the manager of an instance; one is started in the background if none runs.  Blocks.

    Parameters
    ----------
    arguments
        Options of `start-re-manager`, without ``--detach`` and ``--data-dir``; they mean nothing to a
        manager that runs already.
    timeout
        Seconds to wait for a started manager to be ready.
    force
        Start one even if the last one was stopped on purpose.

    Raises
    ------
    LaunchError
        It was stopped on purpose, refused to start, or was not ready in time.
    """
    if instance.stopped_mark.exists():
        if not force:
            raise LaunchError(
                "The manager was stopped on purpose and is not started again by itself. Start it with"
                f" `start-re-manager --data-dir {instance.data_dir}`, or restart this server."
            )
    elif (runtime := read_runtime(instance)) is not None:
        return runtime
    command = watchdog_command("--detach", "--data-dir", str(instance.data_dir), *arguments)
    return _start(command, timeout, instance.logs)


def _start(command: Sequence[str], timeout: float, logs: Path) -> Runtime:
    try:
        done = subprocess.run(  # noqa: S603 - as above
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=without_secrets(keep=OWN_SECRETS),  # it reads them, and hands them on by a pipe
        )
    except subprocess.TimeoutExpired as error:
        raise LaunchError(f"The manager was not ready after {timeout:g} s; see {logs}/manager.log.") from error
    except OSError as error:
        raise LaunchError(f"The manager could not be started: {error}.") from error
    if done.returncode != 0:
        raise LaunchError(done.stderr.strip() or f"start-re-manager ended with status {done.returncode}.")
    try:
        return msgspec.json.decode(done.stdout.strip().rpartition("\n")[2], type=Runtime)
    except msgspec.MsgspecError as error:
        raise LaunchError(f"start-re-manager answered {done.stdout.strip()[:200]!r}.") from error
