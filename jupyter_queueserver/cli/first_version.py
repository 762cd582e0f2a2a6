"""``qserver -c COMMAND [-p PARAM]... [-a ADDRESS]``: the command line of the first version of the interface.

Commands, their parameters and what they mean today come from `jupyter_queueserver.api.first_version`; how a request is sent and
answered is the matter of `jupyter_queueserver.cli.program`.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
from collections.abc import Sequence
from typing import Any

from ..api import Method
from ..api.first_version import COMMANDS, Command, modern_params
from ..client.errors import CommunicationError
from ..client.target import ENCODING_VARIABLE
from ..core.addresses import FIRST_VERSION_CONTROL
from ..core.errors import QueueServerError
from .commands import MONITOR
from .options import parser
from .shapes import CommandError, literal_dict, options_of, position

_EXAMPLES = """examples:
  qserver -c ping
  qserver -c queue_plan_add -p '{"name": "count", "args": [["det1", "det2"]]}'
  qserver -c queue_plan_add -p front '{"name": "count", "args": [["det1", "det2"]]}'
  qserver -c queue_plan_add -p -1 '{"name": "count", "args": [["det1", "det2"]]}'
  qserver -c re_pause -p deferred
  qserver -c monitor -a tcp://localhost:5555

A plan is one JSON object, or one Python dictionary, in one word. -1 adds before the last plan of the queue."""


def is_meant(arguments: Sequence[str]) -> bool:
    """Whether a command line is of the first version: only there is an option ``-c``."""
    return any(word.startswith("-c") for word in arguments)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; prints the usage and raises ``SystemExit`` (status 2) when it is wrong.

    Returns
    -------
    argparse.Namespace
        As `options.parse`, with the command and its parameters as ``words``, and ``command``.
    """
    made = make_parser()
    options = made.parse_intermixed_args(arguments)
    if options.words:
        made.error(f"parameters of -c stand behind -p: {' '.join(options.words)}")
    if len(options.commands) > 1:
        made.error(f"one command at a time: {', '.join(options.commands)}")
    options.command = options.commands[0]
    options.words = [options.command.replace("-", "_"), *options.params]
    options.is_default = not (options.address or options.old_address or options.data_dir)
    if options.is_default:
        options.address = FIRST_VERSION_CONTROL
    # The first version's own address has never spoken anything else than JSON.
    variable = None if options.is_default else os.environ.get(ENCODING_VARIABLE)
    options.zmq_encoding = options.zmq_encoding or variable or "json"
    return options


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of such a command line."""
    made = parser()
    made.usage = "qserver -c COMMAND [-p PARAM]... [-a ADDR]"
    made.description = "Talk to a running queue manager in the form of the first version of the interface."
    made.epilog = f"{_commands()}\n\n{_EXAMPLES}"
    command = made.add_argument("-c", dest="commands", action="append", metavar="COMMAND", required=True, help="what to do")
    command.completer = lambda **_: [*COMMANDS, MONITOR]  # type: ignore[attr-defined]  # where argcomplete looks for it
    made.add_argument(
        "-p", dest="params", metavar="PARAM", nargs="+", action="extend", default=[], help="parameters of the command, in order"
    )
    made.set_defaults(zmq_encoding=None)
    return made


def read_command(words: Sequence[str], lock_key: str | None = None) -> tuple[Method, dict[str, Any]]:
    """Turn a command and its parameters into a method and its parameters; raises `CommandError`."""
    if lock_key == "":
        raise CommandError("the lock key must not be empty")
    if words[0] == MONITOR:
        raise CommandError(f"'{MONITOR}' takes no parameters; use: -c {MONITOR}")
    command = COMMANDS.get(words[0])
    if command is None:
        similar = difflib.get_close_matches(words[0], [*COMMANDS, MONITOR], n=3, cutoff=0.5)
        advice = f"did you mean: {', '.join(similar)}?" if similar else "see qserver -c ping -h"
        raise CommandError(f"unknown command '{words[0]}'; {advice}")
    given = _read_params(command, words[1:])
    if lock_key is not None and "lock_key" in command.names:
        given["lock_key"] = lock_key
    try:
        return command.modern, modern_params(command, given)
    except QueueServerError as err:
        raise CommandError(err.msg) from err


def _read_params(command: Command, words: Sequence[str]) -> dict[str, Any]:
    """The keys that may be left out stand first: fewer words are the last keys."""
    keys = list(command.keys)
    if not len(command.required) <= len(words) <= len(keys):
        raise CommandError(f"'{command.name}' does not take {len(words)} parameters; use: {_usage(command)}")
    if words and keys[-1] == "plan" and position(words[-1]) is not None:
        raise CommandError(f"the plan is missing behind {words[-1]!r}; use: {_usage(command)}")
    return {key: _read_param(command, key, word) for key, word in zip(keys[len(keys) - len(words) :], words, strict=True)}


def _read_param(command: Command, key: str, word: str) -> Any:
    if key == "plan":
        return _plan(word)
    if key == "pos":
        place = position(word)
        if place is None:
            raise CommandError(f"the place must be 'front', 'back' or an integer, not {word!r}")
        return place
    allowed = options_of(command.modern)
    if word not in allowed:
        raise CommandError(f"'{command.name}' takes one of {', '.join(allowed)}, not {word!r}")
    return word


def _plan(word: str) -> dict[str, Any]:
    try:
        plan = json.loads(word)
    except (ValueError, RecursionError):
        return literal_dict(word)
    if not isinstance(plan, dict):
        raise CommandError(f"a plan in braces is expected, not {word!r}")
    return plan


def explained(err: CommunicationError, options: argparse.Namespace) -> CommunicationError:
    """Return the error, with what is easily forgotten if nobody was found at the first version's own address."""
    if "command" in options and options.is_default and options.words[0] != "test_manager_kill":
        advice = "With -c the address is that of the first version: use `start-re-manager --legacy`, or give an address with -a."
        err.args = (f"{err} {advice}",)
    return err


def _usage(command: Command) -> str:
    words = {"pos": "front|back|<int>", "plan": "'{<plan>}'", "option": "|".join(options_of(command.modern))}
    shown = [words[key] if key in command.required else f"[{words[key]}]" for key in command.keys]
    return " ".join([f"-c {command.name}", *(["-p", *shown] if shown else [])])


def _commands() -> str:
    return "\n".join(["commands:", f"  -c {MONITOR}", *(f"  {_usage(command)}" for command in COMMANDS.values())])
