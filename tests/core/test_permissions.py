"""Permissions are refused whole when anything in them is broken, and select plans, devices and functions."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_queueserver.core.descriptions import usable_device_names, walk_devices
from jupyter_queueserver.core.errors import PermissionsInvalid
from jupyter_queueserver.core.permissions import DEFAULT_PERMISSIONS, Permissions, UserGroupUnknown


def device(movable=False, **components):
    found = {"is_readable": True, "is_movable": movable, "is_flyable": False, "classname": "C", "module": "m"}
    return {**found, "components": components} if components else found


DEVICES = {
    "cam1": device(gain=device(movable=True)),
    "sample_stage": device(x=device(movable=True), y=device(movable=True)),
    "_secret": device(part=device()),
}


def plan(name, **annotation):
    parameter = {"name": "x", "kind": {"name": "POSITIONAL_OR_KEYWORD", "value": 1}}
    if annotation:
        parameter["annotation"] = annotation
    return {"name": name, "properties": {"is_generator": True}, "parameters": [parameter]}


PLANS = {name: plan(name) for name in ("count", "quick_look", "quick_danger", "_hidden", "grid_scan")} | {
    "nested": plan(
        "nested",
        type="typing.Union[Dev, Plan, Mode]",
        devices={"Dev": ["cam1", "missing", "sample_stage", "sample_stage.x"]},
        plans={"Plan": ["_hidden", "count", "grid_scan"]},
        enums={"Mode": ["missing", "fast"]},
    )
}

WIRE = {
    "user_groups": {
        "root": DEFAULT_PERMISSIONS["user_groups"]["root"],
        "primary": {
            "allowed_plans": [":.*"],
            "allowed_devices": [":?.*:depth=5"],
            "allowed_functions": ["read_gauge", ":^util_"],
        },
        "guests": {
            "allowed_plans": ["count", ":^quick_", "nested"],
            "forbidden_plans": [":_danger$"],
            "allowed_devices": [":^cam:?.*", "sample_stage.x"],
        },
        "nobody": {},
        "empty": {"allowed_plans": [], "allowed_devices": [], "forbidden_plans": [], "forbidden_devices": []},
        "open": {
            "allowed_plans": [None, "count"],
            "forbidden_plans": [None],
            "allowed_devices": [None],
            "forbidden_devices": [None],
        },
    }
}
PERMISSIONS = Permissions.parse(WIRE)


@pytest.mark.parametrize(
    ("group", "plans"),
    [
        ("root", {"count", "quick_look", "quick_danger", "grid_scan", "nested"}),
        ("primary", {"count", "quick_look", "quick_danger", "grid_scan", "nested"}),
        ("guests", {"count", "quick_look", "nested"}),
        ("nobody", set()),
        ("empty", set()),
        ("open", {"count", "quick_look", "quick_danger", "grid_scan", "nested"}),
    ],
)
def test_allowed_plans(group, plans):
    assert set(PERMISSIONS.allowed_plans(PLANS, group)) == plans


@pytest.mark.parametrize(
    ("group", "usable"),
    [
        ("root", {"cam1", "cam1.gain", "sample_stage", "sample_stage.x", "sample_stage.y"}),
        ("primary", {"cam1", "cam1.gain", "sample_stage", "sample_stage.x", "sample_stage.y"}),
        ("guests", {"cam1", "cam1.gain", "sample_stage.x"}),
        ("nobody", set()),
        ("empty", set()),
        ("open", {"cam1", "cam1.gain", "sample_stage", "sample_stage.x", "sample_stage.y"}),
    ],
)
def test_allowed_devices(group, usable):
    assert usable_device_names(PERMISSIONS.allowed_devices(DEVICES, group)) == usable


def test_node_without_permission_stays_excluded_above_a_permitted_component():
    stage = PERMISSIONS.allowed_devices(DEVICES, "guests")["sample_stage"]
    assert stage["excluded"] is True
    assert stage["classname"] == "C"
    assert list(stage["components"]) == ["x"]
    assert "excluded" not in stage["components"]["x"]


def test_names_inside_annotations_are_reduced_to_the_allowed_ones():
    before = copy.deepcopy(PLANS)
    plans, _ = PERMISSIONS.allowed_lists(PLANS, DEVICES, "guests")
    annotation = plans["nested"]["parameters"][0]["annotation"]
    assert annotation["devices"] == {"Dev": ["cam1", "sample_stage.x"]}
    assert annotation["plans"] == {"Plan": ["count"]}
    assert annotation["enums"] == {"Mode": ["missing", "fast"]}
    assert before == PLANS


def test_functions_pass_root_and_group():
    assert PERMISSIONS.function_allowed("read_gauge", "primary")
    assert PERMISSIONS.function_allowed("util_x", "primary")
    assert not PERMISSIONS.function_allowed("other", "primary")
    assert not PERMISSIONS.function_allowed("_util_x", "primary")
    assert PERMISSIONS.function_allowed("util_" + "x" * 95, "primary")
    assert not PERMISSIONS.function_allowed("util_" + "x" * 96, "primary")  # too long to be compared with patterns
    assert not PERMISSIONS.function_allowed("read_gauge", "guests")
    assert PERMISSIONS.function_allowed("anything", "root")


@pytest.mark.parametrize("group", ["unknown", "", None, ["root"]])
def test_unknown_group_is_refused_everywhere(group):
    for ask in (
        lambda: PERMISSIONS.allowed_plans(PLANS, group),
        lambda: PERMISSIONS.allowed_devices(DEVICES, group),
        lambda: PERMISSIONS.function_allowed("f", group),
    ):
        with pytest.raises(UserGroupUnknown, match="Unknown user group"):
            ask()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda w: w.pop("user_groups"), ""),
        (lambda w: w.update(extra=1), ""),
        (lambda w: w.update(user_groups=[]), "user_groups"),
        (lambda w: w["user_groups"].pop("root"), "user_groups"),
        (lambda w: w["user_groups"].update({5: {}}), "user_groups"),
        (lambda w: w["user_groups"].update(primary=None), "user_groups.primary"),
        (lambda w: w["user_groups"]["primary"].update(allowed_plan=[]), "user_groups.primary"),
        (
            lambda w: w["user_groups"]["primary"].update(allowed_plans="count"),
            "user_groups.primary.allowed_plans",
        ),
        (
            lambda w: w["user_groups"]["primary"].update(allowed_plans=["count", None]),
            "user_groups.primary.allowed_plans[1]",
        ),
        (
            lambda w: w["user_groups"]["primary"].update(forbidden_devices=["cam1", ":("]),
            "user_groups.primary.forbidden_devices[1]",
        ),
        (
            lambda w: w["user_groups"]["primary"].update(allowed_devices=[None, ":("]),
            "user_groups.primary.allowed_devices[1]",
        ),
        (
            lambda w: w["user_groups"]["primary"].update(allowed_functions=[5]),
            "user_groups.primary.allowed_functions[0]",
        ),
        (
            lambda w: w["user_groups"]["primary"].update(allowed_functions=[":a:b"]),
            "user_groups.primary.allowed_functions[0]",
        ),
    ],
)
def test_broken_permissions_are_refused_and_the_place_is_named(change, path):
    wire = copy.deepcopy(WIRE)
    change(wire)
    with pytest.raises(PermissionsInvalid) as refusal:
        Permissions.parse(wire)
    assert refusal.value.path == path
    assert "[" not in path or refusal.value.msg.startswith(f"{path}: ")


@pytest.mark.parametrize("obj", [None, [], "text", 5, {}])
def test_other_things_than_permissions_are_refused(obj):
    with pytest.raises(PermissionsInvalid):
        Permissions.parse(obj)


def test_wire_form_is_kept_and_independent():
    source = copy.deepcopy(WIRE)
    permissions = Permissions.parse(source)
    source["user_groups"]["primary"]["allowed_plans"].append("(")
    assert permissions.to_wire() == WIRE
    permissions.to_wire()["user_groups"].clear()
    assert permissions.to_wire() == WIRE
    assert permissions.groups == tuple(WIRE["user_groups"])


def test_default_permissions_hide_only_underscore_names():
    default = Permissions.default()
    plans, devices = default.allowed_lists(PLANS, DEVICES, "primary")
    assert set(plans) == set(PLANS) - {"_hidden"}
    assert set(devices) == {"cam1", "sample_stage"}
    assert json.loads(json.dumps(default.to_wire())) == DEFAULT_PERMISSIONS


entries = st.lists(
    st.sampled_from([":.*", ":^cam", ":?x", "cam1", "sample_stage.x", ":^sample_stage$:^y$", ":-^sam:.*"]),
    max_size=3,
)


@settings(deadline=None)
@given(entries, entries, entries, entries)
def test_a_group_never_gets_more_than_root(root_allowed, root_forbidden, allowed, forbidden):
    wire = {
        "user_groups": {
            "root": {"allowed_devices": root_allowed, "forbidden_devices": root_forbidden},
            "g": {"allowed_devices": allowed, "forbidden_devices": forbidden},
        }
    }
    permissions = Permissions.parse(wire)
    root = usable_device_names(permissions.allowed_devices(DEVICES, "root"))
    tree = permissions.allowed_devices(DEVICES, "g")
    assert usable_device_names(tree) <= root
    for name, found in walk_devices(tree):
        leaf = "components" not in found
        assert not (leaf and found.get("excluded")), f"{name} is excluded and has nothing below"
