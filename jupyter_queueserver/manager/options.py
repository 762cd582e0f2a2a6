"""From command line, configuration file and environment variables to `Settings`.

Precedence: command line, configuration file, environment variable, default.  This module reads the
configuration file and checks that directories exist; it must not write anything or start anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..instance.paths import find_instance
from .addresses import check_address, check_kernel_address, check_private_key
from .command_line import parse_words
from .configfile import read_config
from .option_table import OPTIONS, Option
from .settings import Settings, SettingsError
from .startup_source import resolve_startup

DEFAULT_CONTROL_ADDRESS = "tcp://127.0.0.1:60615"
DEFAULT_INFO_ADDRESS = "tcp://127.0.0.1:60625"

_TRUE = {"on", "yes", "y", "true", "t", "1"}
_FALSE = {"off", "no", "n", "false", "f", "0"}
_SOURCES = {option.name for option in OPTIONS if option.is_source}


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
    save_to
        File in which the settings that are used are written as a configuration file; None: nowhere.
    arguments
        The command line without ``--detach``.
    """

    settings: Settings | None
    data_dir: str
    adopt: bool
    detach: bool
    report_fd: int | None
    save_to: str | None
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
    given = parse_words(arguments)
    data_dir = str(find_instance(given["data_dir"]).data_dir)
    return StartOptions(
        settings=None if given["adopt"] else make_settings(given, environ, data_dir),
        data_dir=data_dir,
        adopt=given["adopt"],
        detach=given["detach"],
        report_fd=given["report_fd"],
        save_to=environ.get("QSERVER_SETTINGS_SAVE_TO_FILE") or None,
        arguments=tuple(word for word in arguments if word != "--detach"),
    )


def make_settings(given: Mapping[str, Any], environ: Mapping[str, str], data_dir: str) -> Settings:
    """Lay the sources over each other and check the result; raises `SettingsError`."""
    values = _laid_over(given, environ)
    _refuse_redis(values)
    addresses = _addresses(values)
    known = {name: values[name] for name in Settings.__struct_fields__ if name in values and name not in addresses}
    known |= _checked_words(known)
    if values.get("use_ipython_kernel"):  # otherwise nobody is to attach to the kernel, and it stays private
        known["ipython_kernel_ip"] = _kernel_address(values)
    else:
        known.pop("ipython_kernel_ip", None)
    source = resolve_startup(values, environ)
    try:
        return msgspec.convert({**known, **addresses, **source, "data_dir": data_dir, "working_dir": _working_dir()}, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"The options cannot be used: {error}.") from error


def _laid_over(given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    line = {name: value for name, value in given.items() if value is not None}
    for option in OPTIONS:
        if option.type is bool and isinstance(line.get(option.name), str):
            line[option.name] = line[option.name] == "ON"
    config = given["config"] or environ.get("QSERVER_CONFIG")
    file = read_config(config, environ) if config else {}
    if line.keys() & _SOURCES:  # a source on the command line replaces the file's, of whatever kind
        file = {name: value for name, value in file.items() if name not in _SOURCES}
    return {**_from_environment(environ), **file, **line}


def _refuse_redis(values: Mapping[str, Any]) -> None:
    for name in ("redis_addr", "redis_name_prefix"):
        if name in values:
            raise SettingsError(
                f"--{name.replace('_', '-')} (network/{name}) cannot be used: this version keeps queue and history in the"
                " data directory (--data-dir), not in Redis. Leave the option out; nothing else is needed."
            )


def _checked_words(known: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are put into another form; raises `SettingsError` for those that mean nothing."""
    found: dict[str, Any] = {}
    if "zmq_encoding" in known:
        found["zmq_encoding"] = known["zmq_encoding"].lower()
    if known.get("emergency_lock_key") == "":
        raise SettingsError("The emergency lock key (operation/emergency_lock_key) must not be empty; leave it out.")
    if "permitted_re_metadata_keys" in known:
        keys = tuple(known["permitted_re_metadata_keys"])
        broken = [key for key in keys if not key.startswith("/")]
        if broken:
            raise SettingsError(f"The permitted metadata key {broken[0]!r} must begin with a slash, like /proposal/id.")
        found["permitted_re_metadata_keys"] = keys
    if "ipython_connection_dir" in known:
        found["ipython_connection_dir"] = os.path.abspath(os.path.expanduser(known["ipython_connection_dir"]))
    return found


def _kernel_address(values: Mapping[str, Any]) -> str | None:
    address = values.get("ipython_kernel_ip")
    if address is None:
        has_port = any(values.get(f"ipython_{channel}_port") for channel in ("shell", "iopub", "stdin", "hb", "control"))
        return "127.0.0.1" if has_port else None
    return check_kernel_address(address, bool(values.get("allow_remote")))


def _working_dir() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was deleted meanwhile
        return None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in OPTIONS:
        name = next((name for name in option.variables if environ.get(name)), None)
        if name is not None:
            value = _read_text(option, name, environ[name])
            if value is not None:
                found[option.name] = value
    return found


def _read_text(option: Option, name: str, text: str) -> Any:
    """Value of an environment variable; None if it says nothing."""
    if option.type is bool:
        return text.lower() in _TRUE if text.lower() in _TRUE | _FALSE else None
    if option.type is tuple:
        return tuple(part.strip() for part in text.split(":") if part.strip()) or None
    if option.type is int:
        try:
            return int(text)
        except ValueError:
            raise SettingsError(f"The environment variable {name} must be an integer, not {text!r}.") from None
    return text


def _addresses(values: Mapping[str, Any]) -> dict[str, str | None]:
    """The TCP addresses and the key, checked."""
    if values.get("private"):
        return {"zmq_control_addr": None, "zmq_info_addr": None, "zmq_legacy_addr": None, "zmq_private_key": None}
    key = values.get("zmq_private_key")
    if key is not None:
        check_private_key(key)
    remote = bool(values.get("allow_remote"))
    control = values.get("zmq_control_addr", DEFAULT_CONTROL_ADDRESS)
    info = values.get("zmq_info_addr", DEFAULT_INFO_ADDRESS)
    legacy = values.get("zmq_legacy_addr")
    return {
        "zmq_legacy_addr": legacy and check_address(legacy, "--legacy", remote or key is not None),
        "zmq_control_addr": check_address(control, "--zmq-control-addr", remote or key is not None),
        # Console text is never encrypted, so a key does not make it fit for the network; unpublished, it
        # harms nobody.
        "zmq_info_addr": check_address(info, "--zmq-info-addr", remote or not values.get("zmq_publish_console")),
        "zmq_private_key": key,
    }
