"""How the words behind a command become parameters: one small reader for each shape that a declaration may name.

Literals are read by `ast.literal_eval` and nothing else; no word is ever evaluated.

The shapes: ``none``, ``option``, ``address``, ``move``, ``placed_item`` (queue add), ``execute_item`` (queue execute),
``update_item`` (queue update), ``replace_item`` (queue replace), ``size_or_uid`` (history clear), ``mode`` (queue mode set),
``on_off`` (queue autostart), ``background`` (environment update), ``permissions_reload``, ``yaml_file`` (permissions set),
``function`` (function execute), ``script`` (script upload), ``uid`` (task result, task status), ``interrupt`` (kernel
interrupt), ``lock`` (lock), ``unlock``, ``uids`` (queue item confirm), ``confirm_returned`` (queue start)
and ``safe`` (manager stop).  ``lock info`` and ``manager kill test`` are ``none``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..api import Method

#: What Python calls the constants of JSON.
_CONSTANTS = {"true": "True", "false": "False", "null": "None"}
_INTEGER = re.compile(r"[+-]?\d+")
_ENDS = ("front", "back")
_INSTRUCTIONS = {"queue-stop": "queue_stop"}


class CommandError(Exception):
    """Words that are no command; nothing was sent."""


class Command(NamedTuple):
    """One command of the command line.

    Attributes
    ----------
    words
        What it begins with, e.g. ``queue item add``.
    shape
        Name of the shape of its further words.
    method
        What is called.
    """

    words: str
    shape: str
    method: Method


class Shape(NamedTuple):
    """How the further words of a command are read.

    Attributes
    ----------
    usage
        What may stand there, line by line: the help text, and what shell completion offers (`completion.next_words`).
        ``a|b`` are words, ``<name>`` stands for any word, ``[...]`` may be left out, ``...`` may be repeated.
    read
        From the further words to the parameters; raises `CommandError`.
    """

    usage: tuple[str, ...]
    read: Callable[[Sequence[str], Command], dict[str, Any]]


def usage_of(command: Command) -> tuple[str, ...]:
    """Return what may follow the words of the command, line by line."""
    options = "|".join(options_of(command.method))
    return tuple(line.replace("<option>", options) for line in SHAPES[command.shape].usage)


def options_of(method: Method) -> tuple[str, ...]:
    """Return the values of the parameter ``option``, the default first; empty without such a parameter."""
    for parameter in method.parameters:
        if parameter.name == "option":
            allowed = ast.literal_eval(parameter.annotation.removeprefix("Literal"))
            return tuple(sorted(allowed, key=lambda value: value != parameter.default))
    return ()


def literal(text: str) -> Any:
    """Read a Python literal that the wire can carry; raises `CommandError`."""
    try:
        value = ast.literal_eval(text.strip())
        json.dumps(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as err:
        raise CommandError(
            f"{text!r} is no Python literal of strings, numbers, lists and dictionaries: {_why(text, err)}"
        ) from err
    return value


def _why(text: str, err: Exception) -> str:
    """Say what is wrong with a literal, in the words of who has typed it."""
    if isinstance(err, SyntaxError):
        return err.msg
    if isinstance(err, MemoryError | RecursionError):
        return "it is nested too deeply"
    try:
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return str(err)
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    if names:
        name = names[0]
        return f"write {_CONSTANTS[name]}, not {name}" if name in _CONSTANTS else f"the text {name} needs quotes"
    return "only values may stand there, nothing to compute" if "malformed node" in str(err) else str(err)


def about_literals(params: Mapping[str, Any]) -> str:
    """Say what may have been meant by a value of a mode that was sent as text, because it is no literal; empty: nothing."""
    mode = params.get("mode")
    for key, value in mode.items() if isinstance(mode, dict) else ():
        if isinstance(value, str) and (meant := _CONSTANTS.get(value.lower())):
            return f"'{key}' was sent as the text '{value}'; for qserver write {meant}, as in Python: {key} {meant}"
    return ""


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


def _needs(words: Sequence[str], command: Command) -> CommandError:
    """Make the error that says what the command takes."""
    forms = " or: ".join(f"{command.words} {line}".rstrip() for line in usage_of(command))
    given = " ".join(words)
    return CommandError(f"'{command.words}' does not take {given!r}; use: {forms}" if given else f"use: {forms}")


def _none(words: Sequence[str], command: Command) -> dict[str, Any]:
    if words and command.method.name != "history_get":  # which has always ignored them
        raise CommandError(f"superfluous words behind '{command.words}': {' '.join(words)}")
    return {}


def _placed_item(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case [_, where] if position(where) is not None:
            raise CommandError(f"the item is missing behind {where!r}; {_needs((), command)}")
        case [_, "before" | "after", _]:
            raise _needs(words, command)
        case [kind, text]:
            place: dict[str, Any] = {}
        case [kind, ("before" | "after") as side, uid, text]:
            place = {f"{side}_uid": uid}
        case [kind, where, text]:
            place = {"pos": position(where)}
            if place["pos"] is None:
                raise CommandError(f"place must be 'front', 'back', an integer, 'before <uid>' or 'after <uid>', not {where!r}")
        case _:
            raise _needs(words, command)
    return {"item": item(kind, text)} | place


def _executed_item(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case [kind, text]:
            return {"item": item(kind, text)}
    raise _needs(words, command)


def _changed_item(replace: bool) -> Callable[[Sequence[str], Command], dict[str, Any]]:
    def read(words: Sequence[str], command: Command) -> dict[str, Any]:
        match words:
            case [kind, uid, text]:
                return {"item": item(kind, text) | {"item_uid": uid}, "replace": replace}
        raise _needs(words, command)

    return read


def _source(word: str) -> dict[str, Any]:
    where = position(word)
    return {"uid": word} if where is None else {"pos": where}


def _address(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case []:
            return {}
        case [word]:
            return _source(word)
    raise _needs(words, command)


def _move(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case [source, ("before" | "after") as side, uid]:
            return _source(source) | {f"{side}_uid": uid}
        case [source, destination] if (where := position(destination)) is not None:
            return _source(source) | {"pos_dest": where}
    raise _needs(words, command)


def _option(words: Sequence[str], command: Command) -> dict[str, Any]:
    allowed = options_of(command.method)
    match words:
        case []:  # what changes something is named also if it is the default, as existing servers' logs have it
            return {"option": allowed[0]} if command.method.kind == "write" else {}
        case [word] if word in allowed:
            return {"option": word}
    raise _needs(words, command)


def _size_or_uid(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case []:
            return {}
        case [word]:
            return {"size": int(word)} if _INTEGER.fullmatch(word) else {"item_uid": word}
    raise _needs(words, command)


def _mode(words: Sequence[str], command: Command) -> dict[str, Any]:
    if len(words) % 2:
        raise _needs(words, command)
    return {"mode": {key: _literal_or_text(value) for key, value in zip(words[::2], words[1::2], strict=True)}}


def _literal_or_text(word: str) -> Any:
    """Whether the value is a good one is said by the manager."""
    try:
        return literal(word)
    except CommandError:
        return word


def _on_off(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case [("enable" | "disable") as word]:
            return {"enable": word == "enable"}
    raise _needs(words, command)


def _flags(words: Sequence[str], command: Command, known: Sequence[str]) -> set[str]:
    """Return which of the known words are there, in any order."""
    if set(words) - set(known):
        raise _needs(words, command)
    return set(words)


def _flag(words: Sequence[str], command: Command, known: str) -> bool:
    """Return whether the word is there."""
    if words and list(words) != [known]:
        raise _needs(words, command)
    return bool(words)


def _background(words: Sequence[str], command: Command) -> dict[str, Any]:
    return {"run_in_background": True} if _flag(words, command, "background") else {}


def _permissions_reload(words: Sequence[str], command: Command) -> dict[str, Any]:
    return {"restore_plans_devices": True} if _flag(words, command, "lists") else {}


def _yaml_file(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case [name]:
            return {"user_group_permissions": _yaml(name)}
    raise _needs(words, command)


def _yaml(name: str) -> Any:
    import yaml  # not for the commands that need none

    try:
        value = yaml.safe_load(_text(name))
        json.dumps(value)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as err:
        raise CommandError(f"file {name!r} is no YAML of texts, numbers, lists and mappings: {err}") from err
    return value


def _text(name: str) -> str:
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as err:
        raise CommandError(f"file {name!r} cannot be read: {err}") from err


def _function(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case [text, *flags]:
            background = _flag(flags, command, "background")
            return {"item": literal_dict(text) | {"item_type": "function"}, "run_in_background": background}
    raise _needs(words, command)


def _script(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case [name, *flags]:
            given = _flags(flags, command, ["background", "update-re", "keep-lists"])
            return {
                "script": _text(name),
                "run_in_background": "background" in given,
                "update_re": "update-re" in given,
                "update_lists": "keep-lists" not in given,
                "lock_key": None,
            }
    raise _needs(words, command)


def _uid(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case [uid]:
            return {"task_uid": uid}
    raise _needs(words, command)


def _interrupt(words: Sequence[str], command: Command) -> dict[str, Any]:
    return {f"interrupt_{word}": True for word in sorted(_flags(words, command, ["task", "plan"]))}


def _lock(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case [("environment" | "queue" | "all") as what, *note] if len(note) <= 1:
            scopes = ("environment", "queue") if what == "all" else (what,)
            return dict.fromkeys(scopes, True) | ({"note": note[0]} if note else {})
    raise _needs(words, command)


def _safe(words: Sequence[str], command: Command) -> dict[str, Any]:
    match words:
        case []:
            return {}
        case ["safe", ("on" | "off") as state]:
            return {"option": f"safe_{state}"}
    raise _needs(words, command)


def _uids(words: Sequence[str], command: Command) -> dict[str, Any]:
    if not words:
        raise _needs(words, command)
    return {"uids": list(words)}


def _confirm_returned(words: Sequence[str], command: Command) -> dict[str, Any]:
    return {"confirm_returned": True} if _flag(words, command, "confirm") else {}


_CHANGED_ITEM = ("plan <uid> <item>", "instruction <uid> queue-stop")
_PLACED_ITEM = (
    "plan [front|back|<int>] <item>",
    "plan before|after <uid> <item>",
    "instruction [front|back|<int>] queue-stop",
    "instruction before|after <uid> queue-stop",
)
_MOVE = ("front|back|<int>|<uid> front|back|<int>", "front|back|<int>|<uid> before|after <uid>")

#: name of a shape in a declaration -> how it is read
SHAPES: Mapping[str, Shape] = {
    "none": Shape(("",), _none),
    "placed_item": Shape(_PLACED_ITEM, _placed_item),
    "execute_item": Shape(("plan <item>", "instruction queue-stop"), _executed_item),
    "update_item": Shape(_CHANGED_ITEM, _changed_item(replace=False)),
    "replace_item": Shape(_CHANGED_ITEM, _changed_item(replace=True)),
    "address": Shape(("[front|back|<int>|<uid>]",), _address),
    "move": Shape(_MOVE, _move),
    "option": Shape(("[<option>]",), _option),
    "size_or_uid": Shape(("[<int>|<uid>]",), _size_or_uid),
    "mode": Shape(("[loop|ignore_failures True|False]...",), _mode),
    "on_off": Shape(("enable|disable",), _on_off),
    "background": Shape(("[background]",), _background),
    "permissions_reload": Shape(("[lists]",), _permissions_reload),
    "yaml_file": Shape(("<file>",), _yaml_file),
    "function": Shape(("<item> [background]",), _function),
    "script": Shape(("<file> [background|update-re|keep-lists]...",), _script),
    "uid": Shape(("<uid>",), _uid),
    "interrupt": Shape(("[task|plan]...",), _interrupt),
    "lock": Shape(("environment|queue|all [<note>]",), _lock),
    "unlock": Shape(("",), _none),  # the key is an option
    "uids": Shape(("<uid>...",), _uids),
    "confirm_returned": Shape(("[confirm]",), _confirm_returned),
    "safe": Shape(("[safe on|off]",), _safe),
}
