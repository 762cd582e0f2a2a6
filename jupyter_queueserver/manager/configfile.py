"""The YAML configuration file of `start-re-manager`: sections, keys and types, nothing else accepted.

Reads one file, or all files of a directory.  It must not interpret the values beyond their types.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .option_table import OPTIONS
from .settings import SettingsError

_SECTIONS = ("network", "worker", "startup", "operation")
_KEYS = {option.config: option for option in OPTIONS if option.config}


def read_config(path: str | Path) -> dict[str, Any]:
    """Return option values by name; raises `SettingsError` for a missing path, broken YAML, unknown keys
    or wrong types."""
    found: dict[str, Any] = {}
    seen: dict[str, Path] = {}
    for file in _files(Path(path).expanduser()):
        for section, entries in _sections(file).items():
            if section in seen:
                raise SettingsError(f"Section '{section}' stands in both {seen[section]} and {file}; one is allowed.")
            seen[section] = file
            for key, value in entries.items():
                option = _KEYS.get(f"{section}/{key}")
                if option is None:
                    raise SettingsError(f"Unknown key '{section}/{key}' in {file}.")
                found[option.name] = _checked(value, option.type, f"'{section}/{key}' in {file}")
    return found


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SettingsError(f"The configuration {path} does not exist.")
    return sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith(".") and file.suffix != ".py")


def _sections(file: Path) -> dict[str, dict[str, Any]]:
    import yaml  # only when there is a file: the watchdog stays small

    try:
        content = yaml.safe_load(file.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"The configuration file {file} cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(part, dict | None) for part in content.values()):
        raise SettingsError(f"The configuration file {file} must consist of sections with keys.")
    unknown = [str(name) for name in content if name not in _SECTIONS]
    if unknown:
        raise SettingsError(f"Unknown section '{unknown[0]}' in {file}; there are {', '.join(_SECTIONS)}.")
    return {name: part or {} for name, part in content.items()}


def _checked(value: Any, expected: type, where: str) -> Any:
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        words = {bool: "true or false", int: "an integer", str: "a text"}
        raise SettingsError(f"The value {value!r} of {where} must be {words[expected]}.")
    return os.path.expandvars(value) if isinstance(value, str) else value
