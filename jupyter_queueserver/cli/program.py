"""`qserver`: every method of the interface as a command.

Commands and their parameters come from the declarations (words and shapes); here is only how one is found, sent and
answered, and the exit status.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import traceback
from collections.abc import Sequence

from ..api.registry import REQUEST_ID
from ..client.blocking import Client
from ..client.errors import CommunicationError, SettingsError
from ..instance import find_instance
from . import completion, first_version, outside
from .commands import MONITOR, read_command
from .options import parse, parser
from .output import TextOutput, make_output
from .shapes import CommandError, about_literals

DONE, INVALID, REFUSED, NO_ANSWER, FAILED = range(5)

#: Identity of the tool, as existing servers' logs and items show it.
_USER = "qserver-cli"
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
    if completion.is_asked():
        completion.answer(first_version.make_parser() if first_version.is_meant(completion.words_so_far()) else parser())
    arguments = sys.argv[1:] if argv is None else argv
    if (status := outside.run_if_meant(arguments)) is not None:
        return status
    try:
        options = first_version.parse(arguments) if first_version.is_meant(arguments) else parse(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else REFUSED
    if sys.stdout is None:  # closed by who started this: the answer of what would be done could not be told
        print("qserver: stdout is closed. Nothing was sent.", file=sys.stderr)
        return FAILED
    _show_everything()
    output = make_output(options.format)
    try:
        if options.completion:
            print(completion.script(options.completion))
            return DONE
        output.arguments(options.words)
        return _run(options, output)
    except KeyboardInterrupt:
        return DONE
    except (CommandError, SettingsError) as err:
        output.invalid(str(err))
        return INVALID
    except CommunicationError as err:
        output.no_answer(first_version.explained(err, options))
        return NO_ANSWER
    except BrokenPipeError:
        _forget_stdout()
        return FAILED
    except Exception:  # noqa: BLE001 - the boundary of the program: shown with its traceback
        traceback.print_exc()
        _forget_stdout()
        return FAILED


def _show_everything() -> None:
    """Let characters that the terminal or file of stdout does not know appear as escapes, instead of ending the program."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """If stdout takes nothing any more, let the interpreter not fail once more when it flushes at its end."""
    import os

    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(options: argparse.Namespace, output: TextOutput) -> int:
    encoding = options.zmq_encoding.lower()
    if encoding not in ("json", "msgpack"):
        raise ValueError(f"unknown encoding {options.zmq_encoding!r}: use json or msgpack")
    read = first_version.read_command if "command" in options else read_command
    method, params = (None, {}) if options.words == [MONITOR] else read(options.words, options.lock_key)
    instance = find_instance(options.data_dir) if options.data_dir else None
    address = options.address or options.old_address
    with Client(address, instance=instance, user=_USER, user_group="primary", encoding=encoding) as client:
        if method is None:
            return _monitor(client, output)
        if options.request_id is not None and method.is_recorded:
            params = params | {REQUEST_ID.name: options.request_id}
        reply = client.call(method.name, **params)
    output.reply(reply)
    if reply.get("success", True):
        return DONE
    if advice := about_literals(params):
        output.advice(advice)
    return REFUSED


def _monitor(client: Client, output: TextOutput) -> int:
    """Show the status again and again, until Ctrl-C."""
    output.notice("Running QServer monitor. Press Ctrl-C to exit ...")
    while True:
        try:
            output.beat(client.call("ping"))
        except CommunicationError as err:
            output.no_answer(err)
        time.sleep(_PERIOD)


if __name__ == "__main__":
    sys.exit(main())
