"""The file with existing plans and devices: read by the manager, written by the manager and by `qserver-list-plans-devices`.

It is a YAML file.  It is written as JSON, which every YAML reader understands and which costs the manager milliseconds
where YAML would hold up its clients.  Nothing here knows what a plan is.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from ..core.descriptions import check_lists

Lists = tuple[dict[str, Any], dict[str, Any]]

_KEYS = ("existing_plans", "existing_devices")
#: Characters that JSON may hold as they are; YAML refuses them or takes them for line ends.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def load_lists(path: str | Path) -> Lists | None:
    """Return existing plans and existing devices; None if there is no such file.

    Raises
    ------
    ValueError
        The file cannot be used; the text says why.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as err:
        raise ValueError(f"The file {path} with plans and devices cannot be read: {err}") from err
    return parse_lists(data, path)


def parse_lists(data: bytes, path: str | Path) -> Lists:
    """`load_lists` for the content of a file that was read already."""
    try:
        content = msgspec.json.decode(data)
    except msgspec.MsgspecError:
        content = _parse_yaml(data, path)
    if not isinstance(content, dict):
        raise ValueError(f"The file {path} with plans and devices must hold the dictionaries {' and '.join(_KEYS)}.")
    try:
        check_lists(*(content.get(key) for key in _KEYS))
    except ValueError as err:
        raise ValueError(f"The file {path} with plans and devices cannot be used: {err}") from err
    return content["existing_plans"], content["existing_devices"]


def _parse_yaml(data: bytes, path: str | Path) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(data.decode(), Loader=loader)  # noqa: S506 - both are safe loaders
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as err:
        raise ValueError(f"The file {path} with plans and devices cannot be read: {err}") from err


def format_lists(plans: Any, devices: Any) -> bytes:
    """Return the content of the file."""
    text = msgspec.json.format(msgspec.json.encode(dict(zip(_KEYS, (plans, devices), strict=True))), indent=1).decode()
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode() + b"\n"


def save_lists(path: str | Path, data: bytes) -> None:
    """Replace the file at once, with the mode that it had; raises ``OSError``."""
    target = Path(path)
    try:
        mode = target.stat().st_mode & 0o777
    except FileNotFoundError:
        mode = 0o644
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
