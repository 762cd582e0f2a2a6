"""From command line, configuration file and environment variables to `Settings`.

Precedence: command line, configuration file, environment variable, default.  This module checks what the values mean and that
directories exist; it must not write anything or start anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..core.addresses import CONTROL_PORT, INFO_PORT
from ..instance.paths import find_instance
from .addresses import check_address, check_info_address, check_kernel_address, check_private_key
from .command_line import parse_words
from .option_table import Given
from .sealed import take_secrets
from .settings import Settings, SettingsError
from .sources import flag_of, lay_over
from .startup_source import resolve_startup
from .store_options import resolve_store, store_warnings

DEFAULT_CONTROL_ADDRESS = f"tcp://127.0.0.1:{CONTROL_PORT}"
DEFAULT_INFO_ADDRESS = f"tcp://127.0.0.1:{INFO_PORT}"


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
    warnings
        Sentences about options that are accepted but have no effect.
    """

    settings: Settings | None
    data_dir: str
    adopt: bool
    detach: bool
    report_fd: int | None
    save_to: str | None
    arguments: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def parse_options(arguments: Sequence[str], environ: Mapping[str, str]) -> StartOptions:
    """Read the options.

    Raises
    ------
    SettingsError
        They are well-formed but cannot be used (exit status 1).
    SystemExit
        Usage error (status 2, text on stderr) or ``--help`` (status 0).
    """
    line = parse_words(arguments)
    environ = {**environ, **take_secrets(line["secrets_fd"])}
    data_dir = str(find_instance(line["data_dir"]).data_dir)
    given = {} if line["adopt"] else lay_over(line, environ)
    return StartOptions(
        settings=None if line["adopt"] else _make_settings(given, environ, data_dir),
        data_dir=data_dir,
        adopt=line["adopt"],
        detach=line["detach"],
        report_fd=line["report_fd"],
        save_to=environ.get("QSERVER_SETTINGS_SAVE_TO_FILE") or None,
        arguments=tuple(word for word in arguments if word != "--detach"),
        warnings=_warnings(given),
    )


def _make_settings(given: Mapping[str, Given], environ: Mapping[str, str], data_dir: str) -> Settings:
    """Check what was said; raises `SettingsError`."""
    values = {name: each.value for name, each in given.items()}
    known = {name: values[name] for name in Settings.__struct_fields__ if name in values}
    known |= _checked_words(given) | _addresses(given) | resolve_store(given)
    if values.get("use_ipython_kernel"):  # otherwise nobody is to attach to the kernel, and it stays private
        known["ipython_kernel_ip"] = _kernel_address(given)
    else:
        known.pop("ipython_kernel_ip", None)
    _check_values(known, given)
    source = resolve_startup(values, environ)
    try:
        return msgspec.convert({**known, **source, "data_dir": data_dir, "working_dir": _working_dir()}, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"The options cannot be used: {error}.") from error


def _warnings(given: Mapping[str, Given]) -> tuple[str, ...]:
    return store_warnings(given) + _metadata_warnings(given)


def _metadata_warnings(given: Mapping[str, Given]) -> tuple[str, ...]:
    """A key without the slash at its begin selects nothing; existing set-ups may have some."""
    keys = _value(given, "permitted_re_metadata_keys", ())
    return tuple(
        f"The permitted metadata key {key!r} of {given['permitted_re_metadata_keys'].where} selects nothing: "
        f"it does not begin with a slash, as in '/{key}'."
        for key in keys
        if not key.startswith("/")
    )


def _where(given: Mapping[str, Given], name: str) -> str:
    return given[name].where if name in given else flag_of(name)


def _value(given: Mapping[str, Given], name: str, default: Any = None) -> Any:
    return given[name].value if name in given else default


def _check_values(known: Mapping[str, Any], given: Mapping[str, Given]) -> None:
    """Refuse values that a field cannot hold, with where they stand and the right ones."""
    for field in msgspec.structs.fields(Settings):
        if field.name not in known or field.name not in given:
            continue
        try:
            msgspec.convert(known[field.name], field.type)
        except msgspec.ValidationError as error:
            value, where = given[field.name]
            right = _right_values(field.type)
            raise SettingsError(f"The value {value!r} of {where} must be {right}.") from error


def _right_values(type_: Any) -> str:
    """Say in words which values a type has."""
    import msgspec.inspect as inspection  # only for a refusal

    found = inspection.type_info(type_)
    if isinstance(found, inspection.UnionType):  # of something and None, which cannot be said
        found = next(each for each in found.types if not isinstance(each, inspection.NoneType))
    match found:
        case inspection.LiteralType(values=values):
            return " or ".join(map(str, sorted(values)))
        case inspection.IntType(ge=int(least), le=int(most)):
            return f"an integer from {least} to {most}"
        case inspection.IntType(ge=int(least)):
            return f"an integer, {least} or more"
        case inspection.FloatType(gt=least) if least is not None:
            return f"a number above {least:g}"
    return f"of the type {type(found).__name__.removesuffix('Type').lower()}"


def _checked_words(given: Mapping[str, Given]) -> dict[str, Any]:
    """Values that are put into another form; raises `SettingsError` for those that mean nothing."""
    found: dict[str, Any] = {}
    if "zmq_encoding" in given:
        found["zmq_encoding"] = given["zmq_encoding"].value.lower()
    if _value(given, "emergency_lock_key") == "":
        raise SettingsError(f"The emergency lock key ({given['emergency_lock_key'].where}) must not be empty; leave it out.")
    if "permitted_re_metadata_keys" in given:
        found["permitted_re_metadata_keys"] = tuple(given["permitted_re_metadata_keys"].value)
    if "ipython_connection_dir" in given:
        found["ipython_connection_dir"] = os.path.abspath(os.path.expanduser(given["ipython_connection_dir"].value))
    return found


def _kernel_address(given: Mapping[str, Given]) -> str | None:
    address = _value(given, "ipython_kernel_ip")
    if address is None:
        has_port = any(_value(given, f"ipython_{channel}_port") for channel in ("shell", "iopub", "stdin", "hb", "control"))
        return "127.0.0.1" if has_port else None
    return check_kernel_address(address, _where(given, "ipython_kernel_ip"), bool(_value(given, "allow_remote")))


def _working_dir() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was deleted meanwhile
        return None


def _addresses(given: Mapping[str, Given]) -> dict[str, str | None]:
    """The TCP addresses and the key, checked."""
    key = _value(given, "zmq_private_key")
    if key is not None:
        check_private_key(key, given["zmq_private_key"].where)
    if _value(given, "private"):
        return {"zmq_control_addr": None, "zmq_info_addr": None, "zmq_legacy_addr": None, "zmq_private_key": None}
    remote = bool(_value(given, "allow_remote"))
    control = _value(given, "zmq_control_addr", DEFAULT_CONTROL_ADDRESS)
    info = _value(given, "zmq_info_addr", DEFAULT_INFO_ADDRESS)
    legacy = _value(given, "zmq_legacy_addr")
    may_be_remote = remote or key is not None
    # Console text is never encrypted, so a key does not make it fit for the network; unpublished, it harms nobody.
    info_may_be_remote = remote or not _value(given, "zmq_publish_console")
    return {
        "zmq_legacy_addr": legacy and check_address(legacy, _where(given, "zmq_legacy_addr"), may_be_remote),
        "zmq_control_addr": check_address(control, _where(given, "zmq_control_addr"), may_be_remote),
        "zmq_info_addr": check_info_address(info, _where(given, "zmq_info_addr"), info_may_be_remote),
        "zmq_private_key": key,
    }
