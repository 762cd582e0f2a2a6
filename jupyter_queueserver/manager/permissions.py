"""Reads the file with the permissions of user groups."""

from __future__ import annotations

import logging
from pathlib import Path

from ..core.errors import PermissionsInvalid
from ..core.permissions import Permissions

_log = logging.getLogger(__name__)


def load_permissions(path: str) -> Permissions | None:
    """Return the permissions of the file; None if it is missing or cannot be used (which is logged with its reason)."""
    import yaml

    try:
        return Permissions.parse(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        _log.warning("There is no permissions file %s.", path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, PermissionsInvalid) as err:
        _log.error("The permissions file %s cannot be used: %s", path, err)
    return None
