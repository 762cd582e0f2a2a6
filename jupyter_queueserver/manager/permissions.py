"""Reads the files of those who run the server: permissions of user groups, and lists of plans and devices."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..core.errors import PermissionsInvalid, QueueServerError, StateError
from ..core.permissions import Permissions
from ..core.rules.permissions import PermissionFiles
from .lists_file import load_lists

_log = logging.getLogger(__name__)


def load_permissions(path: str) -> Permissions | None:
    """Return the permissions of the file; None if there is none.  Raises `PermissionsInvalid` that says what is wrong with it."""
    import yaml

    try:
        return Permissions.parse(yaml.safe_load(Path(path).read_text(encoding="utf-8"))).check_patterns()
    except FileNotFoundError:
        _log.warning("There is no permissions file %s.", path)
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, PermissionsInvalid) as err:
        raise PermissionsInvalid(f"The permissions file {path} cannot be used: {err}") from err


def read_permission_files(permissions_path: str, lists_path: str | None) -> PermissionFiles:
    """Read both files; never raises, what is wrong with one stands in its place."""
    return PermissionFiles(permissions=_permissions(permissions_path), lists=_lists(lists_path))


def _permissions(path: str) -> Permissions | QueueServerError:
    try:
        found = load_permissions(path)
    except PermissionsInvalid as err:
        return err
    return found or PermissionsInvalid(
        f"There is no permissions file {path}", hint="Write the file, or use permissions_set.", path=""
    )


def _lists(path: str | None) -> tuple[dict[str, Any], dict[str, Any]] | QueueServerError | None:
    try:
        return load_lists(path) if path is not None else None
    except ValueError as err:
        return StateError(str(err), code="lists_invalid", hint="Mend the file, or open the environment: it makes a new one.")
