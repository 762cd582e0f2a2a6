"""`qserver`: every method of the interface as a command.

Commands and their parameters come from the declarations (words and shapes); here is only how one is found, sent and
answered, and the exit status.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

from ..api import Method, methods
from ..client.blocking import Client
from ..client.errors import CommunicationError, SettingsError
from ..instance import find_instance
from .options import parse
from .output import JsonOutput, TextOutput
from .shapes import SHAPES, CommandError

DONE, INVALID, REFUSED, NO_ANSWER, FAILED = range(5)

#: Identity of the tool, as existing servers' logs and items show it.
_USER = "qserver-cli"
_MONITOR = "monitor"
#: Seconds between two pings of the monitor.
_PERIOD = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        Arguments; None: those of the process.

    Returns
    -------
    int
        Exit status: 0 done, 1 invalid command or parameters, 2 refused or wrong options, 3 no answer, 4 other error.
    """
    try:
        options = parse(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else REFUSED
    output = JsonOutput() if options.json else TextOutput()
    try:
        output.arguments(options.words)
        return _run(options, output)
    except KeyboardInterrupt:
        return DONE
    except (CommandError, SettingsError) as err:
        output.invalid(str(err))
        return INVALID
    except CommunicationError as err:
        output.no_answer(err)
        return NO_ANSWER
    except BrokenPipeError:
        _forget_stdout()
        return FAILED
    except Exception:  # noqa: BLE001 - the boundary of the program: shown with its traceback
        traceback.print_exc()
        return FAILED


def _forget_stdout() -> None:
    """Nobody reads any more: the interpreter must not fail once more when it flushes at its end."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace, output: TextOutput) -> int:
    encoding = options.zmq_encoding.lower()
    if encoding not in ("json", "msgpack"):
        raise ValueError(f"unknown encoding {options.zmq_encoding!r}: use json or msgpack")
    method, params = (None, {}) if options.words == [_MONITOR] else read_command(options.words, options.lock_key)
    instance = find_instance(options.data_dir) if options.data_dir else None
    address = options.address or options.old_address
    with Client(address, instance=instance, user=_USER, user_group="primary", encoding=encoding) as client:
        if method is None:
            return _monitor(client, output)
        reply = client.call(method.name, **params)
    output.reply(reply)
    return DONE if reply.get("success", True) else REFUSED


def read_command(words: Sequence[str], lock_key: str | None = None) -> tuple[Method, dict[str, Any]]:
    """Turn command words into a method and its parameters; raises `CommandError`."""
    if lock_key == "":
        raise CommandError("the lock key must not be empty")
    method = _find(words)
    params = SHAPES[method.shape].read(words[len(method.words.split()) :], method)
    if lock_key is not None and "lock_key" in method.parameter_names:
        params["lock_key"] = lock_key
    return method, params


def _find(words: Sequence[str]) -> Method:
    """Find the method with the longest words that the command begins with."""
    named = {tuple(method.words.split()): method for method in methods().values() if method.words}
    for length in range(len(words), 0, -1):
        if method := named.get(tuple(words[:length])):
            return method
    given = " ".join(words)
    known = [" ".join(each) for each in named] + [_MONITOR]
    similar = difflib.get_close_matches(given, known, n=3, cutoff=0.5) or sorted(
        each for each in known if each.split()[0] == words[0]
    )
    advice = f"; did you mean: {', '.join(similar)}?" if similar else "; see qserver -h"
    raise CommandError(f"unknown command '{given}'{advice}")


def _monitor(client: Client, output: TextOutput) -> int:
    """Show the status again and again, until Ctrl-C."""
    output.notice("Running QServer monitor. Press Ctrl-C to exit ...")
    while True:
        try:
            output.reply(client.call("ping"))
        except CommunicationError as err:
            output.no_answer(err)
        time.sleep(_PERIOD)


if __name__ == "__main__":
    sys.exit(main())
