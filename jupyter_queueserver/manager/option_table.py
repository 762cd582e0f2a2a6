"""The options of `start-re-manager` that also have a configuration key or an environment variable, one row
each.

A new option is a row here and a field in `Settings`.  Data only: nothing is read or checked in this module.
"""

from __future__ import annotations

from typing import NamedTuple


class Option(NamedTuple):
    """One option.

    Attributes
    ----------
    name
        Its name in the parsed values; equal to the field of `Settings` where there is one.
    flags
        Spellings on the command line, deprecated ones last; empty: configuration file only.
    type
        ``bool`` is ON/OFF on the command line.
    config
        Key in the configuration file, ``section/key``; empty: none.
    variables
        Environment variables, first one wins.
    choices
        Permitted words on the command line; empty: any.
    metavar
        Placeholder in the help.
    is_source
        Whether it names the startup code: only one of these may be given.
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


OPTIONS: tuple[Option, ...] = (
    Option(
        "zmq_control_addr",
        ("--zmq-control-addr", "--zmq-addr"),
        str,
        "network/zmq_control_addr",
        "address of the control socket (tcp://127.0.0.1:60615)",
        variables=("QSERVER_ZMQ_CONTROL_ADDRESS_FOR_SERVER",),
        metavar="ADDR",
    ),
    Option(
        "zmq_info_addr",
        ("--zmq-info-addr", "--zmq-publish-console-addr"),
        str,
        "network/zmq_info_addr",
        "address where console text is published (tcp://127.0.0.1:60625)",
        variables=("QSERVER_ZMQ_INFO_ADDRESS_FOR_SERVER",),
        metavar="ADDR",
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
        "console_output",
        ("--console-output",),
        bool,
        "operation/print_console_output",
        "print the manager's log while in the foreground (ON)",
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
        "",
        "where queue and history are kept (sqlite)",
        choices=("sqlite", "memory"),
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
        "stop_on_alarm",
        ("--stop-on-alarm",),
        bool,
        "",
        "stop the queue after a plan whose documents could not be kept (OFF)",
    ),
    # These have no flag of their own kind: see `options.make_parser` and `options._from_environment`.
    Option("zmq_private_key", (), str, "network/zmq_private_key", ""),
    Option("log_level", (), str, "operation/console_logging_level", ""),
    Option("keep_re", (), bool, "startup/keep_re", ""),
)
