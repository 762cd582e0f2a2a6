"""Permissions of user groups."""

from __future__ import annotations

from typing import Any

from ..core.rules import permissions as rules
from .registry import Context, Key, State, Step, read, write
from .schemas import OBJECT


@read(
    scope="read:config",
    words="permissions get",
    reply={"user_group_permissions": Key(OBJECT, {}, "the permissions of all groups")},
)
def permissions_get(state: State, context: Context) -> dict[str, Any]:
    """Return which plans, devices and functions each user group may use."""
    return {"user_group_permissions": state.catalogue.permissions.to_wire()}


@write(
    scope="write:permissions",
    access="execute",  # who may change who may do what could let himself do anything
    lock="queue",
    prefix="Error: ",
    words="permissions set",
    shape="yaml_file",
)
def permissions_set(step: Step, *, user_group_permissions: dict, lock_key: str | None = None) -> dict[str, Any]:
    """Exchange the permissions; queued items are checked again when they are started.

    Parameters
    ----------
    user_group_permissions
        The permissions of all groups, in the form of the file.
    lock_key
        Key of the lock, if the queue is locked.
    """
    rules.set_permissions(step, user_group_permissions)
    return {}


@write(
    scope="write:config",
    access="execute",
    lock="queue",
    prefix="Error: ",
    words="permissions reload",
    shape="permissions_reload",
    fetch="permission_files",
)
def permissions_reload(
    step: Step,
    *,
    restore_plans_devices: bool = False,
    restore_permissions: bool = True,
    lock_key: str | None = None,
    fetched: rules.PermissionFiles,
) -> dict[str, Any]:
    """Read the permissions again from their file, and the lists of plans and devices from theirs.

    Parameters
    ----------
    restore_plans_devices
        Whether the lists of existing plans and devices are read from their file too.
    restore_permissions
        Whether the permissions are read from their file; else only the allowed lists are made anew.
    lock_key
        Key of the lock, if the queue is locked.
    """
    rules.reload(step, fetched, permissions=bool(restore_permissions), lists=bool(restore_plans_devices))
    return {}
