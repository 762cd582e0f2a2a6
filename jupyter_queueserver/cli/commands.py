"""The commands of `qserver`: found by their words, made from the declarations.

Says what is called with which parameters; sends nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ..api import Method, methods
from .shapes import SHAPES, Command, CommandError

#: The only command that is no method: the status again and again.
MONITOR = "monitor"


def commands() -> Mapping[str, Command]:
    """Return all commands by their words."""
    return {words: Command(words, shape, method) for method in methods().values() for words, shape in method.commands}


def read_command(words: Sequence[str], lock_key: str | None = None) -> tuple[Method, dict[str, Any]]:
    """Turn command words into a method and its parameters; raises `CommandError`."""
    if lock_key == "":
        raise CommandError("the lock key must not be empty")
    command = find_command(words)
    if command is None:
        raise _unknown(words)
    params = SHAPES[command.shape].read(words[len(command.words.split()) :], command)
    if lock_key is not None and "lock_key" in command.method.parameter_names:
        params["lock_key"] = lock_key
    return command.method, params


def find_command(words: Sequence[str]) -> Command | None:
    """Return the longest command that the words begin with; None: there is none."""
    known = {tuple(command.words.split()): command for command in commands().values()}
    lengths = range(len(words), 0, -1)
    return next((known[found] for length in lengths if (found := tuple(words[:length])) in known), None)


def _unknown(words: Sequence[str]) -> CommandError:
    given = " ".join(words)
    known = [*commands(), MONITOR]
    similar = difflib.get_close_matches(given, known, n=3, cutoff=0.5) or sorted(
        each for each in known if each.split()[0] == words[0]
    )
    advice = f"; did you mean: {', '.join(similar)}?" if similar else "; see qserver -h"
    return CommandError(f"unknown command '{given}'{advice}")
