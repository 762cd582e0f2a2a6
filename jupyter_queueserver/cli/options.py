"""The options of `qserver` and its help text.

Decides nothing: what the words mean is the matter of `jupyter_queueserver.cli`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ..api import methods
from .shapes import SHAPES, options_of

ENCODING_VARIABLE = "QSERVER_ZMQ_ENCODING"

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
  qserver manager stop safe on
  qserver monitor -a tcp://localhost:60615

An <item> of type plan is one Python dictionary in one word, with True, False and None; of type instruction it is queue-stop.
Negative numbers count from the back.

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
        help="control socket of the manager; default: QSERVER_ZMQ_CONTROL_ADDRESS, the instance, tcp://localhost:60615",
    )
    made.add_argument("--address", dest="old_address", metavar="ADDR", help="deprecated spelling of -a")
    made.add_argument(
        "--zmq-encoding",
        metavar="{json,msgpack}",
        default=os.environ.get(ENCODING_VARIABLE) or "json",
        help=f"must match the server; default: {ENCODING_VARIABLE}, json",
    )
    made.add_argument("-k", "--lock-key", metavar="KEY", help="key of the lock")
    made.add_argument("--data-dir", metavar="DIR", help="data directory of the instance whose manager is meant")
    made.add_argument("--json", action="store_true", help="print the whole reply as one line of JSON and nothing else")
    return made


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; prints the usage and raises ``SystemExit`` (status 2) when it is wrong."""
    made = parser()
    options = made.parse_intermixed_args(arguments)
    if not options.words:
        made.error("no command (see qserver -h)")
    return options


def _commands() -> str:
    lines = [
        f"  {method.words} {usage.replace('<option>', '|'.join(options_of(method)))}".rstrip()
        for method in methods().values()
        if method.words
        for usage in SHAPES[method.shape].usage
    ]
    return "\n".join(["commands:", "  monitor", *sorted(lines)])
