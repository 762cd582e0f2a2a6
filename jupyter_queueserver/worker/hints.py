"""Turns type hints of plans into type expressions that can be read elsewhere.

A hint that cannot be expressed (a class of the user's own code, a type variable) is not guessed at:
`HintNotExpressible` says why, and the parameter stays without annotation.
"""

from __future__ import annotations

import builtins
import collections.abc
import importlib
import types
import typing
from collections.abc import Callable
from typing import Any

from bluesky import protocols

_BY_PROTOCOL: dict[Any, str] = {
    protocols.Readable: "__READABLE__",
    protocols.Movable: "__MOVABLE__",
    protocols.Flyable: "__FLYABLE__",
    collections.abc.Callable: "__CALLABLE__",
    typing.Callable: "__CALLABLE__",
}
# The names of the interface first; the others would make a parameter that no client could ever fill in.
_DEVICE_PROTOCOLS = (
    "Configurable Triggerable Locatable Stageable Pausable Stoppable Subscribable Checkable "
    "Preparable Collectable EventCollectable EventPageCollectable HasName HasHints HasParent "
    "WritesExternalAssets WritesStreamAssets"
)
for _name in _DEVICE_PROTOCOLS.split():
    if hasattr(protocols, _name):
        _BY_PROTOCOL[getattr(protocols, _name)] = "__DEVICE__"
if hasattr(protocols, "NamedMovable"):
    _BY_PROTOCOL[protocols.NamedMovable] = "__MOVABLE__"

_ROOTS = ("typing", "collections", "enum", "bluesky")


class HintNotExpressible(Exception):
    """The hint has no text that would be understood elsewhere; the text says which part."""


def resolve_hint(hint: Any, namespace: dict[str, Any]) -> Any:
    """Return a hint with forward references (hints written as text) resolved in the function's own globals.

    Raises
    ------
    HintNotExpressible
        A name in it does not exist.
    """
    holder = types.SimpleNamespace(__annotations__={"hint": hint})
    try:
        return typing.get_type_hints(holder, globalns=namespace, include_extras=True)["hint"]
    except Exception as error:  # boundary: a hint is any code of the user; the reason goes into the report
        raise HintNotExpressible(f"cannot be resolved: {type(error).__name__}: {error}") from error


def hint_text(hint: Any) -> str:
    """Return the type expression of a resolved hint.

    Raises
    ------
    HintNotExpressible
        A part of the hint cannot be expressed.
    """
    if hint is None:
        return "None"
    if hint is types.NoneType:
        return "NoneType"
    return _text(hint)


def _text(hint: Any) -> str:
    origin = typing.get_origin(hint)
    named = _protocol_name(hint) or _protocol_name(origin)
    if named is not None:
        return named
    if hint is typing.Any:
        return "typing.Any"
    if hint is None or hint is types.NoneType:
        return "None"
    if hint is collections.abc.Iterable:
        return "collections.abc.Iterable[typing.Any]"
    if origin is None or not typing.get_args(hint):
        return _plain(hint)
    return _generic(hint, origin, typing.get_args(hint))


def _protocol_name(hint: Any) -> str | None:
    try:
        return _BY_PROTOCOL.get(hint)
    except TypeError:  # not hashable, so no class
        return None


def _generic(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> str:
    if isinstance(hint, types.UnionType):
        return " | ".join(_distinct(map(_text, arguments)))
    if origin is typing.Union:
        return _union(arguments)
    if origin is typing.Literal:
        return f"typing.Literal[{', '.join(map(_literal, arguments))}]"
    if origin is typing.Annotated:
        return _text(arguments[0])  # what is noted beside a type does not change the type
    inner = ", ".join("..." if argument is Ellipsis else _text(argument) for argument in arguments)
    return f"{_generic_name(hint, origin)}[{inner}]"


def _union(arguments: tuple[Any, ...]) -> str:
    texts = _distinct(_text(argument) for argument in arguments if argument is not types.NoneType)
    optional = types.NoneType in arguments
    inner = texts[0] if len(texts) == 1 else f"typing.Union[{', '.join(texts + ['None'] * optional)}]"
    return f"typing.Optional[{inner}]" if optional and len(texts) == 1 else inner


def _distinct(texts: typing.Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _literal(value: Any) -> str:
    if value is None or type(value) in (str, int, bool, bytes):
        return repr(value)
    raise HintNotExpressible(f"{value!r} in Literal is no plain literal")


def _generic_name(hint: Any, origin: Any) -> str:
    if isinstance(hint, types.GenericAlias):
        return _plain(origin)
    name = getattr(hint, "_name", None) or getattr(origin, "_name", None)
    if name and getattr(typing, name, None) is not None:
        return f"typing.{name}"
    return _plain(origin)


def _plain(hint: Any) -> str:
    """Return the name of a class that is found again under this name, else refuse."""
    if isinstance(hint, type):
        module, name = hint.__module__, hint.__qualname__
        if module == "builtins" and getattr(builtins, name, None) is hint:
            return name
    else:
        module, name = getattr(hint, "__module__", ""), getattr(hint, "_name", None) or ""
    if name and str(module).split(".")[0] in _ROOTS and _found_again(str(module), name) is hint:
        return f"{module}.{name}"
    raise HintNotExpressible(f"{hint!r} is not known outside of the startup code")


def _found_again(module: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def hint_namespace(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the globals in which the text hints of a function are meant."""
    found = getattr(function, "__globals__", None)
    return found if isinstance(found, dict) else {}
