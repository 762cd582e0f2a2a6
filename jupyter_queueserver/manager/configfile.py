"""The YAML configuration file of `start-re-manager`: sections, keys and types, nothing else accepted.

Reads one file, or all files of a directory, and writes one that says the same as given settings.  It must not
interpret the values beyond their types.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..instance.paths import write_private
from .option_table import OPTIONS, Given, Option
from .settings import Settings, SettingsError

_SECTIONS = ("network", "worker", "startup", "operation")
_KEYS = {option.config: option for option in OPTIONS if option.config}
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[^}]*)\})")
_WORDS = {bool: "true or false", int: "an integer", str: "a text", tuple: "a list of texts"}


def read_config(path: str | Path, environ: Mapping[str, str]) -> dict[str, Given]:
    """Return what is said about the options, by name.

    Parameters
    ----------
    environ
        Where ``$NAME`` and ``${NAME}`` in texts are looked up.

    Raises
    ------
    SettingsError
        A missing path, broken YAML, unknown keys, sections or keys that stand there twice, wrong types or values, an
        undefined variable.
    """
    found: dict[str, Given] = {}
    seen: dict[str, Path] = {}
    for file in _files(Path(path).expanduser()):
        for section, entries in _sections(file).items():
            if section in seen:
                raise SettingsError(f"Section '{section}' stands in both {seen[section]} and {file}; one is allowed.")
            seen[section] = file
            for key, value in entries.items():
                option = _KEYS.get(f"{section}/{key}")
                if option is None:
                    raise SettingsError(_about_unknown(f"{section}/{key}", file))
                where = f"'{section}/{key}' in {file}"
                found[option.name] = Given(_checked(value, option, where, environ), where)
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
        text = file.read_text(encoding="utf-8")
        _refuse_doubles(yaml.compose(text, Loader=yaml.SafeLoader), file)
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"The configuration file {file} cannot be read: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(part, dict | None) for part in content.values()):
        raise SettingsError(f"The configuration file {file} must consist of sections with keys.")
    unknown = [str(name) for name in content if name not in _SECTIONS]
    if unknown:
        near = difflib.get_close_matches(unknown[0], _SECTIONS, n=1)
        meant = f" (did you mean '{near[0]}'?)" if near else ""
        raise SettingsError(f"Unknown section '{unknown[0]}' in {file}{meant}; there are {', '.join(_SECTIONS)}.")
    return {name: part or {} for name, part in content.items()}


def _refuse_doubles(root: Any, file: Path) -> None:
    """Raise `SettingsError` if a section or a key stands there twice, of which a YAML reader would silently take the last.

    Parameters
    ----------
    root
        The composed document of PyYAML, whose nodes know their lines; None: it is empty.
    """
    parts: list[tuple[str | None, Any]] = [(None, root)]
    while parts:
        section, node = parts.pop()
        lines: dict[str, int] = {}
        entries = node.value if node is not None and node.id == "mapping" else []
        for key, value in entries:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                what = f"Section '{name}'" if section is None else f"Key '{section}/{name}'"
                raise SettingsError(f"{what} stands twice in {file}, in lines {lines[name]} and {line}; one is allowed.")
            lines[name] = line
            if section is None:
                parts.append((name, value))


def _about_unknown(name: str, file: Path) -> str:
    """Sentence about an unknown key, with the nearest known one: often only the section is wrong."""
    key = name.partition("/")[2]
    elsewhere = [known for known in _KEYS if known.partition("/")[2] == key]
    near = elsewhere or difflib.get_close_matches(name, _KEYS, n=1, cutoff=0.5)
    return f"Unknown key '{name}' in {file}" + (f"; did you mean '{near[0]}'?" if near else ".")


def _checked(value: Any, option: Option, where: str, environ: Mapping[str, str]) -> Any:
    expected = list if option.type is tuple else option.type
    is_right = isinstance(value, expected) and not (expected is int and isinstance(value, bool))
    if isinstance(value, list):
        is_right = is_right and all(isinstance(part, str) for part in value)
    if not is_right:
        shown = repr(value) if option.flags else "given"  # what is no flag may be a secret
        raise SettingsError(f"The value {shown} of {where} must be {_WORDS[option.type]}.")
    if isinstance(value, list):
        return tuple(_expanded(part, where, environ) for part in value)
    if not isinstance(value, str):
        return value
    value = _expanded(value, where, environ)
    if option.choices and value not in option.choices:
        raise SettingsError(f"The value {value!r} of {where} must be one of {', '.join(option.choices)}.")
    return value


def _expanded(text: str, where: str, environ: Mapping[str, str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        name = match["plain"] or match["braced"]
        if name not in environ:
            raise SettingsError(
                f"The environment variable {name}, named by the value of {where}, is not set."
                " Set it, or write $$ for a dollar sign."
            )
        return environ[name]

    return _VARIABLE.sub(replaced, text)


def write_config(settings: Settings, path: str | Path) -> None:
    """Write the settings as a configuration file (0600: it may hold keys); raises `SettingsError`."""
    import yaml

    values = msgspec.to_builtins(settings)
    values[f"startup_{settings.startup_kind}"] = settings.startup
    content: dict[str, dict[str, Any]] = {}
    for option in OPTIONS:
        value = values.get(option.name)
        if option.config and value is not None:
            section, _, key = option.config.partition("/")
            content.setdefault(section, {})[key] = _written(value)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    target = Path(os.path.abspath(os.path.expanduser(path)))
    try:
        write_private(target, text.encode())
    except OSError as error:
        raise SettingsError(f"The settings cannot be saved to {target} (QSERVER_SETTINGS_SAVE_TO_FILE): {error}.") from error


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    return [_written(part) for part in value] if isinstance(value, list | tuple) else value
