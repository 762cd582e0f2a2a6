"""Plans in the short form for simple forms of web pages: one plain type for each parameter, instead of a type expression.

Pure.  It is for showing only: what may be submitted is decided by the whole description.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, NamedTuple

from .descriptions import BUILT_IN_TYPES
from .typeexpr import MAX_LENGTH, custom_types

#: Last words of the names of generic types whose values are lists.
_LISTS = frozenset(
    {
        *("list", "List", "tuple", "Tuple", "deque", "Deque", "Sequence", "MutableSequence", "Collection", "Iterable"),
        *("set", "Set", "frozenset", "FrozenSet", "AbstractSet", "MutableSet", "Container", "Reversible"),
    }
)
_UNIONS = frozenset({"Optional", "Union"})
_PLAIN = {"int": "int", "float": "float", "str": "str", "Text": "str"}
_VARIABLE = ("VAR_POSITIONAL", "VAR_KEYWORD")


class _Shape(NamedTuple):
    """What a type amounts to: kinds of its (or its elements') values, names of enum types in it, whether it is a list."""

    kinds: frozenset[str] = frozenset()
    enums: tuple[str, ...] = ()
    is_list: bool = False


_OTHER = _Shape(frozenset({"other"}))


def reduced_plans(plans: Mapping[str, Any]) -> dict[str, Any]:
    """Return the short form of plan descriptions, by name.

    Parameters
    ----------
    plans
        Descriptions in the wire form of ``plans_allowed``.
    """
    return {name: _plan(plan) for name, plan in plans.items()}


def _plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    short = {key: plan[key] for key in ("name", "description") if key in plan}
    parameters = [_parameter(parameter) for parameter in plan.get("parameters", ())]
    return short | ({"parameters": parameters} if parameters else {})


def _parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    short = {key: parameter[key] for key in ("name", "kind", "description") if key in parameter}
    annotation = parameter.get("annotation")
    if annotation:
        short |= _type(annotation)
    for key in ("default", "min", "max", "step"):
        if key in parameter:
            short[key] = _value(parameter[key])
    short["is_optional"] = "default" in parameter or parameter.get("kind", {}).get("name") in _VARIABLE
    return short


def _type(annotation: Mapping[str, Any]) -> dict[str, Any]:
    custom = custom_types(annotation)
    text = str(annotation.get("type", ""))[:MAX_LENGTH]
    try:
        shape = _shape(ast.parse(text.strip(), mode="eval").body, frozenset(custom))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        shape = _OTHER
    found: dict[str, Any] = {"is_list": shape.is_list}
    if shape.enums:
        found |= {"type": "str", "enum": list(dict.fromkeys(name for each in shape.enums for name in custom[each]))}
    elif kind := _kind(shape.kinds):
        found["type"] = kind
    return found


def _kind(kinds: frozenset[str]) -> str | None:
    """The one kind that takes all values; None: there is none."""
    if kinds == {"int", "float"}:
        return "float"
    return next(iter(kinds)) if len(kinds) == 1 and "other" not in kinds else None


def _shape(node: ast.expr, custom: frozenset[str]) -> _Shape:
    match node:
        case ast.Constant(value=None):
            return _Shape()
        case ast.Constant(value=str(text)):  # a forward reference
            return _shape(ast.parse(text.strip(), mode="eval").body, custom)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _either([_shape(left, custom), _shape(right, custom)])
        case ast.Subscript(value=base, slice=inner):
            arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _generic(_last_word(base), arguments, custom)
        case ast.Name(id=name) if name in custom:
            return _Shape(enums=(name,))
        case ast.Name() | ast.Attribute():
            return _plain(_last_word(node))
    return _OTHER


def _plain(word: str) -> _Shape:
    if word in ("None", "NoneType"):
        return _Shape()
    if word in _LISTS:
        return _Shape(frozenset({"other"}), is_list=True)
    if word in BUILT_IN_TYPES:
        return _Shape(frozenset({"str"}))
    return _Shape(frozenset({_PLAIN.get(word, "other")}))


def _generic(word: str, arguments: list[ast.expr], custom: frozenset[str]) -> _Shape:
    if word in _UNIONS:
        return _either([_shape(argument, custom) for argument in arguments])
    if word == "Annotated":
        return _shape(arguments[0], custom)
    if word == "Literal":
        return _Shape(frozenset({type(getattr(each, "value", ...)).__name__ for each in arguments} & {*_PLAIN} or {"other"}))
    if word in _LISTS:
        parts = [argument for argument in arguments if not (isinstance(argument, ast.Constant) and argument.value is ...)]
        return _either([_shape(part, custom) for part in parts])._replace(is_list=True)
    return _OTHER


def _either(shapes: list[_Shape]) -> _Shape:
    """Merge alternatives; it is a list if each of them is one, not counting None."""
    real = [shape for shape in shapes if shape != _Shape()]
    return _Shape(
        frozenset().union(*(shape.kinds for shape in real)),
        tuple(name for shape in real for name in shape.enums),
        bool(real) and all(shape.is_list for shape in real),
    )


def _last_word(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _value(text: Any) -> Any:
    """The value of a Python literal; a text that is none stays."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
