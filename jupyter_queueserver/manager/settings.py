"""Every option of a manager that matters to it, typed, and the file by which the watchdog hands them over.

Made from the command line by `options.py`, kept as ``settings.json`` in the data directory so that a
manager or watchdog that is started again by the other one works with the same values.  This module must
not parse command lines, open sockets or start anything, and it must stay cheap to import: the watchdog does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ..core.config import PermissionsReload
from ..core.redis_address import DEFAULT_PREFIX
from ..instance.paths import Instance, write_private

StartupKind = Literal["dir", "module", "script", "profile"]
LogLevel = Literal["VERBOSE", "NORMAL", "QUIET", "SILENT"]
ListsUpdate = Literal["NEVER", "ENVIRONMENT_OPEN", "ALWAYS"]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[int, msgspec.Meta(ge=1)]


class SettingsError(Exception):
    """Options or a settings file that cannot be used; the text is a sentence for the user."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """The options of one manager.  All paths are absolute.

    Attributes
    ----------
    data_dir
        Data directory of the instance.
    zmq_control_addr
        0MQ address of the control socket for existing clients; None: only the private Unix socket of the
        instance.
        A port of 0 or ``*`` means any free port.
    zmq_info_addr
        0MQ address where console text and status are published for existing clients; None: not published
        by TCP.
    zmq_publish_console
        Whether console text is published at ``zmq_info_addr``.
    zmq_legacy_addr
        0MQ address of a second control socket, for clients of the first version of the interface, always JSON;
        None: there is none.
    zmq_encoding
        Encoding that existing clients must use at ``zmq_control_addr``.
    zmq_private_key
        CurveZMQ private key (Z85, 40 characters) of the TCP sockets; None: not encrypted.
    allow_remote
        Whether TCP addresses other than loopback are allowed without a private key.
    startup_kind, startup
        What the worker executes: a directory, an importable module, a script, or an IPython profile's name.
    startup_profile
        IPython profile whose startup files are executed before a module or script; None: none.
    ipython_dir
        Root of IPython profiles; None: IPython's own default.
    user_group_permissions
        YAML file with the permissions of user groups.  It need not exist.
    user_group_permissions_reload
        When that file replaces the stored permissions: at each start of the manager and on a client's request,
        on a request only, or never: then such a request is refused.  If nothing is stored yet, it is read in
        any case.
    existing_plans_devices
        YAML file with plans and devices known before an environment is opened; None: no such file is kept.
    update_existing_plans_devices
        When that file is written: never, when an environment was opened, or at each change of the lists.
    ignore_invalid_plans
        Whether plans that cannot be described are left out instead of failing the environment.
    device_max_depth
        Levels of sub-devices that are described; 0: all.
    keep_re
        Accepted for existing scripts; an ``RE`` made by the startup code is always kept.
    use_ipython_kernel
        What existing clients are told of the worker; the worker itself is an IPython kernel in any case.
    ipython_kernel_ip
        IPv4 address at which the worker's kernel listens, or ``auto`` for this machine's; None: Unix sockets of
        this user.
    ipython_shell_port, ipython_iopub_port, ipython_stdin_port, ipython_hb_port, ipython_control_port
        TCP ports of the worker's kernel; None: any free port if the kernel uses TCP at all.
    ipython_connection_file
        Name or path of a copy of the kernel's connection file, for consoles that look for it there; None:
        no copy, unless a directory is given.
    ipython_connection_dir
        Directory of that copy; None: Jupyter's runtime directory.
    ipython_matplotlib
        Matplotlib backend of the worker; None: that of its environment variables, else ``agg``.
    permitted_re_metadata_keys
        Paths of the RunEngine's metadata that clients may see, with slashes, ``/`` for all.
    emergency_lock_key
        Key that opens every lock; None: there is none.
    console_output
        Whether `start-re-manager` prints the output of worker and manager while it is in the foreground.
    log_level
        How much the manager logs.
    manager_console
        Whether the manager's own log lines are part of the console text that clients see.
    saver
        ``auto``: documents go to the Databroker that is configured or installed; ``none``: they stay in
        the journal.
    stop_on_alarm
        Whether the queue stops after a plan whose documents could not be kept in the journal.
    confirm_returned
        Whether the queue starts only when each item that came back to it was confirmed.
    store
        Where queue and history are kept: ``sqlite``, the address of a Redis server, or ``memory``, which forgets them at the
        manager's end and is for tests.
    redis_name_prefix
        Begin of the names of all keys in the Redis server.
    redis_password
        Password of the Redis server; None: none is sent.
    take_over
        Whether an environment that is open on another machine, as the Redis server says, is given up.
    worker_silence_limit
        Seconds without an answer after which the status calls the worker unreachable.
    deferred_pause_limit, pause_limit, ending_limit
        Seconds after which the status calls a deferred pause, an immediate one, or any other command to the running plan overdue.
    silence_limit
        Seconds without a heartbeat after which the watchdog kills the manager and starts another.
    use_pidfd
        Whether deaths are seen through pidfd where the system has it; else by looking every 0.2 s.
    working_dir
        Directory in which the user started the program: that of the worker; None: the data directory.
    manager_program
        Python file started instead of ``-m jupyter_queueserver.manager``; None: the manager.  For tests.
    """

    data_dir: str
    zmq_control_addr: str | None = None
    zmq_info_addr: str | None = None
    zmq_publish_console: bool = False
    zmq_legacy_addr: str | None = None
    zmq_encoding: Literal["json", "msgpack"] = "json"
    zmq_private_key: str | None = None
    allow_remote: bool = False
    startup_kind: StartupKind = "dir"
    startup: str
    startup_profile: str | None = None
    ipython_dir: str | None = None
    user_group_permissions: str
    user_group_permissions_reload: PermissionsReload = "ON_STARTUP"
    existing_plans_devices: str | None = None
    update_existing_plans_devices: ListsUpdate = "ENVIRONMENT_OPEN"
    ignore_invalid_plans: bool = False
    device_max_depth: Annotated[int, msgspec.Meta(ge=0)] = 0
    keep_re: bool = False
    use_ipython_kernel: bool = False
    ipython_kernel_ip: str | None = None
    ipython_shell_port: Port | None = None
    ipython_iopub_port: Port | None = None
    ipython_stdin_port: Port | None = None
    ipython_hb_port: Port | None = None
    ipython_control_port: Port | None = None
    ipython_connection_file: str | None = None
    ipython_connection_dir: str | None = None
    ipython_matplotlib: str | None = None
    permitted_re_metadata_keys: tuple[str, ...] = ("/",)
    emergency_lock_key: str | None = None
    console_output: bool = True
    log_level: LogLevel = "NORMAL"
    manager_console: bool = True
    saver: Literal["auto", "none"] = "auto"
    stop_on_alarm: bool = False
    confirm_returned: bool = False
    store: str = "sqlite"
    redis_name_prefix: str = DEFAULT_PREFIX
    redis_password: str | None = None
    take_over: bool = False
    worker_silence_limit: Seconds = 5
    deferred_pause_limit: Seconds = 60
    pause_limit: Seconds = 10
    ending_limit: Seconds = 30
    silence_limit: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    use_pidfd: bool = True
    working_dir: str | None = None
    manager_program: str | None = None

    @property
    def instance(self) -> Instance:
        """The instance that these options belong to."""
        return Instance(Path(self.data_dir))

    @property
    def is_shipped_profile(self) -> bool:
        """Whether the worker runs the simulated devices and plans that come with the package."""
        return self.startup_kind == "dir" and self.startup == str(shipped_profile())


def shipped_profile() -> Path:
    """Directory of the startup code that comes with the package; found without importing it."""
    return Path(__file__).resolve().parent.parent / "sim_profile"


def settings_path(instance: Instance) -> Path:
    """File in which the watchdog leaves the options for the manager."""
    return instance.data_dir / "settings.json"


def write_settings(settings: Settings, path: Path) -> None:
    """Replace the file at once, readable for its owner only (it may hold a private key)."""
    write_private(path, msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n")


def read_settings(path: str | Path) -> Settings:
    """Read the file back; raises `SettingsError` if it is missing, broken, or has unknown keys."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Settings)
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except msgspec.MsgspecError as error:
        raise SettingsError(f"The settings file {path} cannot be used: {error}.") from error
