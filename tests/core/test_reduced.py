"""The short form of plans: one plain type for each parameter."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_queueserver.core.reduced import reduced_plans

KIND = {"name": "POSITIONAL_OR_KEYWORD", "value": 1}


def reduced(**parameter: Any) -> dict[str, Any]:
    """The short form of one parameter."""
    plans = {"p": {"name": "p", "parameters": [{"name": "x", "kind": KIND, **parameter}]}}
    (found,) = reduced_plans(plans)["p"]["parameters"]
    return found


def test_a_plan_keeps_name_and_description_only() -> None:
    plan = {"name": "scan_line", "module": "m", "description": "d", "properties": {"is_generator": True}, "parameters": []}
    assert reduced_plans({"alias": plan}) == {"alias": {"name": "scan_line", "description": "d"}}


ENUMS = {"devices": {"Cams": ["c1", "c2"]}, "plans": {"Plans": ["count"]}, "enums": {"Modes": ["c1", "fast"]}}
TYPES: list[tuple[str, dict[str, Any]]] = [
    ("int", {"type": "int", "is_list": False}),
    ("float", {"type": "float", "is_list": False}),
    ("typing.Optional[str]", {"type": "str", "is_list": False}),
    ("int | None", {"type": "int", "is_list": False}),
    ("typing.Union[float, int]", {"type": "float", "is_list": False}),
    ("list[int]", {"type": "int", "is_list": True}),
    ("typing.Optional[typing.List[float]]", {"type": "float", "is_list": True}),
    ("typing.Tuple[int, ...]", {"type": "int", "is_list": True}),
    ("typing.Union[float, list[float]]", {"type": "float", "is_list": False}),
    ("__READABLE__", {"type": "str", "is_list": False}),
    ("typing.List[__DEVICE__]", {"type": "str", "is_list": True}),
    ("typing.List[Cams]", {"type": "str", "enum": ["c1", "c2"], "is_list": True}),
    ("typing.Union[Cams, Modes]", {"type": "str", "enum": ["c1", "c2", "fast"], "is_list": False}),
    ("'int'", {"type": "int", "is_list": False}),
    ("typing.Literal['a', 'b']", {"type": "str", "is_list": False}),
    ("typing.Annotated[int, 3]", {"type": "int", "is_list": False}),
    ("list", {"is_list": True}),
    ("bool", {"is_list": False}),
    ("int | str", {"is_list": False}),
    ("dict[str, typing.Any]", {"is_list": False}),
    ("typing.Callable[[int], str]", {"is_list": False}),
    ("open('x')", {"is_list": False}),
    ("not a type", {"is_list": False}),
    ("[" * 5000, {"is_list": False}),
]


@pytest.mark.parametrize(("text", "expected"), TYPES, ids=[text[:40] for text, _ in TYPES])
def test_types(text: str, expected: dict[str, Any]) -> None:
    assert reduced(annotation={"type": text, **ENUMS}) == {"name": "x", "kind": KIND, "is_optional": False, **expected}


def test_without_annotation_there_is_no_type() -> None:
    assert reduced(description="d") == {"name": "x", "kind": KIND, "description": "d", "is_optional": False}


def test_values_are_values() -> None:
    found = reduced(default="[1, 'a', None]", min="-10", max="1e3", step="0.5", default_defined_in_decorator=True)
    assert found == {
        "name": "x",
        "kind": KIND,
        "default": [1, "a", None],
        "min": -10,
        "max": 1000.0,
        "step": 0.5,
        "is_optional": True,
    }


def test_what_takes_any_number_is_optional() -> None:
    assert reduced(kind={"name": "VAR_POSITIONAL", "value": 2})["is_optional"] is True
