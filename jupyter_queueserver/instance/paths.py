"""The paths of an instance: its data directory and the short private directory of its sockets.

Every file or socket that two processes share has its name here and nowhere else.
"""

from __future__ import annotations

import contextlib
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
    def fence_file(self) -> Path:
        """The highest fence of a manager of this instance, should the store forget its own."""
        return self.data_dir / "fence"

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
        return self.environments / environment_id

    @property
    def environments(self) -> Path:
        """Directory of what each environment keeps."""
        return self.data_dir / "environments"

    @property
    def sockets_record(self) -> Path:
        """Names the directory of the sockets, so that every login session finds the same one."""
        return self.data_dir / "sockets"

    @property
    def sockets(self) -> Path:
        """Private directory of the sockets, short and on a local disk: the recorded one, else as it would be chosen now."""
        return self._recorded_sockets() or self._chosen_sockets()

    def _recorded_sockets(self) -> Path | None:
        """What the record says; None without one, or if it came here with a copy of another data directory."""
        try:
            recorded = Path(self.sockets_record.read_text())
        except (OSError, UnicodeDecodeError):
            return None
        return recorded if recorded.is_absolute() and recorded.name.endswith(f"-{self._digest}") else None

    def _chosen_sockets(self) -> Path:
        runtime_dir = os.environ.get("XDG_RUNTIME_DIR")
        if runtime_dir and len(runtime_dir) < 50 and os.access(runtime_dir, os.W_OK):
            return Path(runtime_dir) / f"jqs-{self._digest}"
        return Path(f"/tmp/jqs-{os.getuid()}-{self._digest}")  # noqa: S108 - owner and mode are checked before use

    @property
    def _digest(self) -> str:
        return hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12]

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
        """Make the directories, private to this user; raises ``PermissionError`` if they belong to somebody else.

        The directory of the sockets is the recorded one; the first to come records his choice.
        """
        self.prepare_data()
        self.record_sockets()
        _make_private(self.sockets)
        return self

    def prepare_data(self) -> Instance:
        """`prepare` without the sockets."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for directory in (self.data_dir, self.journal, self.logs, self.environments):
            _make_private(directory)
        return self

    def prepare_anew(self) -> Instance:
        """`prepare` for who holds the duty and knows that no manager lives: a directory that cannot be used is replaced.

        A worker that lives has its own sockets written in its connection file, so that it is not lost by that.
        """
        try:
            return self.prepare()
        except OSError:
            chosen = self._chosen_sockets()
            if chosen == self.sockets:
                raise
            self.prepare_data()
            write_private(self.sockets_record, os.fsencode(chosen))
        return self.prepare()

    def record_sockets(self) -> None:
        """Record which directory the sockets lie in, unless that is decided already; the data directory must exist."""
        if self._recorded_sockets() is not None:
            return
        chosen = os.fsencode(self._chosen_sockets())
        if self.sockets_record.exists():  # unreadable, or of another data directory
            write_private(self.sockets_record, chosen)
            return
        handle, name = tempfile.mkstemp(dir=self.data_dir, prefix=".sockets.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(chosen)
            with contextlib.suppress(FileExistsError):  # of two that come at once the first decides for both
                os.link(name, self.sockets_record)
        finally:
            Path(name).unlink(missing_ok=True)

    def check_sockets(self) -> None:
        """Before connecting: raises ``PermissionError`` if the directory of the sockets may be somebody else's trap.

        One that is not there is no fault: nobody listens.
        """
        check_private(self.sockets, trusted=self.data_dir)


def check_private(directory: Path, *, trusted: Path | None = None) -> None:
    """Raise ``PermissionError`` unless it is missing, or a directory that nobody but its rightful owner can enter.

    Parameters
    ----------
    trusted
        The owner of this path is as good as the present user; None: the present user only.
    """
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return
    owners = {os.getuid()}
    if trusted is not None:
        with contextlib.suppress(OSError):
            owners.add(trusted.stat().st_uid)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise PermissionError(f"{directory} is not a directory that belongs to this user")
    if found.st_mode & 0o077:
        raise PermissionError(f"{directory} is open to other users (mode {found.st_mode & 0o777:o}, 700 is expected)")


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
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
