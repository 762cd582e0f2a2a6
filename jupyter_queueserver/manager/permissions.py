"""Reads the file with the permissions of user groups."""

from __future__ import annotations

import logging
from pathlib import Path

from ..core.errors import PermissionsInvalid
from ..core.permissions import Permissions

_log = logging.getLogger(__name__)


def load_permissions(path: str) -> Permissions | None:
    """Return the permissions of the file; None if there is none.  Raises `PermissionsInvalid` that says what is wrong with it."""
    import yaml

    try:
        return Permissions.parse(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        _log.warning("There is no permissions file %s.", path)
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, PermissionsInvalid) as err:
        raise PermissionsInvalid(f"The permissions file {path} cannot be used: {err}") from err
