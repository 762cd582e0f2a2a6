"""Patterns that may take for ever are refused, ordinary ones are not."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_queueserver.core.errors import PermissionsInvalid
from jupyter_queueserver.core.explosive import why_explosive
from jupyter_queueserver.core.permissions import Permissions


@pytest.mark.parametrize(
    "expression",
    [
        r"^(\w+)*!$",
        r"(a*)*",
        r"(?:a+){2,}$",
        r"(a|aa)+$",
        r"(a|a)*$",
        r"((ab)?)*c",
        r"(x(?=y)|[a-z])*!",
        r"(?P<n>[a-z]+_?)+$",
        r"\w*" * 6 + "!",
        r"(.{0,20}){0,20}!",
        r"^(\w+){20}!$",
        r"^(\w{0,15}){0,15}!$",
        r"^(\w?){30}!$",
        r"^(?:\w{0,15}){12}!$",
        r"(a*b*)*c",
        r"([^_]+)*_",
    ],
)
def test_refused(expression: str) -> None:
    assert why_explosive(expression)
    wire = {"user_groups": {"root": {"allowed_plans": [f":{expression.replace(':', '')}"]}}}
    if ":" not in expression and " " not in expression:
        with pytest.raises(PermissionsInvalid, match="may take for ever"):
            Permissions.parse(wire).check_patterns()


@pytest.mark.parametrize(
    "expression",
    [
        "^_",
        ".*",
        "^count$",
        "scan$",
        "^(count|scan|grid_scan)$",
        "^(det|motor)[0-9]+$",
        r"^sample_.*_(x|y|z)$",
        r"^(xs|xf)+_\d{1,3}$",
        r"^[a-z]+_[a-z]+_\d*$",
        r"(abc)*",
        r"^(hold|brief|fails)(_[a-z]+)*$",
        r"^det(_[0-9]+)+$",
        r"^(ab?)*$",
        r"(\.[a-z]\w{3})+",
        r"(?i)^det.*",
        r"a{3}",
    ],
)
def test_accepted(expression: str) -> None:
    assert why_explosive(expression) is None


@pytest.mark.parametrize(
    "expression",
    [
        "a?" * 30 + "a" * 30,
        "(a|aa)" * 30 + "!",
        "a{0,15}" * 9 + "!",
        "(_a?a?a?)*!",
        "(_[a-z]*[a-z]*)+!",
        r".*.*.*.*.*!",
    ],
)
def test_many_ways_one_behind_the_other_are_refused(expression: str) -> None:
    assert why_explosive(expression)


#: Small expressions of all kinds of parts.
PARTS = st.sampled_from(["a", "b", ".", r"\w", "[ab]", "[^_]", "(a|b)", "(a|ab)", "(?:ab|a)", "_", "(?=a)", "(a_)", "(_a?a?)"])
REPEATS = st.sampled_from(["", "", "*", "+", "?", "{0,3}", "{2}", "*?", "{1,20}"])
EXPRESSIONS = st.lists(st.tuples(PARTS, REPEATS).map("".join), min_size=1, max_size=13).map("".join)
PROGRAM = "import json, re, sys\nfor text in json.load(sys.stdin):\n    for name in NAMES:\n        re.search(text, name)\n"
NAMES = ["a" * 40, "ab" * 20, "_aa" * 14, "a_" * 20, "a" * 39 + "!"]


def test_what_is_accepted_comes_to_an_end() -> None:
    """Hundreds of made-up expressions, each against names that are bad for it, in a process that would be killed."""
    accepted: set[str] = set()

    @settings(max_examples=400, database=None, derandomize=True, deadline=None)
    @given(expression=EXPRESSIONS, around=st.sampled_from(["{}!", "({})*!", "({})+$", "{}!$"]))
    def collect(expression: str, around: str) -> None:
        text = around.format(expression)
        try:
            re.compile(text)
        except re.error:
            return
        if why_explosive(text) is None:
            accepted.add(text)

    collect()
    assert len(accepted) > 50
    program = f"NAMES = {NAMES!r}\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], input=json.dumps(sorted(accepted)), text=True, timeout=90, check=False)
    assert done.returncode == 0


KILLER = {"allowed_plans": [":^(a+)+$", ":^b"], "allowed_functions": [None], "forbidden_functions": [":(x|x)*!"]}


def test_what_a_store_holds_already_is_never_matched() -> None:
    """Where such a pattern allows it allows nothing, where it forbids it forbids all, and the rest stays."""
    everything = {"allowed_plans": [None], "allowed_functions": [None], "allowed_devices": [None]}
    found = Permissions.parse({"user_groups": {"root": everything, "primary": KILLER}})
    names = {name: {"name": name} for name in ("a" * 60 + "!", "aaa", "bbb")}
    assert list(found.allowed_plans(names, "primary")) == ["bbb"]
    assert not found.function_allowed("harmless", "primary")
    assert found.function_allowed("harmless", "root")
    assert [group for group, _ in found.dangers] == ["primary", "primary"]
    assert "may take for ever" in found.dangers[0][1]
    assert found.to_wire()["user_groups"]["primary"] == KILLER, "what is stored is shown as it is"
    with pytest.raises(PermissionsInvalid, match="may take for ever"):
        found.check_patterns()
    assert Permissions.default().dangers == ()
