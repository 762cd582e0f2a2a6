"""The paths of an instance: its data directory and the short private directory of its sockets.

Every file or socket that two processes share has its name here and nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

DATA_DIR_VARIABLE = "JUPYTER_QUEUESERVER_DATA_DIR"


@dataclass(frozen=True)
class Instance:
    """An instance: one queue, one environment, one journal.

    Parameters
    ----------
    data_dir
        Absolute path of the data directory (mode 0700 once it exists).
    """

    data_dir: Path

    @property
    def store(self) -> Path:
        """SQLite file of queue, history and state."""
        return self.data_dir / "queue.sqlite"

    @property
    def lease(self) -> Path:
        """File whose `flock` says which manager owns the store."""
        return self.data_dir / "manager.lock"

    @property
    def watchdog_lock(self) -> Path:
        """File whose `flock` says which watchdog is on duty."""
        return self.data_dir / "watchdog.lock"

    @property
    def runtime_file(self) -> Path:
        """How to reach the manager that runs now."""
        return self.data_dir / "runtime.json"

    @property
    def environment_file(self) -> Path:
        """What is needed to adopt the worker that runs now; a worker without it ends itself."""
        return self.data_dir / "environment.json"

    @property
    def stopped_mark(self) -> Path:
        """Exists after a deliberate ``manager_stop``: nobody starts a manager by himself while it is there."""
        return self.data_dir / "stopped"

    @property
    def journal(self) -> Path:
        """Directory of the document journal."""
        return self.data_dir / "journal"

    @property
    def logs(self) -> Path:
        """Directory of log files."""
        return self.data_dir / "logs"

    def environment_dir(self, environment_id: str) -> Path:
        """Spool, console and connection file of one environment."""
        return self.data_dir / "environments" / environment_id

    @property
    def sockets(self) -> Path:
        """Private directory of the sockets: short, on a local file system."""
        digest = hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12]
        runtime_dir = os.environ.get("XDG_RUNTIME_DIR")
        if runtime_dir and len(runtime_dir) < 50 and os.access(runtime_dir, os.W_OK):
            return Path(runtime_dir) / f"jqs-{digest}"
        return Path(f"/tmp/jqs-{os.getuid()}-{digest}")  # noqa: S108 - owner and mode are checked before use

    @property
    def control_address(self) -> str:
        """0MQ address of the manager's control socket."""
        return f"ipc://{self.sockets}/control"

    @property
    def events_address(self) -> str:
        """0MQ address of the manager's event stream."""
        return f"ipc://{self.sockets}/events"

    @property
    def documents_address(self) -> str:
        """0MQ address where the relay pushes live documents to the manager."""
        return f"ipc://{self.sockets}/documents.ipc"

    @property
    def manager_bell(self) -> Path:
        """Unix datagram socket that the worker rings when there is a report or console text."""
        return self.sockets / "manager.bell"

    @property
    def relay_bell(self) -> Path:
        """Unix datagram socket that the worker rings when there is a document."""
        return self.sockets / "relay.bell"

    @property
    def watchdog_bell(self) -> Path:
        """Unix datagram socket on which the watchdog hears the manager's heartbeat."""
        return self.sockets / "watchdog.bell"

    def prepare(self) -> Instance:
        """Make the directories, private to this user; raises ``PermissionError`` if they belong to somebody else."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for directory in (self.data_dir, self.sockets):
            directory.mkdir(mode=0o700, exist_ok=True)
            _make_private(directory)
        for directory in (self.journal, self.logs):
            directory.mkdir(mode=0o700, exist_ok=True)
        return self


def _make_private(directory: Path) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{directory} is not a directory that belongs to this user")
    if found.st_mode & 0o077:
        directory.chmod(0o700)


def find_instance(data_dir: str | os.PathLike[str] | None = None) -> Instance:
    """Return the instance that is meant: argument, else the environment variable, else the per-user default."""
    chosen = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if chosen:
        return Instance(Path(chosen).expanduser().resolve())
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return Instance((base / "jupyter_queueserver" / "default").resolve())


def write_private(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Replace a file at once, readable for its owner only; ``sync`` also forces it to the disk."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
