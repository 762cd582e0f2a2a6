"""``python -m jupyter_queueserver <program> [options]``: every program of the package by a name that nobody else installs.

A table of programs and nothing more; each is imported only when it is named.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Program(NamedTuple):
    """Where a program is found: ``module:function``, called with its arguments, returning the exit status
    or None."""

    target: str
    help: str


PROGRAMS: dict[str, Program] = {
    "start-re-manager": Program("jupyter_queueserver.manager.start:main", "start the queue manager and watch over it"),
    "qserver": Program("jupyter_queueserver.cli:main", "talk to a running manager"),
    "environments": Program(
        "jupyter_queueserver.link.environments:main", "show the worker of an instance, or end an unattended one"
    ),
    "server": Program("jupyter_queueserver.gateway.launch:main", "start a Jupyter server with the queue server"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program that is named first; without a name list the programs."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.platform == "win32":
        print("jupyter_queueserver does not run on Windows; use WSL 2.", file=sys.stderr)
        return 1
    if not words or words[0] in ("-h", "--help"):
        print(list_programs())
        return 0
    name, rest = words[0], words[1:]
    if name not in PROGRAMS:
        print(f"There is no program '{name}'.\n{list_programs()}", file=sys.stderr)
        return 2
    return run_program(PROGRAMS[name], rest)


def run_program(program: Program, arguments: Sequence[str]) -> int:
    """Import and run one program; returns its exit status."""
    module, _, function = program.target.partition(":")
    run: Callable[[Sequence[str]], int | None] = getattr(importlib.import_module(module), function)
    return run(arguments) or 0


def list_programs() -> str:
    """Text that names the programs."""
    width = max(map(len, PROGRAMS))
    lines = (f"  {name:<{width}}  {program.help}" for name, program in PROGRAMS.items())
    return "\n".join(["usage: python -m jupyter_queueserver <program> [options]", "", *lines])


def start_re_manager() -> int:
    """Entry point of the installed command `start-re-manager`."""
    return main(["start-re-manager", *sys.argv[1:]])


def qserver() -> int:
    """Entry point of the installed command `qserver`."""
    return main(["qserver", *sys.argv[1:]])


def jupyter_queueserver() -> int:
    """Entry point of ``jupyter queueserver``: a program of the table by its name, else the Jupyter server."""
    words = sys.argv[1:]
    return main(words if words and words[0] in PROGRAMS else ["server", *words])


if __name__ == "__main__":
    sys.exit(main())
