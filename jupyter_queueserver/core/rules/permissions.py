"""Changing who may use what, and reading it again from the files."""

from __future__ import annotations

from typing import Any

import msgspec

from ..changes import DevicesSet, PermissionsSet, PlansSet
from ..config import Config
from ..decision import Step
from ..errors import PermissionsInvalid, QueueServerError, RequestError, StateError
from ..permissions import Permissions


class PermissionFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say; an error where one cannot be used.

    Attributes
    ----------
    permissions
        Content of the file with the permissions.
    lists
        Existing plans and existing devices; None: there is no such file.
    """

    permissions: Permissions | QueueServerError
    lists: tuple[dict[str, Any], dict[str, Any]] | QueueServerError | None


def set_permissions(step: Step, permissions: Any) -> None:
    """Exchange the permissions; the same ones once more change nothing."""
    if permissions is None:
        raise RequestError(
            "Parameter 'user_group_permissions' is missing",
            code="item_format",
            hint="Send the permissions as an object with the key 'user_groups'.",
            path="user_group_permissions",
        )
    try:
        parsed = Permissions.parse(permissions).check_patterns()
    except PermissionsInvalid as err:
        err.path = f"user_group_permissions.{err.path}" if err.path else "user_group_permissions"
        raise
    if parsed.to_wire() != step.state.catalogue.permissions.to_wire():
        step.emit(PermissionsSet(permissions=parsed.to_wire()))


def may_reload(config: Config, *, permissions: bool) -> None:
    """Raise if the file with the permissions must not be read again."""
    if permissions and config.permissions_reload == "NEVER":
        raise StateError(
            "Restoring user group permissions from disk is not allowed: the server runs with "
            "--user-group-permissions-reload=NEVER",
            code="not_allowed",
            hint="Use permissions_set, or restart the server with another option.",
            path="restore_permissions",
        )


def reload(step: Step, files: PermissionFiles, *, permissions: bool, lists: bool) -> None:
    """Take over what the files say; all of it or, if one cannot be used, nothing.

    Without a file the lists stay what they are: none is written as long as no environment was opened.
    """
    may_reload(step.config, permissions=permissions)
    wanted = _usable(files.permissions) if permissions else step.state.catalogue.permissions
    if lists:
        catalogue = step.state.catalogue
        plans, devices = _usable(files.lists) or (dict(catalogue.plans), dict(catalogue.devices))
        step.emit(PlansSet(plans=plans))
        step.emit(DevicesSet(devices=devices))
    step.emit(PermissionsSet(permissions=wanted.to_wire()))


def _usable(read: Any) -> Any:
    if isinstance(read, QueueServerError):
        raise read
    return read
