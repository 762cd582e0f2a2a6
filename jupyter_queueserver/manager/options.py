"""From command line, configuration file and environment variables to `Settings`.

Precedence: command line, configuration file, environment variable, default.  This module reads the
configuration file and checks that directories exist; it must not write anything or start anything.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..instance.paths import find_instance
from .addresses import check_address, check_private_key
from .configfile import read_config
from .option_table import OPTIONS, Option
from .settings import Settings, SettingsError
from .startup_source import resolve_startup

DEFAULT_CONTROL_ADDRESS = "tcp://127.0.0.1:60615"
DEFAULT_INFO_ADDRESS = "tcp://127.0.0.1:60625"

_TRUE = {"on", "yes", "y", "true", "t", "1"}
_FALSE = {"off", "no", "n", "false", "f", "0"}


class StartOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `start-re-manager` was asked to do.

    Attributes
    ----------
    settings
        Options of the manager; None with ``adopt``, which takes them from the data directory.
    data_dir
        Data directory; always absolute.
    adopt
        Watch the manager that lives, with its own settings; started by the manager itself.
    detach
        Start a watchdog in the background, wait until its manager is ready, print how to reach it.
    report_fd
        Open descriptor on which the start of a ``detach`` expects to hear how it went; None: nobody waits.
    arguments
        The command line without ``--detach``.
    """

    settings: Settings | None
    data_dir: str
    adopt: bool
    detach: bool
    report_fd: int | None
    arguments: tuple[str, ...]


def parse_options(arguments: Sequence[str], environ: Mapping[str, str]) -> StartOptions:
    """Read the options.

    Raises
    ------
    SettingsError
        They are well-formed but cannot be used (exit status 1).
    SystemExit
        Usage error (status 2, text on stderr) or ``--help`` (status 0).
    """
    parser = make_parser()
    given = vars(parser.parse_args(list(arguments)))
    if given["private"] and (given["zmq_control_addr"] or given["zmq_info_addr"]):
        parser.error("--private means no TCP address at all: leave --zmq-control-addr and --zmq-info-addr out")
    data_dir = str(find_instance(given["data_dir"]).data_dir)
    return StartOptions(
        settings=None if given["adopt"] else make_settings(given, environ, data_dir),
        data_dir=data_dir,
        adopt=given["adopt"],
        detach=given["detach"],
        report_fd=given["report_fd"],
        arguments=tuple(word for word in arguments if word != "--detach"),
    )


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; every option that is not given is None (flags: False)."""
    parser = argparse.ArgumentParser(
        prog="start-re-manager",
        allow_abbrev=False,
        description="Start the queue manager and watch over it. Without options: simulated devices, plans.",
    )
    parser.add_argument("--config", metavar="PATH", help="YAML file with options (environment: QSERVER_CONFIG)")
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the instance")
    parser.add_argument("--private", action="store_true", help="no TCP sockets, only the private Unix socket")
    parser.add_argument("--allow-remote", action="store_true", default=None, help="allow TCP beyond loopback without a key")
    parser.add_argument("--detach", action="store_true", help="go on in the background once the manager is ready")
    sources = parser.add_mutually_exclusive_group()
    for option in OPTIONS:
        if option.flags:
            _add(sources if option.is_source else parser, option)
    levels = parser.add_mutually_exclusive_group()
    for word in ("verbose", "quiet", "silent"):
        levels.add_argument(f"--{word}", dest="log_level", action="store_const", const=word.upper(), help=f"log level {word}")
    parser.add_argument("--keep-re", action="store_true", default=None, help="deprecated: it is always kept")
    parser.add_argument("--adopt", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--without-pidfd", dest="use_pidfd", action="store_false", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--silence-limit", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--manager-program", help=argparse.SUPPRESS)
    return parser


def _add(group: argparse._ActionsContainer, option: Option) -> None:
    settings: dict[str, Any] = {"dest": option.name, "help": option.help}
    if option.type is bool:
        settings |= {"choices": ["ON", "OFF"]}
    elif option.choices:
        settings |= {"choices": option.choices}
    elif option.type is int:
        settings |= {"type": int, "metavar": "N"}
    else:
        settings |= {"metavar": option.metavar}
    group.add_argument(*option.flags, **settings)


def make_settings(given: Mapping[str, Any], environ: Mapping[str, str], data_dir: str) -> Settings:
    """Lay the sources over each other and check the result; raises `SettingsError`."""
    line = {name: value for name, value in given.items() if value is not None}
    for option in OPTIONS:
        if option.type is bool and option.name in line:
            line[option.name] = line[option.name] == "ON"
    config = given["config"] or environ.get("QSERVER_CONFIG")
    file = read_config(config) if config else {}
    for name in ("startup_dir", "startup_module", "startup_script"):
        if {"startup_dir", "startup_module", "startup_script"} & line.keys():
            file.pop(name, None)  # a source on the command line replaces the file's, of whatever kind
    values = {**_from_environment(environ), **file, **line}
    addresses = _addresses(values)
    known = {name: values[name] for name in Settings.__struct_fields__ if name in values and name not in addresses}
    if "zmq_encoding" in known:
        known["zmq_encoding"] = known["zmq_encoding"].lower()
    source = resolve_startup(values, environ)
    try:
        return msgspec.convert({**known, **addresses, **source, "data_dir": data_dir, "working_dir": _working_dir()}, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"The options cannot be used: {error}.") from error


def _working_dir() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was deleted meanwhile
        return None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in OPTIONS:
        text = next((environ[name] for name in option.variables if environ.get(name)), None)
        if text is None:
            continue
        if option.type is not bool:
            found[option.name] = text
        elif text.lower() in _TRUE | _FALSE:
            found[option.name] = text.lower() in _TRUE
    key = environ.get("QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER") or environ.get("QSERVER_ZMQ_PRIVATE_KEY")
    return found | ({"zmq_private_key": key} if key else {})


def _addresses(values: Mapping[str, Any]) -> dict[str, str | None]:
    """The two TCP addresses and the key, checked."""
    if values.get("private"):
        return {"zmq_control_addr": None, "zmq_info_addr": None, "zmq_private_key": None}
    key = values.get("zmq_private_key")
    if key is not None:
        check_private_key(key)
    remote = bool(values.get("allow_remote"))
    control = values.get("zmq_control_addr", DEFAULT_CONTROL_ADDRESS)
    info = values.get("zmq_info_addr", DEFAULT_INFO_ADDRESS)
    return {
        "zmq_control_addr": check_address(control, "--zmq-control-addr", remote or key is not None),
        # Console text is never encrypted, so a key does not make it fit for the network; unpublished, it
        # harms nobody.
        "zmq_info_addr": check_address(info, "--zmq-info-addr", remote or not values.get("zmq_publish_console")),
        "zmq_private_key": key,
    }
