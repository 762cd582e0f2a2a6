"""Reads the type expressions of parameters (``typing.List[float] | None``) into type nodes.

The text is parsed with `ast` and never evaluated, so it may come from anywhere.  What is not known here is
not guessed: `TypeNotParsed` leaves the parameter to the worker.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from . import typenodes as tn
from .descriptions import BUILT_IN_TYPES, CUSTOM_TYPE_KEYS
from .typenodes import TypeNode

#: Longest type expression that is read, in characters, and the deepest nesting of types.
MAX_LENGTH, MAX_DEPTH = 10_000, 50


class TypeNotParsed(ValueError):
    """The expression is no type that is known here; the text says what is not understood."""


_SCALARS: Final[Mapping[str, TypeNode]] = {
    "int": tn.INT,
    "float": tn.FLOAT,
    "str": tn.STR,
    "typing.Text": tn.STR,
    "bool": tn.BOOL,
    "bytes": tn.BYTES,
    "complex": tn.COMPLEX,
    "object": tn.ANY,
    "typing.Any": tn.ANY,
    "None": tn.NONE,
    "NoneType": tn.NONE,
    "typing.Hashable": tn.HASHABLE,
    "typing.Callable": tn.CALLABLE,
    "collections.abc.Hashable": tn.HASHABLE,
    "collections.abc.Callable": tn.CALLABLE,
}

_LISTS: Final = ("list", "typing.List", "typing.Deque", "collections.deque")
_SEQUENCES: Final = ("Sequence", "MutableSequence", "Collection", "Iterable", "Container", "Reversible")
_SETS: Final = (
    "set",
    "frozenset",
    "typing.Set",
    "typing.FrozenSet",
    "typing.AbstractSet",
    "typing.MutableSet",
)
_DICTS: Final = ("dict", "typing.Dict", "typing.OrderedDict", "typing.DefaultDict", "collections.OrderedDict")
_MAPPINGS: Final = ("Mapping", "MutableMapping")
_TUPLES: Final = ("tuple", "typing.Tuple")
_NOT_ALONE: Final = ("typing.Optional", "typing.Literal", "typing.Annotated", "typing.Union")


def parse_type(
    text: str,
    custom: Mapping[str, Sequence[str]] | None = None,
    *,
    replaced: Mapping[str, TypeNode] | None = None,
) -> TypeNode:
    """Read a type expression.

    Parameters
    ----------
    text
        For example ``typing.Optional[int]``.
    custom
        Custom enum types that may occur in the text: name -> accepted strings. A custom type hides a built-in
        type of the same name. None means no such types.
    replaced
        Nodes to be used for some built-in type names such as ``__READABLE__``, which else accept any string.

    Raises
    ------
    TypeNotParsed
        The text is no expression, is too long or too deep, or contains a type that is not known here.
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise TypeNotParsed(f"a type expression is a string of at most {MAX_LENGTH} characters")
    return _Reader(custom or {}, replaced or {}).read_text(text, 0)


def custom_types(annotation: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Collect the custom enum types of an annotation: name -> accepted strings."""
    found: dict[str, Sequence[str]] = {}
    for key in CUSTOM_TYPE_KEYS:
        for name, listed in (annotation.get(key) or {}).items():
            found[name] = tuple(listed)
    return found


class _Reader:
    def __init__(self, custom: Mapping[str, Sequence[str]], replaced: Mapping[str, TypeNode]) -> None:
        self._custom = custom
        self._replaced = replaced
        generics: dict[str, Callable[[str, list[ast.expr], int], TypeNode]] = {}
        generics.update(dict.fromkeys(_LISTS, self._list))
        generics.update(dict.fromkeys(_SETS, self._set))
        generics.update(dict.fromkeys(_DICTS, self._dict))
        generics.update(dict.fromkeys(_TUPLES, self._tuple))
        for home in ("typing", "collections.abc"):
            generics.update({f"{home}.{name}": self._list for name in _SEQUENCES})
            generics.update({f"{home}.{name}": self._dict for name in _MAPPINGS})
            generics[f"{home}.Callable"] = lambda text, arguments, depth: tn.CALLABLE
        generics["collections.abc.Set"] = generics["collections.abc.MutableSet"] = self._set
        generics["typing.Optional"] = self._optional
        generics["typing.Union"] = self._union
        generics["typing.Literal"] = self._literal
        generics["typing.Annotated"] = self._annotated
        self._generics = generics

    def read_text(self, text: str, depth: int) -> TypeNode:
        try:
            return self.read(ast.parse(text.strip(), mode="eval").body, depth)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, TypeNotParsed):
                raise
            raise TypeNotParsed(f"{shortened(text)} is not a type expression ({error})") from error

    def read(self, node: ast.expr, depth: int) -> TypeNode:
        if depth > MAX_DEPTH:
            raise TypeNotParsed(f"types are nested more than {MAX_DEPTH} deep")
        match node:
            case ast.Constant(value=None):
                return tn.NONE
            case ast.Constant(value=str(text)):  # a forward reference
                return self.read_text(text, depth + 1)
            case ast.BinOp(op=ast.BitOr()):
                return tn.Alternatives([self.read(part, depth + 1) for part in _operands(node)])
            case ast.Subscript(value=base, slice=inner):
                return self._generic(node, _dotted(base), inner, depth)
            case ast.Name() | ast.Attribute():
                return self._plain(_dotted(node))
        raise TypeNotParsed(f"{shortened(_text(node))} is not a type that is known here")

    def _plain(self, name: str) -> TypeNode:
        if name in self._custom:
            return tn.Enumerated(name, self._custom[name])
        if name in self._replaced:
            return self._replaced[name]
        if name in BUILT_IN_TYPES:
            return tn.Scalar(f"a name ({name})", tn.STR.accepts)
        for full in (name, f"typing.{name}"):
            if full in _SCALARS:
                return _SCALARS[full]
            if full in self._generics and full not in _NOT_ALONE:
                return self._generics[full](name, [], 0)
        raise TypeNotParsed(f"{name!r} is not a type that is known here")

    def _generic(self, node: ast.expr, name: str, inner: ast.expr, depth: int) -> TypeNode:
        make = self._generics.get(name) or self._generics.get(f"typing.{name}")
        if make is None:
            raise TypeNotParsed(f"{name!r} is not a generic type that is known here")
        arguments = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
        if not arguments:  # the empty brackets of tuple[()], not a bare tuple
            if name not in (*_TUPLES, "Tuple"):
                raise TypeNotParsed(f"{shortened(_text(node))} has empty brackets")
            return tn.Positions(f"an empty list ({_text(node)})", [])
        return make(_text(node), arguments, depth + 1)

    def _list(self, text: str, arguments: list[ast.expr], depth: int) -> TypeNode:
        item = self._one(text, arguments, depth)
        iterable = "Iterable" in text.split("[")[0]
        return tn.Elements(f"a list ({text})", item, keys_too=iterable)

    def _set(self, text: str, arguments: list[ast.expr], depth: int) -> TypeNode:
        item = self._one(text, arguments, depth)
        kinds = (list, tuple, set, frozenset)
        return tn.Elements(f"a list of distinct values ({text})", item, unique=True, kinds=kinds)

    def _one(self, text: str, arguments: list[ast.expr], depth: int) -> TypeNode | None:
        if len(arguments) > 1:
            raise TypeNotParsed(f"{shortened(text)} has {len(arguments)} arguments instead of one")
        return self.read(arguments[0], depth) if arguments else None

    def _dict(self, text: str, arguments: list[ast.expr], depth: int) -> TypeNode:
        if not arguments:
            return tn.Entries(f"a dictionary ({text})", None, None)
        if len(arguments) != 2:
            raise TypeNotParsed(f"{shortened(text)} has {len(arguments)} arguments instead of two")
        key, item = (self.read(argument, depth) for argument in arguments)
        return tn.Entries(f"a dictionary ({text})", key, item)

    def _tuple(self, text: str, arguments: list[ast.expr], depth: int) -> TypeNode:
        if not arguments:
            return tn.Elements(f"a list ({text})", None)
        if len(arguments) == 2 and isinstance(arguments[1], ast.Constant) and arguments[1].value is Ellipsis:
            return tn.Elements(f"a list ({text})", self.read(arguments[0], depth))
        items = [self.read(argument, depth) for argument in arguments]
        return tn.Positions(f"a list of {len(items)} ({text})", items)

    def _optional(self, text: str, arguments: list[ast.expr], depth: int) -> TypeNode:
        item = self._one(text, arguments, depth)
        if item is None:
            raise TypeNotParsed(f"{shortened(text)} has no argument")
        return tn.Alternatives([item, tn.NONE])

    def _union(self, text: str, arguments: list[ast.expr], depth: int) -> TypeNode:
        if not arguments:
            raise TypeNotParsed(f"{shortened(text)} has no arguments")
        return tn.Alternatives([self.read(argument, depth) for argument in arguments])

    def _annotated(self, text: str, arguments: list[ast.expr], depth: int) -> TypeNode:
        return self.read(arguments[0], depth)

    def _literal(self, text: str, arguments: list[ast.expr], depth: int) -> TypeNode:
        try:
            return tn.Literals([ast.literal_eval(argument) for argument in arguments])
        except (ValueError, TypeError, RecursionError) as error:
            raise TypeNotParsed(f"{shortened(text)} lists something that is not a literal") from error


def _operands(node: ast.expr) -> list[ast.expr]:
    """Flatten ``a | b | c``, which is nested to the left and may be long."""
    operands: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        operands.append(node.right)
        node = node.left
    return [node, *reversed(operands)]


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise TypeNotParsed(f"{shortened(_text(node))} is not a type that is known here")
    return ".".join([node.id, *reversed(parts)])


def _text(node: ast.expr) -> str:
    try:
        return ast.unparse(node)
    except RecursionError:
        return "..."


def shortened(text: str, limit: int = 200) -> str:
    """Return a text of bounded length for a message.

    Parameters
    ----------
    limit
        Longest result, in characters.
    """
    return text if len(text) <= limit else f"{text[: limit - 5]} ..."
