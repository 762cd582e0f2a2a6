"""Changing the permissions while the server runs."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import ME, Stage, plan
from msgspec.structs import replace

from jupyter_queueserver.core.config import Config
from jupyter_queueserver.core.errors import PermissionsInvalid
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.rules.permissions import PermissionFiles

NOTHING: dict[str, Any] = {"user_groups": {"root": {}, "primary": {}}}
EVERYTHING = Permissions.default().to_wire()


def test_set_takes_effect_at_once_and_not_for_queued_items() -> None:
    stage = Stage.opened(1)
    versions = stage.state.versions
    stage.ok("permissions_set", user_group_permissions=NOTHING)
    assert stage.state.versions.plans_allowed != versions.plans_allowed
    assert "is not in the list of allowed plans" in stage.refused("queue_item_add", item=plan(1), **ME)["msg"]
    assert len(stage.state.queue) == 1
    same = stage.state
    stage.ok("permissions_set", user_group_permissions=NOTHING)
    assert stage.state is same
    stage.restart()
    assert stage.state.catalogue.permissions.to_wire() == NOTHING


@pytest.mark.parametrize(
    ("permissions", "told"),
    [
        (None, "user_group_permissions"),
        ([], "user_group"),
        ({"user_groups": {"primary": {}}}, "root"),
        ({"user_groups": {"root": {}, "primary": {"allowed_plans": [":^("]}}}, "primary"),
        ({"user_groups": {"root": {"allowed_plans": [5]}}}, "root"),
        ({"groups": {}}, "user_groups"),
    ],
)
def test_broken_permissions_open_nothing(permissions: Any, told: str) -> None:
    stage = Stage.opened()
    reply = stage.refused("permissions_set", user_group_permissions=permissions)
    assert reply["msg"].startswith("Error: ")
    assert told in reply["msg"] + reply["error"]["path"]
    stage.add(1)


def test_reload_takes_the_file_and_always_gives_new_uids() -> None:
    stage = Stage.opened()
    before = stage.state.versions
    stage.ok("permissions_reload")
    assert stage.state.versions.plans_allowed != before.plans_allowed
    assert stage.state.versions.devices_allowed != before.devices_allowed
    assert stage.state.versions.plans_existing == before.plans_existing
    stage.fetched["permission_files"] = PermissionFiles(
        permissions=Permissions.parse(NOTHING), lists=({"new": {"name": "new"}}, {})
    )
    stage.ok("permissions_reload", restore_permissions=False)
    assert stage.state.catalogue.permissions.to_wire() == EVERYTHING
    stage.ok("permissions_reload", restore_plans_devices=True)
    assert list(stage.state.catalogue.plans) == ["new"]
    assert stage.state.catalogue.permissions.to_wire() == NOTHING


def test_without_a_file_the_lists_stay_and_get_new_uids() -> None:
    stage = Stage.opened()
    stage.fetched["permission_files"] = PermissionFiles(permissions=Permissions.default(), lists=None)
    before, lists = stage.state.versions, (stage.state.catalogue.plans, stage.state.catalogue.devices)
    stage.ok("permissions_reload", restore_plans_devices=True)
    assert (stage.state.catalogue.plans, stage.state.catalogue.devices) == lists
    assert stage.state.versions.plans_existing != before.plans_existing
    assert stage.state.versions.devices_existing != before.devices_existing


def test_a_broken_file_changes_nothing() -> None:
    stage = Stage.opened()
    broken = PermissionsInvalid("The permissions file p.yaml cannot be used: ...")
    stage.fetched["permission_files"] = PermissionFiles(permissions=broken, lists=({}, {}))
    reply = stage.refused("permissions_reload", restore_plans_devices=True)
    assert reply["msg"] == "Error: The permissions file p.yaml cannot be used: ..."
    assert stage.state.catalogue.plans
    stage.ok("permissions_reload", restore_permissions=False)


def test_reloading_may_be_forbidden() -> None:
    stage = Stage.opened()
    stage.config = replace(stage.config, permissions_reload="NEVER")
    reply = stage.refused("permissions_reload")
    assert reply["msg"].startswith("Error: Restoring user group permissions from disk is not allowed: ")
    stage.ok("permissions_reload", restore_permissions=False)
    stage.config = Config(permissions_reload="ON_REQUEST")
    stage.ok("permissions_reload")
