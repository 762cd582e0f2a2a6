"""Find, start and stop the embedded Tiled server of a data directory (``<data-dir>/databroker``).

Light: it only handles processes and one small file, and must not import tiled.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import msgspec

from jupyter_queueserver.instance import Identity, ProcessWatch, is_alive
from jupyter_queueserver.instance.launch import spawn_detached

__all__ = [
    "NEEDED_MODULES",
    "Server",
    "ServerInfo",
    "ServerNotStarted",
    "missing_modules",
    "read_server",
    "stop_server",
]

INFO_NAME: Final = "server.json"
NEEDED_MODULES: Final = (
    "bluesky_tiled_plugins",
    "tiled",
    "uvicorn",
    "fastapi",
    "sqlalchemy",
    "aiosqlite",
    "zarr",
    "pyarrow",
)


class ServerNotStarted(Exception):
    """The Tiled server did not come up; the message holds the end of its log."""


class ServerInfo(msgspec.Struct, frozen=True):
    """A running server: address (URL of its interface), key and process."""

    address: str
    api_key: str
    identity: Identity


def missing_modules() -> list[str]:
    """Which of the modules of the extra ``[data]`` are not installed (nothing is imported)."""
    importlib.invalidate_caches()
    return [name for name in NEEDED_MODULES if importlib.util.find_spec(name) is None]


def read_server(directory: Path) -> ServerInfo | None:
    """The server that serves *directory* now; None if there is none."""
    try:
        info = msgspec.json.decode((directory / INFO_NAME).read_bytes(), type=ServerInfo)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return info if is_alive(info.identity) else None


def stop_server(directory: Path, timeout: float = 10.0) -> bool:
    """End the server of *directory* (SIGTERM, after *timeout* seconds SIGKILL); False if none was running."""
    info = read_server(directory)
    if info is None:
        return False
    watch = ProcessWatch(info.identity.pid)
    try:
        watch.send_signal(signal.SIGTERM)
        if not _wait_dead(watch, timeout):
            watch.send_signal(signal.SIGKILL)
            _wait_dead(watch, timeout)
    finally:
        watch.close()
    (directory / INFO_NAME).unlink(missing_ok=True)
    return True


class Server:
    """The embedded server as its user sees it: found if it runs, started if it does not.

    Parameters
    ----------
    directory
        ``<data-dir>/databroker``; made if missing.
    idle_minutes
        After so many minutes without a request a server that is started here ends by itself.
    """

    def __init__(self, directory: Path, *, idle_minutes: float = 10.0) -> None:
        self.directory = directory
        self._idle_minutes = idle_minutes
        self._child: subprocess.Popen[bytes] | None = None
        self._given_up = threading.Event()

    def ensure(self, timeout: float = 120.0) -> ServerInfo:
        """The running server, started now if need be (this takes seconds).

        Raises
        ------
        ServerNotStarted
            It ended at its start, or did not answer within *timeout* seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            info = read_server(self.directory)
            if info is not None:
                return info
            if self._given_up.is_set():
                raise ServerNotStarted("the wait for the Tiled server was given up")
            if self._child is None or self._child.poll() is not None:
                if self._child is not None and self._child.returncode != 0:
                    self._child = None
                    raise ServerNotStarted(f"the Tiled server ended at its start: {self._log_tail()}")
                self._child = self._spawn()
            self._given_up.wait(0.1)
        raise ServerNotStarted(f"the Tiled server did not answer within {timeout:.0f} s: {self._log_tail()}")

    def give_up(self) -> None:
        """Let :meth:`ensure`, in whatever thread it waits, raise now and start nothing any more."""
        self._given_up.set()

    def end(self, timeout: float = 1.5) -> None:
        """End the server if this object has started it, also in the middle of its start; starts nothing afterwards.

        After *timeout* seconds it is killed, which SQLite survives and a run that is half-written too.
        """
        self.give_up()
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        (self.directory / INFO_NAME).unlink(missing_ok=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "jupyter_queueserver.documents.tiled_server"]
        command += ["--directory", os.fspath(self.directory), "--idle-minutes", str(self._idle_minutes)]
        return spawn_detached(command, self.directory / "server.log")

    def _log_tail(self) -> str:
        try:
            return (self.directory / "server.log").read_text(errors="replace")[-1000:].strip()
        except OSError:
            return "(it has no log)"


def _wait_dead(watch: ProcessWatch, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not watch.is_dead():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
