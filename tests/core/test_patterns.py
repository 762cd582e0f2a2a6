"""Names and patterns select what the interface says, and every other string is refused with a sentence."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_queueserver.core.descriptions import device_is, lookup, usable_device_names, walk_devices
from jupyter_queueserver.core.patterns import (
    PatternInvalid,
    is_name,
    parse_device_pattern,
    parse_name_pattern,
)


def device(readable=True, movable=False, flyable=False, **components):
    found = {
        "is_readable": readable,
        "is_movable": movable,
        "is_flyable": flyable,
        "classname": "C",
        "module": "m",
    }
    return {**found, "components": components} if components else found


def axis(**components):
    return device(movable=True, **components)


TREE = {
    "cam1": device(roi=device(size=axis())),
    "cam2": device(),
    "flyer": device(readable=False, flyable=True),
    "motor": axis(velocity=axis()),
    "table": device(x=axis(setpoint=axis()), y=axis()),
}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("cam1", {"cam1"}),
        (" cam1 ", {"cam1"}),
        ("table.x", {"table.x"}),
        ("table.z", set()),
        ("nothing", set()),
        (":^cam", {"cam1", "cam2"}),
        (":am", {"cam1", "cam2"}),
        (":+^cam", {"cam1", "cam2"}),
        (":-^cam", {"cam1", "cam2"}),
        (":^table$:^[xy]$", {"table", "table.x", "table.y"}),
        (":-^table$:^[xy]$", {"table.x", "table.y"}),
        (":-^table$:-^x$:.*", {"table.x.setpoint"}),
        (":?^table\\.", {"table.x", "table.y", "table.x.setpoint"}),
        (":?.*:depth=1", set(TREE)),
        (":?.*:depth=2", {*TREE, "cam1.roi", "motor.velocity", "table.x", "table.y"}),
        (":^table$:?.*", {"table", "table.x", "table.y", "table.x.setpoint"}),
        (":-^table$:?.*", {"table.x", "table.y", "table.x.setpoint"}),
        (":^table$:?^x.setpoint$", {"table", "table.x.setpoint"}),
        (":^table$:?.*:depth=1", {"table", "table.x", "table.y"}),
        (
            "__MOTOR__:?.*",
            {"cam1.roi.size", "motor", "motor.velocity", "table.x", "table.y", "table.x.setpoint"},
        ),
        ("__DETECTOR__:^cam", {"cam1", "cam2"}),
        ("__DETECTOR__:.*", {"cam1", "cam2", "table"}),
        ("__MOTOR__:^table$:^[xy]$", {"table.x", "table.y"}),
        ("__FLYABLE__:.*", {"flyer"}),
        ("__READABLE__:.*", {"cam1", "cam2", "motor", "table"}),
    ],
)
def test_device_pattern_selects(pattern, names):
    assert parse_device_pattern(pattern).select(TREE) == names


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("", "empty string"),
        ("   ", "empty string"),
        ("1abc", "not a name"),
        ("a-b", "not a name"),
        ("a.", "not a name"),
        (":", "empty part"),
        (":a:", "empty part"),
        (":+", "empty part"),
        (":?", "empty part"),
        (":(", "not a regular expression"),
        (":[a", "not a regular expression"),
        ("__CAMERA__:a", "Unknown device type '__CAMERA__'"),
        ("detector:a", "Unknown device type"),
        (":?a:b", "must be the last"),
        (":?a:depth=", "depth=N"),
        (":?a:depth=0", "depth=N"),
        (":?a:depth=-1", "depth=N"),
        (":?a:depth=two", "depth=N"),
        (":a:depth=2", "only a part that starts with '?'"),
        (":depth=2", "only a part that starts with '?'"),
        (":?a:depth=2:depth=3", "only a part that starts with '?'"),
        (":" + "a" * 2000, "at most 1000"),
        (":a" * 60, "at most 50"),
        (None, "must be a string"),
        (5, "must be a string"),
    ],
)
def test_broken_device_pattern_is_refused_with_a_sentence(pattern, sentence):
    with pytest.raises(PatternInvalid, match=re.escape(sentence)):
        parse_device_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("count", ["count"], ["count2", "my_count"]),
        (":^count$", ["count"], ["count2"]),
        (":scan$", ["scan", "grid_scan"], ["scan_nd"]),
        (":+scan$", ["grid_scan"], ["scan_nd"]),
        (":-scan$", ["grid_scan"], ["scan_nd"]),
        (":?scan$", ["grid_scan"], ["scan_nd"]),
    ],
)
def test_name_pattern_matches(pattern, matching, others):
    compiled = parse_name_pattern(pattern)
    assert all(compiled.matches(name) for name in matching)
    assert not any(compiled.matches(name) for name in others)


@pytest.mark.parametrize("pattern", ["", ":", ":a:b", ":?a:depth=2", "__READABLE__:a", ":*", "a b-c"])
def test_broken_name_pattern_is_refused(pattern):
    with pytest.raises(PatternInvalid):
        parse_name_pattern(pattern)


names = st.from_regex(r"[_a-zA-Z][_a-zA-Z0-9]{0,5}", fullmatch=True)


@st.composite
def trees(draw, depth=3):
    result = {}
    for name in draw(st.lists(names, max_size=3, unique=True)):
        node = device(draw(st.booleans()), draw(st.booleans()), draw(st.booleans()))
        components = draw(trees(depth - 1)) if depth > 1 else {}
        result[name] = {**node, "components": components} if components else node
    return result


@settings(deadline=None)
@given(trees())
def test_full_pattern_selects_every_node_once(tree):
    everything = [name for name, _ in walk_devices(tree)]
    assert parse_device_pattern(":?.*").select(tree) == set(everything)
    assert len(everything) == len(set(everything))


@settings(deadline=None)
@given(trees(), st.integers(1, 4))
def test_depth_counts_levels(tree, depth):
    selected = parse_device_pattern(f":?.*:depth={depth}").select(tree)
    assert selected == {name for name, _ in walk_devices(tree) if name.count(".") < depth}


@settings(deadline=None)
@given(trees(), st.sampled_from(["READABLE", "DETECTOR", "MOTOR", "FLYABLE"]))
def test_type_restricts_only_what_is_included(tree, kind):
    expected = {name for name, found in walk_devices(tree) if device_is(found, kind.lower())}
    assert parse_device_pattern(f"__{kind}__:?.*").select(tree) == expected


@settings(deadline=None)
@given(trees())
def test_exact_names_select_themselves(tree):
    for name, found in walk_devices(tree):
        assert is_name(name)
        assert parse_device_pattern(name).select(tree) == {name}
        assert lookup(tree, name) == found


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_compiled_or_refused(text):
    for parse in (parse_device_pattern, parse_name_pattern):
        with contextlib.suppress(PatternInvalid):  # any other exception fails the test
            parse(text)


def test_excluded_devices_are_not_usable_but_their_components_are():
    tree = {"table": {**device(x=axis()), "excluded": True}}
    assert usable_device_names(tree) == {"table.x"}
