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
    "qserver-console": Program("jupyter_queueserver.programs.console:main", "attach a console to the worker's kernel"),
    "qserver-qtconsole": Program("jupyter_queueserver.programs.console:qt_main", "the same, in a window"),
    "qserver-console-monitor": Program(
        "jupyter_queueserver.programs.console_monitor:main", "print the console text of a server as it comes"
    ),
    "qserver-list-plans-devices": Program(
        "jupyter_queueserver.programs.list_plans_devices:main", "load startup code and write the file with its plans and devices"
    ),
    "qserver-zmq-keys": Program("jupyter_queueserver.programs.zmq_keys:main", "make keys for an encrypted control socket"),
    "backup": Program("jupyter_queueserver.programs.backup:main", "write queue and history to one readable file"),
    "restore": Program("jupyter_queueserver.programs.restore:main", "put a backup back"),
    "recover": Program("jupyter_queueserver.programs.recover:main", "make a new store of what a damaged one still holds"),
    "import": Program(
        "jupyter_queueserver.programs.import_old:main", "take over the queue of a Bluesky Queue Server 0.0.25 from its Redis"
    ),
    "qserver-clear-lock": Program(
        "jupyter_queueserver.programs.clear_lock:main", "delete the lock of a server that does not run"
    ),
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
    if words[0] == "--help-all":
        return _help_all()
    name, rest = words[0], words[1:]
    if name not in PROGRAMS:
        print(f"There is no program '{name}'.\n{list_programs()}", file=sys.stderr)
        return 2
    if name == "server" and not {"-h", "--help", "--version"} & set(rest):
        _tell_about_foreign_programs(rest)
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


def _help_all() -> int:
    from .programs import help_all

    print(help_all.text(list_programs()))
    return 0


def _tell_about_foreign_programs(options: Sequence[str]) -> None:
    """Who starts the server is told once if the commands that he will type are not ours."""
    from .instance import find_instance
    from .programs.foreign_programs import notice

    directory: str | None = None
    for word, following in zip(options, [*options[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name in ("--data-dir", "--QueueServerExtension.data_dir"):
            directory = value or following
    text = notice(find_instance(directory))
    if text is not None:
        print(text, file=sys.stderr, flush=True)


def start_re_manager() -> int:
    """Entry point of the installed command `start-re-manager`."""
    return main(["start-re-manager", *sys.argv[1:]])


def qserver() -> int:
    """Entry point of the installed command `qserver`."""
    return main(["qserver", *sys.argv[1:]])


def qserver_console() -> int:
    """Entry point of the installed command `qserver-console`."""
    return main(["qserver-console", *sys.argv[1:]])


def qserver_qtconsole() -> int:
    """Entry point of the installed command `qserver-qtconsole`."""
    return main(["qserver-qtconsole", *sys.argv[1:]])


def qserver_console_monitor() -> int:
    """Entry point of the installed command `qserver-console-monitor`."""
    return main(["qserver-console-monitor", *sys.argv[1:]])


def qserver_list_plans_devices() -> int:
    """Entry point of the installed command `qserver-list-plans-devices`."""
    return main(["qserver-list-plans-devices", *sys.argv[1:]])


def qserver_zmq_keys() -> int:
    """Entry point of the installed command `qserver-zmq-keys`."""
    return main(["qserver-zmq-keys", *sys.argv[1:]])


def qserver_clear_lock() -> int:
    """Entry point of the installed command `qserver-clear-lock`."""
    return main(["qserver-clear-lock", *sys.argv[1:]])


def jupyter_queueserver() -> int:
    """Entry point of ``jupyter queueserver``: a program of the table by its name, else the Jupyter server."""
    words = sys.argv[1:]
    is_named = bool(words) and (words[0] in PROGRAMS or words[0] == "--help-all")
    return main(words if is_named else ["server", *words])


if __name__ == "__main__":
    sys.exit(main())
