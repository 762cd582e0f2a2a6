"""Which metadata may be shown: the table of the interface, and properties of every selection."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_queueserver.core.metadata_keys import permitted_metadata

MD = {"a": {"b": 1, "c": {"d": 2}}, "e": 5, "a/b": 7, 3: "number"}

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_TREES = st.recursive(st.integers(), lambda inner: st.dictionaries(_NAMES, inner, max_size=3), max_leaves=12)
_MAPPINGS = st.dictionaries(_NAMES, _TREES, max_size=4)
_PATHS = st.lists(_NAMES, max_size=3).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize(
    ("keys", "selected"),
    [
        (["/"], MD),
        (["//"], MD),
        (["/a/b"], {"a": {"b": 1}}),
        (["/a/b/"], {"a": {"b": 1}}),
        (["/a/c"], {"a": {"c": {"d": 2}}}),
        (["/a/c/d", "/e"], {"a": {"c": {"d": 2}}, "e": 5}),
        (["/a", "/a/b"], {"a": MD["a"]}),
        (["/e/f"], {}),
        (["/x", "/a/x"], {}),
        (["a"], {}),
        ([], {}),
        ([""], {}),
    ],
)
def test_paths(keys: list[str], selected: dict[Any, Any]) -> None:
    assert permitted_metadata(MD, keys) == selected


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(tree, dict) or not tree:
        return {path: tree}
    return {where: value for key, part in tree.items() for where, value in leaves(part, (*path, key)).items()}


@given(_MAPPINGS, st.lists(_PATHS, max_size=4))
def test_exactly_what_lies_below_a_listed_path_is_shown(metadata: dict[str, Any], keys: list[str]) -> None:
    listed = [tuple(part for part in key.split("/") if part) for key in keys]
    expected = {
        path: value for path, value in leaves(metadata).items() if path and any(path[: len(above)] == above for above in listed)
    }
    assert {path: value for path, value in leaves(permitted_metadata(metadata, keys)).items() if path} == expected


@given(_MAPPINGS, st.lists(_PATHS, max_size=4), st.lists(_PATHS, max_size=4))
def test_more_keys_show_more_and_asking_twice_shows_the_same(metadata: dict[str, Any], keys: list[str], more: list[str]) -> None:
    once = permitted_metadata(metadata, keys)
    assert permitted_metadata(once, keys) == once
    assert leaves(once).keys() - {()} <= leaves(permitted_metadata(metadata, keys + more)).keys()
    assert permitted_metadata(metadata, [*keys, "/"]) == metadata
