"""Patterns that may take for ever are refused, ordinary ones are not."""

from __future__ import annotations

import pytest

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
