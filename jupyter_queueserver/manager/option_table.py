"""The options of `start-re-manager` that also have a configuration key or an environment variable, one row
each.

A new option is a row here and a field in `Settings`.  Data only: nothing is read or checked in this module.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.addresses import CONTROL_PORT, FIRST_VERSION_CONTROL, INFO_PORT
from ..core.redis_address import DEFAULT_PREFIX


class Given(NamedTuple):
    """What was said about one option: its value, and where it stands, as one names it in a sentence."""

    value: Any
    where: str


class Option(NamedTuple):
    """One option.

    Attributes
    ----------
    name
        Its name in the parsed values; equal to the field of `Settings` where there is one.
    flags
        Spellings on the command line, deprecated ones last; empty: configuration file only.
    type
        ``bool`` is ON/OFF on the command line, ``tuple`` several words there, a list of texts in the configuration
        file, and colon separated in an environment variable.
    config
        Key in the configuration file, ``section/key``; empty: none.
    variables
        Environment variables, first one wins.
    choices
        Permitted words; empty: any.
    metavar
        Placeholder in the help.
    is_source
        Whether it names the startup code: only one of these may be given.
    bare
        Value on the command line when the option stands there without one; empty: it needs one.
    help
        Help text.
    """

    name: str
    flags: tuple[str, ...]
    type: type
    config: str
    help: str
    variables: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    metavar: str = "PATH"
    is_source: bool = False
    bare: str = ""


OPTIONS: tuple[Option, ...] = (
    Option(
        "zmq_control_addr",
        ("--zmq-control-addr", "--zmq-addr"),
        str,
        "network/zmq_control_addr",
        f"address of the control socket (tcp://127.0.0.1:{CONTROL_PORT})",
        variables=("QSERVER_ZMQ_CONTROL_ADDRESS_FOR_SERVER",),
        metavar="ADDR",
    ),
    Option(
        "zmq_info_addr",
        ("--zmq-info-addr", "--zmq-publish-console-addr"),
        str,
        "network/zmq_info_addr",
        f"address where console text is published (tcp://127.0.0.1:{INFO_PORT})",
        variables=("QSERVER_ZMQ_INFO_ADDRESS_FOR_SERVER",),
        metavar="ADDR",
    ),
    Option(
        "zmq_legacy_addr",
        ("--legacy",),
        str,
        "network/zmq_legacy_addr",
        f"also answer clients of the first version of the interface, at this address ({FIRST_VERSION_CONTROL})",
        metavar="ADDR",
        bare=FIRST_VERSION_CONTROL,
    ),
    Option(
        "zmq_encoding",
        ("--zmq-encoding",),
        str,
        "network/zmq_encoding",
        "encoding of requests: json or msgpack (json)",
        variables=("QSERVER_ZMQ_ENCODING_FOR_SERVER",),
        metavar="NAME",
    ),
    Option(
        "zmq_publish_console",
        ("--zmq-publish-console",),
        bool,
        "network/zmq_publish_console",
        "publish console text (OFF)",
    ),
    Option(
        "startup_dir",
        ("--startup-dir",),
        str,
        "startup/startup_dir",
        "directory with startup files",
        metavar="DIR",
        is_source=True,
    ),
    Option(
        "startup_module",
        ("--startup-module",),
        str,
        "startup/startup_module",
        "importable module with startup code",
        metavar="NAME",
        is_source=True,
    ),
    Option(
        "startup_script",
        ("--startup-script",),
        str,
        "startup/startup_script",
        "script with startup code",
        metavar="FILE",
        is_source=True,
    ),
    Option(
        "startup_profile",
        ("--startup-profile",),
        str,
        "startup/startup_profile",
        "IPython profile whose startup directory is used",
        metavar="NAME",
    ),
    Option(
        "ipython_dir",
        ("--ipython-dir",),
        str,
        "startup/ipython_dir",
        "root of IPython profiles",
        metavar="DIR",
    ),
    Option(
        "existing_plans_devices",
        ("--existing-plans-devices",),
        str,
        "startup/existing_plans_and_devices_path",
        "file or directory of the list of existing plans and devices",
    ),
    Option(
        "user_group_permissions",
        ("--user-group-permissions",),
        str,
        "startup/user_group_permissions_path",
        "file or directory of the permissions of user groups",
    ),
    Option(
        "user_group_permissions_reload",
        ("--user-group-permissions-reload",),
        str,
        "operation/user_group_permissions_reload",
        "when the permissions are read from that file (ON_STARTUP)",
        choices=("NEVER", "ON_REQUEST", "ON_STARTUP"),
    ),
    Option(
        "update_existing_plans_devices",
        ("--update-existing-plans-devices",),
        str,
        "operation/update_existing_plans_and_devices",
        "when the list of existing plans and devices is written (ENVIRONMENT_OPEN)",
        choices=("NEVER", "ENVIRONMENT_OPEN", "ALWAYS"),
    ),
    Option(
        "ignore_invalid_plans",
        ("--ignore-invalid-plans",),
        bool,
        "startup/ignore_invalid_plans",
        "leave out plans that cannot be described (OFF)",
    ),
    Option(
        "device_max_depth",
        ("--device-max-depth",),
        int,
        "startup/device_max_depth",
        "levels of sub-devices that are described, 0: all (0)",
    ),
    Option(
        "use_ipython_kernel",
        ("--use-ipython-kernel",),
        bool,
        "worker/use_ipython_kernel",
        "what clients are told of the worker (OFF)",
        variables=("QSERVER_USE_IPYTHON_KERNEL",),
    ),
    Option(
        "ipython_kernel_ip",
        ("--ipython-kernel-ip",),
        str,
        "worker/ipython_kernel_ip",
        "address of the worker's kernel: localhost, auto (this machine's) or an IPv4 address (private Unix sockets)",
        variables=("QSERVER_IPYTHON_KERNEL_IP",),
        metavar="IP",
    ),
    Option(
        "ipython_matplotlib",
        ("--ipython-matplotlib",),
        str,
        "worker/ipython_matplotlib",
        "Matplotlib backend of the worker, e.g. qt5 (agg)",
        metavar="NAME",
    ),
    Option(
        "ipython_connection_file",
        ("--ipython-connection-file",),
        str,
        "worker/ipython_connection_file",
        "name of a copy of the kernel's connection file (no copy)",
        variables=("QSERVER_IPYTHON_KERNEL_CONNECTION_FILE",),
        metavar="NAME",
    ),
    Option(
        "ipython_connection_dir",
        ("--ipython-connection-dir",),
        str,
        "worker/ipython_connection_dir",
        "directory of that copy (Jupyter's runtime directory)",
        variables=("QSERVER_IPYTHON_KERNEL_CONNECTION_DIR",),
        metavar="DIR",
    ),
    *(
        Option(
            f"ipython_{channel}_port",
            (f"--ipython-{channel}-port",),
            int,
            f"worker/ipython_{channel}_port",
            f"TCP port of the kernel's {channel} channel (any free one)",
            variables=(f"QSERVER_IPYTHON_KERNEL_{channel.upper()}_PORT",),
        )
        for channel in ("shell", "iopub", "stdin", "hb", "control")
    ),
    Option(
        "permitted_re_metadata_keys",
        ("--permitted-re-metadata-keys",),
        tuple,
        "worker/permitted_re_metadata_keys",
        "metadata of the RunEngine that clients may see, paths with slashes (/: all)",
        variables=("QSERVER_PERMITTED_RE_METADATA_KEYS",),
        metavar="KEY",
    ),
    Option(
        "console_output",
        ("--console-output",),
        bool,
        "operation/print_console_output",
        "print the output of worker and manager while in the foreground (ON)",
    ),
    Option(
        "manager_console",
        ("--manager-console",),
        bool,
        "",
        "publish the manager's log lines as console text (ON)",
    ),
    Option(
        "store",
        ("--store",),
        str,
        "operation/store",
        "where queue and history are kept: sqlite, or redis://host:port/db (sqlite)",
        variables=("JUPYTER_QUEUESERVER_STORE",),
        metavar="STORE",
    ),
    Option(
        "saver",
        ("--saver",),
        str,
        "",
        "where documents go besides the journal (auto)",
        choices=("auto", "none"),
    ),
    Option(
        "confirm_returned",
        ("--confirm-returned",),
        bool,
        "",
        "the queue starts only when each item that came back to it was confirmed (OFF)",
    ),
    Option(
        "stop_on_alarm",
        ("--stop-on-alarm",),
        bool,
        "",
        "stop the queue after a plan whose documents could not be kept (OFF)",
    ),
    *(
        Option(name, (f"--{name.replace('_', '-')}",), int, "", f"{text} ({default})", metavar="SECONDS")
        for name, text, default in (
            ("worker_silence_limit", "seconds without an answer after which the worker counts as unreachable", 5),
            ("deferred_pause_limit", "seconds after which the status calls a deferred pause overdue", 60),
            ("pause_limit", "seconds after which it calls an immediate pause overdue", 10),
            ("ending_limit", "seconds after which it calls a resume, stop, abort or halt overdue", 30),
        )
    ),
    Option(
        "redis_addr",
        ("--redis-addr",),
        str,
        "network/redis_addr",
        "keep queue and history in the Redis server at host:port/db, as --store redis://...",
        metavar="ADDR",
    ),
    Option(
        "redis_name_prefix",
        ("--redis-name-prefix",),
        str,
        "network/redis_name_prefix",
        f"begin of the names of all keys in the Redis server ({DEFAULT_PREFIX})",
        metavar="NAME",
    ),
    Option(
        "redis_password_file",
        ("--redis-password-file",),
        str,
        "network/redis_password_file",
        "file with the password of the Redis server",
        variables=("QSERVER_REDIS_PASSWORD_FILE",),
        metavar="FILE",
    ),
    # Secrets are no flags: command lines are visible to other users.
    Option(
        "zmq_private_key",
        (),
        str,
        "network/zmq_private_key",
        "",
        variables=("QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER", "QSERVER_ZMQ_PRIVATE_KEY"),
    ),
    Option(
        "emergency_lock_key",
        (),
        str,
        "operation/emergency_lock_key",
        "",
        variables=("QSERVER_EMERGENCY_LOCK_KEY_FOR_SERVER",),
    ),
    Option("redis_password", (), str, "network/redis_password", "", variables=("QSERVER_REDIS_PASSWORD",)),
    # These have flags of another form: see `command_line`.
    Option(
        "log_level",
        (),
        str,
        "operation/console_logging_level",
        "",
        choices=("VERBOSE", "NORMAL", "QUIET", "SILENT"),
    ),
    Option("keep_re", (), bool, "startup/keep_re", ""),
)

#: Options of former versions, with what takes their place.
REMOVED = {
    "--kafka-topic": "a Kafka publisher is subscribed to the RunEngine in the startup code",
    "--kafka-server": "a Kafka publisher is subscribed to the RunEngine in the startup code",
    "--zmq-data-proxy-addr": "a 0MQ publisher is subscribed to the RunEngine in the startup code",
    "--use-persistent-metadata": "the RunEngine's metadata persist in any case",
    "--databroker-config": "documents are saved as --saver says, or by the startup code",
}
