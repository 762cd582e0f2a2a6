"""How the words behind a command become parameters: one small reader for each shape that a declaration may name.

Literals are read by `ast.literal_eval` and nothing else; no word is ever evaluated.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..api import Method

_INTEGER = re.compile(r"[+-]?\d+")
_ENDS = ("front", "back")
_INSTRUCTIONS = {"queue-stop": "queue_stop"}


class CommandError(Exception):
    """Words that are no command; nothing was sent."""


class Shape(NamedTuple):
    """How the further words of a command are read.

    Attributes
    ----------
    usage
        What may stand there, line by line, for the help text.
    read
        From (words, method) to the parameters; raises `CommandError`.
    """

    usage: tuple[str, ...]
    read: Callable[[Sequence[str], Method], dict[str, Any]]


def literal(text: str) -> Any:
    """Read a Python literal that the wire can carry; raises `CommandError`."""
    try:
        value = ast.literal_eval(text.strip())
        json.dumps(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as err:
        raise CommandError(
            f"{text!r} is no Python literal of strings, numbers, lists and dictionaries ({err}); note True, False and None"
        ) from err
    return value


def literal_dict(text: str) -> dict[str, Any]:
    """Read a dictionary; raises `CommandError`."""
    value = literal(text)
    if not isinstance(value, dict):
        raise CommandError(f"a dictionary is expected, not {text!r}")
    return value


def position(word: str) -> int | str | None:
    """Return ``front``, ``back`` or the integer; None: it is none of these."""
    if word in _ENDS:
        return word
    return int(word) if _INTEGER.fullmatch(word) else None


def item(kind: str, text: str) -> dict[str, Any]:
    """Make an item of its type and the last word; raises `CommandError`."""
    if kind == "plan":
        return literal_dict(text) | {"item_type": "plan"}
    if kind == "instruction":
        if text not in _INSTRUCTIONS:
            raise CommandError(f"unknown instruction {text!r}, known: {', '.join(_INSTRUCTIONS)}")
        return {"item_type": "instruction", "name": _INSTRUCTIONS[text]}
    raise CommandError(f"item type must be 'plan' or 'instruction', not {kind!r}")


def _none(words: Sequence[str], method: Method) -> dict[str, Any]:
    if words and method.name != "history_get":  # which has always ignored them
        raise CommandError(f"superfluous words behind '{method.words}': {' '.join(words)}")
    return {}


def _placed_item(words: Sequence[str], method: Method) -> dict[str, Any]:
    match words:
        case [kind, text]:
            place: dict[str, Any] = {}
        case [kind, ("before" | "after") as side, uid, text]:
            place = {f"{side}_uid": uid}
        case [kind, where, text]:
            place = {"pos": position(where)}
            if place["pos"] is None:
                raise CommandError(f"place must be 'front', 'back', an integer, 'before <uid>' or 'after <uid>', not {where!r}")
        case _:
            raise CommandError(f"'{method.words}' needs: {' or: '.join(PLACED_ITEM)}")
    return {"item": item(kind, text)} | place


def _source(word: str) -> dict[str, Any]:
    where = position(word)
    return {"uid": word} if where is None else {"pos": where}


def _address(words: Sequence[str], method: Method) -> dict[str, Any]:
    match words:
        case []:
            return {}
        case [word]:
            return _source(word)
    raise CommandError(f"'{method.words}' takes one place or uid, not {len(words)} words")


def _move(words: Sequence[str], method: Method) -> dict[str, Any]:
    match words:
        case [source, ("before" | "after") as side, uid]:
            return _source(source) | {f"{side}_uid": uid}
        case [source, destination] if (where := position(destination)) is not None:
            return _source(source) | {"pos_dest": where}
    raise CommandError(f"'{method.words}' needs: {MOVE[0]}")


def options_of(method: Method) -> tuple[str, ...]:
    """Return the values of the parameter ``option``, the default first; empty without such a parameter."""
    for parameter in method.parameters:
        if parameter.name == "option":
            allowed = ast.literal_eval(parameter.annotation.removeprefix("Literal"))
            return tuple(sorted(allowed, key=lambda value: value != parameter.default))
    return ()


def _option(words: Sequence[str], method: Method) -> dict[str, Any]:
    allowed = options_of(method)
    match words:
        case []:
            return {"option": allowed[0]}
        case [word] if word in allowed:
            return {"option": word}
    raise CommandError(f"'{method.words}' takes one of {', '.join(allowed)}, not {' '.join(words)!r}")


def _size_or_uid(words: Sequence[str], method: Method) -> dict[str, Any]:
    match words:
        case []:
            return {}
        case [word]:
            return {"size": int(word)} if _INTEGER.fullmatch(word) else {"item_uid": word}
    raise CommandError(f"'{method.words}' takes one number or uid, not {len(words)} words")


def _safe(words: Sequence[str], method: Method) -> dict[str, Any]:
    match words:
        case []:
            return {}
        case ["safe", ("on" | "off") as state]:
            return {"option": f"safe_{state}"}
    raise CommandError(f"'{method.words}' takes 'safe on' or 'safe off', not {' '.join(words)!r}")


PLACED_ITEM = (
    "plan|instruction <item>",
    "plan|instruction front|back|<int> <item>",
    "plan|instruction before|after <uid> <item>",
)
MOVE = ("front|back|<int>|<uid> front|back|<int>|before <uid>|after <uid>",)

#: name of a shape in a declaration -> how it is read
SHAPES: Mapping[str, Shape] = {
    "none": Shape(("",), _none),
    "placed_item": Shape(PLACED_ITEM, _placed_item),
    "address": Shape(("[front|back|<int>|<uid>]",), _address),
    "move": Shape(MOVE, _move),
    "option": Shape(("[<option>]",), _option),
    "size_or_uid": Shape(("[<int>|<uid>]",), _size_or_uid),
    "safe": Shape(("[safe on|off]",), _safe),
}
