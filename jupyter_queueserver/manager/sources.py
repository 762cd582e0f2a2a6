"""Lays what was said about the options over each other: command line, configuration file, environment, in this order.

Each value keeps the place where it was said, for the sentence that refuses it.  Only forms are looked at here (a yes, an
integer); what the values mean is the matter of `options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .configfile import read_config
from .option_table import OPTIONS, Given, Option
from .settings import SettingsError

_TRUE = {"on", "yes", "y", "true", "t", "1"}
_FALSE = {"off", "no", "n", "false", "f", "0"}
_SOURCES = {option.name for option in OPTIONS if option.is_source}
_FLAGS = {option.name: option.flags[0] for option in OPTIONS if option.flags}


def lay_over(line: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Given]:
    """Return what was said, by name of the option.

    Parameters
    ----------
    line
        The parsed command line; None: not given.

    Raises
    ------
    SettingsError
        The configuration file cannot be used, or a variable is no integer where one is expected.
    """
    config = line["config"] or environ.get("QSERVER_CONFIG")
    file = read_config(config, environ) if config else {}
    given = {name: Given(_switched(name, value), flag_of(name)) for name, value in line.items() if value is not None}
    if given.keys() & _SOURCES:  # a source on the command line replaces the file's, of whatever kind
        file = {name: value for name, value in file.items() if name not in _SOURCES}
    return {**_from_environment(environ), **file, **given}


def flag_of(name: str) -> str:
    """Return how the option is spelled on the command line."""
    return _FLAGS.get(name) or f"--{name.replace('_', '-')}"


def _switched(name: str, value: Any) -> Any:
    """Turn the ON or OFF of an option that is a yes or no into that; anything else stays."""
    is_switch = any(option.name == name and option.type is bool for option in OPTIONS)
    return value == "ON" if is_switch and isinstance(value, str) else value


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for option in OPTIONS:
        name = next((name for name in option.variables if environ.get(name)), None)
        if name is not None:
            value = _read_text(option, name, environ[name])
            if value is not None:
                found[option.name] = Given(value, f"the environment variable {name}")
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
