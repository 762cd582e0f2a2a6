"""The options of `qserver` and its help text.

Decides nothing: what the words mean is the matter of `jupyter_queueserver.cli`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ..client.target import ADDRESS_VARIABLE, DEFAULT_ADDRESS, ENCODING_VARIABLE, LOCK_KEY_VARIABLE
from . import outside
from .commands import commands
from .completion import SHELLS
from .output import FORMATS
from .shapes import usage_of

_EXAMPLES = """examples:
  qserver status
  qserver environment open
  qserver queue add plan '{"name": "count", "args": [["det1", "det2"]], "kwargs": {"num": 3}}'
  qserver queue add plan front '{"name": "count", "args": [["det1"]]}'
  qserver queue add plan before <uid> '{"name": "count", "args": [["det1"]]}'
  qserver queue add instruction queue-stop
  qserver queue item move back front
  qserver queue item remove -1
  qserver queue start
  qserver re pause immediate
  qserver history clear 100
  qserver queue update plan <uid> '{"name": "count", "args": [["det1"]]}'
  qserver queue mode set loop True
  qserver script upload my_plans.py background
  qserver lock environment "detector is being changed" -k my-key
  qserver manager stop safe on
  qserver monitor -a tcp://localhost:60615

An <item> of type plan is one Python dictionary in one word, with True, False and None; of type instruction it is queue-stop.
Negative numbers count from the back.  NO_COLOR in the environment: no colours.

The form of the first version of the interface, qserver -c COMMAND [-p PARAM]... [-a ADDR], works too: see qserver -c ping -h

exit status: 0 done; 1 invalid command or parameters, nothing sent; 2 refused by the manager, or wrong options; 3 no answer;
4 other error"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of options; the command words end up in ``words``."""
    made = argparse.ArgumentParser(
        prog="qserver",
        usage="qserver [options] <command> [<parameter> ...]",
        description="Talk to a running queue manager.",
        epilog=f"{_commands()}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    made.add_argument(
        "-a",
        "--zmq-control-addr",
        dest="address",
        metavar="ADDR",
        help=f"control socket of the manager; default: {ADDRESS_VARIABLE}, the instance, {DEFAULT_ADDRESS}",
    )
    made.add_argument("--address", dest="old_address", metavar="ADDR", help="deprecated spelling of -a")
    made.add_argument(
        "--zmq-encoding",
        metavar="{json,msgpack}",
        default=os.environ.get(ENCODING_VARIABLE) or "json",
        help=f"must match the server; default: {ENCODING_VARIABLE}, json",
    )
    made.add_argument(
        "-k",
        "--lock-key",
        metavar="KEY",
        default=os.environ.get(LOCK_KEY_VARIABLE) or None,
        help=f"key of the lock; others can see it in the list of processes, but not if it is in {LOCK_KEY_VARIABLE}",
    )
    made.add_argument(
        "--request-id",
        metavar="ID",
        help="id of the request; given again with the same command within 10 minutes, it is not done twice; default: a fresh one",
    )
    made.add_argument("--data-dir", metavar="DIR", help="data directory of the instance whose manager is meant")
    made.add_argument(
        "--format",
        choices=FORMATS,
        default="auto",
        help="table: for people; text: Python literals, for scripts; json: one line for each reply; default: auto, which is table"
        " on a terminal, else text",
    )
    made.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    made.add_argument("--completion", choices=SHELLS, help="print what this shell needs to complete the commands, and end")
    return made


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; prints the usage and raises ``SystemExit`` (status 2) when it is wrong."""
    made = parser()
    options = made.parse_intermixed_args(arguments)
    if not options.words and not options.completion:
        made.error("no command (see qserver -h)")
    return options


def _commands() -> str:
    lines = [f"  {command.words} {usage}".rstrip() for command in commands().values() for usage in usage_of(command)]
    own = [f"  {usage}" for usage in outside.usages()]
    return "\n".join(["commands:", "  monitor", *sorted(lines), "", "commands with options of their own (-h):", *own])
