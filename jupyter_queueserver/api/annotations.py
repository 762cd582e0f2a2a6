"""JSON Schemas of the types in the signatures of methods.

The text of an annotation is parsed and never evaluated.
"""

from __future__ import annotations

import ast
from typing import Any

_TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "dict": {"type": "object"},
    "list": {"type": "array"},
    "None": {"type": "null"},
    "Any": {},
}


def annotation_schema(annotation: str) -> dict[str, Any]:
    """Return the JSON Schema of an annotation such as ``int | str | None``; an unknown one allows everything."""
    return _node_schema(ast.parse(annotation, mode="eval").body)


def _node_schema(node: ast.expr) -> dict[str, Any]:
    match node:
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.Name(id=name):
            return dict(_TYPES.get(name, {}))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _either(_node_schema(left), _node_schema(right))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=elements)):
            return {"enum": [ast.literal_eval(element) for element in elements]}
        case ast.Subscript(value=ast.Name(id="Literal"), slice=element):
            return {"const": ast.literal_eval(element)}
        case ast.Subscript(value=ast.Name(id="list"), slice=element):
            return {"type": "array", "items": _node_schema(element)}
        case ast.Subscript(value=ast.Name(id=name)):
            return dict(_TYPES.get(name, {}))
        case _:
            return {}


def _either(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    if left.keys() == right.keys() == {"type"}:
        kinds = [kind for side in (left, right) for kind in _as_list(side["type"])]
        return {"type": list(dict.fromkeys(kinds))}
    if not left or not right:
        return {}
    return {"anyOf": [*left.get("anyOf", [left]), right]}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
