"""The command line of `start-re-manager`: its parser, and what is said about words that it does not know.

Words only: what they mean together with configuration file and environment is the matter of `options`.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any

from .option_table import OPTIONS, REMOVED, Option

#: Flags that are no rows of the table.
_OTHER_FLAGS = (
    "--config",
    "--data-dir",
    "--private",
    "--allow-remote",
    "--detach",
    "--take-over",
    "--verbose",
    "--quiet",
    "--silent",
    "--keep-re",
)


def parse_words(arguments: Sequence[str]) -> dict[str, Any]:
    """Read the command line; what is not given is None (flags: False).

    Raises
    ------
    SystemExit
        Usage error (status 2, text on stderr) or ``--help`` (status 0).
    """
    parser = make_parser()
    found, strange = parser.parse_known_args(list(arguments))
    if strange:
        parser.error(_about_strange(strange))
    given = vars(found)
    if given["private"] and (given["zmq_control_addr"] or given["zmq_info_addr"] or given["zmq_legacy_addr"]):
        parser.error("--private means no TCP address at all: leave --zmq-control-addr, --zmq-info-addr and --legacy out")
    return given


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        prog="start-re-manager",
        allow_abbrev=False,
        description="Start the queue manager and watch over it. Without options: simulated devices, plans.",
    )
    parser.add_argument("--config", metavar="PATH", help="YAML file with options (environment: QSERVER_CONFIG)")
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the instance")
    parser.add_argument("--private", action="store_true", help="no TCP sockets, only the private Unix socket")
    parser.add_argument("--allow-remote", action="store_true", default=None, help="allow TCP beyond loopback without a key")
    parser.add_argument(
        "--take-over", action="store_true", default=None, help="give up an environment that is open on another machine (Redis)"
    )
    parser.add_argument("--detach", action="store_true", help="go on in the background once the manager is ready")
    sources = parser.add_mutually_exclusive_group()
    for option in OPTIONS:
        if option.flags:
            _add(sources if option.is_source else parser, option)
    levels = parser.add_mutually_exclusive_group()
    for word in ("verbose", "quiet", "silent"):
        levels.add_argument(f"--{word}", dest="log_level", action="store_const", const=word.upper(), help=f"log level {word}")
    parser.add_argument("--keep-re", action="store_true", default=None, help="deprecated: it is always kept")
    parser.add_argument("--adopt", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--secrets-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--without-pidfd", dest="use_pidfd", action="store_false", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--silence-limit", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--manager-program", help=argparse.SUPPRESS)
    return parser


def _add(group: argparse._ActionsContainer, option: Option) -> None:
    settings: dict[str, Any] = {"dest": option.name, "help": option.help}
    if option.type is bool:
        settings |= {"choices": ["ON", "OFF"]}
    elif option.choices:
        settings |= {"choices": option.choices}
    elif option.type is int:
        settings |= {"type": int, "metavar": "N"}
    elif option.type is tuple:
        settings |= {"nargs": "+", "metavar": option.metavar}
    else:
        settings |= {"metavar": option.metavar}
    if option.bare:
        settings |= {"nargs": "?", "const": option.bare}
    group.add_argument(*option.flags, **settings)


def _about_strange(words: Sequence[str]) -> str:
    """One sentence for each unknown option, with what may have been meant."""
    names = [word.partition("=")[0] for word in words if word.startswith("-") and word != "-"]
    if not names:
        return f"unexpected words: {' '.join(words)}"
    return "; ".join(dict.fromkeys(map(_about, names)))


def _about(name: str) -> str:
    if name in REMOVED:
        return f"the option {name} was removed: {REMOVED[name]}"
    flags = [flag for option in OPTIONS for flag in option.flags] + list(_OTHER_FLAGS)
    longer = [flag for flag in flags if name.startswith("--") and flag.startswith(name)]
    if longer:
        return f"options cannot be shortened: {name} may mean {' or '.join(longer)}"
    near = difflib.get_close_matches(name, flags, n=1)
    return f"unknown option {name}" + (f" (did you mean {near[0]}?)" if near else "")
