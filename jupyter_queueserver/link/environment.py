"""`environment.json`: the one record of the environment that is open, shared by manager and worker.

The manager writes it before it launches the worker; it is what makes adoption possible and a worker without a manager
legitimate.  Nothing here starts or ends a process.
"""

from __future__ import annotations

import secrets
import shutil
import time
import uuid
from pathlib import Path
from typing import Literal

import msgspec

from ..instance import Identity, Instance, boot_id, write_private
from ..instance.home import Home, decode_at_home, encode_at_home, home_of, strange_home
from .kernel_options import KernelOptions
from .messages import PROTOCOL


class StartupSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the startup code comes from.

    Attributes
    ----------
    kind
        ``dir``: all ``*.py`` and ``*.ipy`` of a directory, sorted by name; ``script``: one file; ``module``: an importable module
        whose names are taken over; ``profile``: the ``startup`` directory of an IPython profile.
    value
        Path, module name or profile name.
    ipython_dir
        Directory of the IPython profiles; None: the user's own.
    profile
        IPython profile whose startup files are loaded before a script or module; None: none.
    """

    kind: Literal["dir", "script", "module", "profile"]
    value: str
    ipython_dir: str | None = None
    profile: str | None = None


class EnvironmentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One environment: everything that the worker needs at its start and a manager needs to find it again.

    Attributes
    ----------
    environment_id
        Its name, also that of its directory.
    nonce
        Secret that both sides know from this file only.
    created
        Seconds since the epoch; for people.
    began
        The same moment on the clock that nobody sets (``time.monotonic``), which counts for one boot of the machine.
    boot_id
        That boot.
    startup
        The startup code.
    directory, connection_file, journal, engine_metadata
        Absolute paths: the environment's directory, the kernel's connection file in it, the document journal, and where the
        RunEngine's metadata persist.
    manager_bell, relay_bell
        Unix datagram sockets to ring.
    identity
        The worker's process; None until it is launched.
    keep_re
        Setting of the interface without effect: a RunEngine ``RE`` that the startup code made is always used.
    device_max_depth
        How deep device components are described; 0: all.
    ignore_invalid_plans
        Whether plans that cannot be described are left out instead of failing the opening.
    protocol
        Version of the conversation that the launching manager speaks.
    orphan_check_seconds
        How often an idle worker looks whether this file still names it, seconds.
    stop_on_alarm
        Whether the queue stops after a plan whose documents could not be kept.
    kernel
        Where the kernel listens.
    """

    environment_id: str
    nonce: str
    created: float
    startup: StartupSource
    directory: str
    connection_file: str
    journal: str
    engine_metadata: str
    manager_bell: str
    relay_bell: str
    identity: Identity | None = None
    keep_re: bool = False
    device_max_depth: int = 0
    ignore_invalid_plans: bool = False
    protocol: int = PROTOCOL
    orphan_check_seconds: float = 5.0
    stop_on_alarm: bool = False
    kernel: KernelOptions = KernelOptions()
    began: float = 0.0
    boot_id: str = ""

    @property
    def reports(self) -> Path:
        """Directory of the spool."""
        return Path(self.directory) / "reports"

    @property
    def console(self) -> Path:
        """The worker's standard output and error."""
        return Path(self.directory) / "console.log"

    @property
    def accepted(self) -> Path:
        """What became of the items that the worker was asked to start."""
        return Path(self.directory) / "accepted.log"


def new_record(
    instance: Instance,
    startup: StartupSource,
    *,
    keep_re: bool = False,
    device_max_depth: int = 0,
    ignore_invalid_plans: bool = False,
    orphan_check_seconds: float = 5.0,
    stop_on_alarm: bool = False,
    kernel: KernelOptions | None = None,
) -> EnvironmentRecord:
    """Describe an environment that is to be opened now; writes nothing."""
    environment_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
    directory = instance.environment_dir(environment_id)
    return EnvironmentRecord(
        environment_id=environment_id,
        nonce=secrets.token_hex(16),
        created=time.time(),
        began=time.monotonic(),
        boot_id=boot_id(),
        startup=startup,
        directory=str(directory),
        connection_file=str(directory / "kernel.json"),
        journal=str(instance.journal),
        engine_metadata=str(instance.data_dir / "re_md"),
        manager_bell=str(instance.manager_bell),
        relay_bell=str(instance.relay_bell),
        keep_re=keep_re,
        device_max_depth=device_max_depth,
        ignore_invalid_plans=ignore_invalid_plans,
        orphan_check_seconds=orphan_check_seconds,
        stop_on_alarm=stop_on_alarm,
        kernel=kernel or KernelOptions(),
    )


def write_environment(instance: Instance, record: EnvironmentRecord) -> None:
    """Make it the open environment of the instance."""
    write_private(instance.environment_file, encode_at_home(record, home_of(instance.data_dir)), sync=True)


def read_environment(instance: Instance) -> EnvironmentRecord | None:
    """Return the open one; None if there is none or the file cannot be read as one.

    One that came here with a copy of another data directory is none: nothing of it may be touched.
    """
    try:
        return decode_at_home(instance.environment_file.read_bytes(), EnvironmentRecord, instance.data_dir)
    except (OSError, msgspec.MsgspecError):
        return None


def read_copied_environment(instance: Instance) -> tuple[EnvironmentRecord, Home] | None:
    """The one that came here with a copy of another data directory, and which one that is; None: there is no such."""
    home = strange_home(instance.environment_file, instance.data_dir)
    record = read_environment_file(instance.environment_file)
    return None if home is None or record is None else (record, home)


def read_environment_file(path: Path) -> EnvironmentRecord | None:
    """`read_environment` for the worker, which is told the file by its manager."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=EnvironmentRecord)
    except (OSError, msgspec.MsgspecError):
        return None


def is_named(path: Path, environment_id: str) -> bool:
    """Whether this ``environment.json`` still names the environment; a file that cannot be read at the moment counts as yes."""
    try:
        record = msgspec.json.decode(path.read_bytes(), type=EnvironmentRecord)
    except FileNotFoundError:
        return False
    except (OSError, msgspec.MsgspecError):
        return True
    return record.environment_id == environment_id


def remove_environment(instance: Instance) -> None:
    """Close the books: an idle worker that is still there ends itself."""
    instance.environment_file.unlink(missing_ok=True)


def prune_environments(instance: Instance, *, keep: int = 10) -> list[str]:
    """Delete the directories of all but the ``keep`` closed environments that were opened last; returns the deleted ids."""
    current = read_environment(instance)
    base = instance.environment_dir("x").parent
    found = [path for path in base.iterdir() if path.is_dir()] if base.is_dir() else []
    closed = [path for path in found if current is None or path.name != current.environment_id]
    closed.sort(key=_opened)
    gone = closed[: max(0, len(closed) - keep)]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in gone]


def _opened(directory: Path) -> float:
    """When an environment was opened: its connection file is written once, at the launch."""
    for path in (directory / "kernel.json", directory):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return 0.0
