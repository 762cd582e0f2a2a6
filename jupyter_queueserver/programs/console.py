"""`qserver-console` and `qserver-qtconsole`: attach a console to the kernel of the worker.

Asks the manager how the kernel is reached, writes a connection file that only this user can read, and runs Jupyter's console
as a child.  It never speaks to the kernel itself.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..client.errors import CommunicationError, SettingsError
from .target_options import NO_ANSWER, add_target_options, open_client

DONE, INVALID, FAILED, NO_KERNEL = 0, 1, 4, 5

#: Keys of a connection file; what else the manager tells is not for the console.
_KEYS = ("transport", "ip", "key", "signature_scheme", "kernel_name")
_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


class _Console(NamedTuple):
    program: str
    module: str
    package: str
    help: str


_TERMINAL = _Console("qserver-console", "jupyter_console", "jupyter-console", "in this terminal")
_WINDOW = _Console("qserver-qtconsole", "qtconsole", "qtconsole and a Qt binding such as PyQt5", "in a window")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `qserver-console`.

    Returns
    -------
    int
        Exit status: that of the console; 1 unusable settings, 3 no answer, 4 the console is not installed, 5 the environment is
        closed or its kernel is not for consoles.
    """
    return _run(_TERMINAL, arguments)


def qt_main(arguments: Sequence[str] | None = None) -> int:
    """Run `qserver-qtconsole`; exit status as `main`."""
    return _run(_WINDOW, arguments)


def _run(console: _Console, arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog=console.program,
        allow_abbrev=False,
        description=f"Attach a console to the worker's kernel, {console.help}. Closing it touches neither plan nor queue.",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    try:
        with open_client(options) as client:
            config = client.call("config_get").get("config", {})
    except (SettingsError, ValueError) as err:
        return _complain(console, str(err), INVALID)
    except CommunicationError as err:
        return _complain(console, str(err), NO_ANSWER)
    info = config.get("ip_connect_info") if isinstance(config, dict) else None
    problem = _why_not(info)
    if problem or not isinstance(info, dict):
        return _complain(console, problem, NO_KERNEL)
    if importlib.util.find_spec(console.module) is None:
        text = f"the package is not installed: pip install {console.package}"
        return _complain(console, text, FAILED)
    return _attach(console, info)


def _why_not(info: Any) -> str:
    """Sentence if no console can be attached; empty if it can."""
    if not isinstance(info, dict) or not info:
        return (
            "the environment is closed, or the server runs with --use-ipython-kernel OFF;"
            " open it with `qserver environment open`, or start the server with --use-ipython-kernel ON"
        )
    missing = [key for key in ("transport", "ip", "key", *_PORTS) if key not in info]
    if missing:
        return f"the server does not tell how its kernel is reached ({', '.join(missing)} missing)"
    if info["transport"] == "ipc" and not os.path.exists(f"{info['ip']}-{info['shell_port']}"):
        return (
            "the kernel listens on private Unix sockets of another machine or user;"
            " start the server with --ipython-kernel-ip to reach it from here"
        )
    return ""


def _attach(console: _Console, info: dict[str, Any]) -> int:
    with _connection_file(info) as path:
        before = signal.signal(signal.SIGINT, _leave_it)
        try:
            command = [sys.executable, "-P", "-m", console.module, f"--existing={path}"]
            return subprocess.Popen(command).wait()  # noqa: S603 - a console of Jupyter, by a list of words
        finally:
            signal.signal(signal.SIGINT, before)


def _leave_it(number: int, frame: object) -> None:
    """Ctrl-C is for the console, which hears it too."""


@contextlib.contextmanager
def _connection_file(info: dict[str, Any]) -> Iterator[str]:
    """A file with how to connect, for its owner only, deleted afterwards."""
    handle, path = tempfile.mkstemp(prefix="qserver-kernel-", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({key: info[key] for key in (*_KEYS, *_PORTS) if key in info}, file)
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _complain(console: _Console, text: str, status: int) -> int:
    print(f"{console.program}: {text}", file=sys.stderr)
    return status
