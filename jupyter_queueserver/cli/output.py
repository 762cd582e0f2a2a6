"""What `qserver` prints: in the form that existing scripts know, as JSON for machines, or as tables for people.

Chooses the form and writes text and JSON; the tables are in `jupyter_queueserver.cli.tables`, which is imported only when
they are wanted.
"""

from __future__ import annotations

import json
import os
import pprint
import sys
import time
import traceback
from typing import Any, Literal, get_args

Format = Literal["auto", "table", "text", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)

#: Keys of a reply whose entries are long descriptions.
_LISTS = ("plans_allowed", "plans_existing", "devices_allowed", "devices_existing")


def abbreviated(reply: dict[str, Any]) -> dict[str, Any]:
    """Return the reply with the descriptions of plans and devices left out."""
    return {
        key: dict.fromkeys(value, "{...}") if key in _LISTS and isinstance(value, dict) else value for key, value in reply.items()
    }


def make_output(form: Format) -> TextOutput:
    """Return the output of a form; ``auto``: tables if stdout is a terminal, else the text that scripts read."""
    if form == "auto":
        form = "table" if _is_terminal() else "text"
    if form == "table":
        from .tables import TableOutput

        return TableOutput()
    return JsonOutput() if form == "json" else TextOutput()


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


class TextOutput:
    """For scripts that read Python literals, and the base of the others."""

    def arguments(self, words: list[str]) -> None:
        """Print what was understood as the command."""
        print(f"Arguments: {words}")

    def notice(self, text: str) -> None:
        """Print a line of its own."""
        print(text, flush=True)

    def reply(self, reply: dict[str, Any]) -> None:
        """Print a reply, also a refusing one."""
        print(f"{stamp()} - MESSAGE: \n{pprint.pformat(abbreviated(reply), sort_dicts=False)}", flush=True)

    def advice(self, text: str) -> None:
        """Print on stderr what helps with the command line after a refusal."""
        print(text, file=sys.stderr)

    def beat(self, reply: dict[str, Any]) -> None:
        """Print one of the many replies of the monitor."""
        self.reply(reply)

    def no_answer(self, err: Exception) -> None:
        """Print that nobody answered, with the traceback on stderr."""
        print(f"{stamp()} - ERROR: ZMQ communication error: {err}", flush=True)
        traceback.print_exception(err, file=sys.stderr)

    def invalid(self, text: str) -> None:
        """Print on stderr why nothing was sent."""
        print(f"ERROR:jupyter_queueserver.cli:Invalid command or parameters: {text.rstrip('.')}.", file=sys.stderr)


class JsonOutput(TextOutput):
    """For machines: one line of JSON on stdout for each reply, errors of our own in the form of a refusal."""

    def arguments(self, words: list[str]) -> None:
        """Print nothing."""

    def notice(self, text: str) -> None:
        """Print nothing."""

    def reply(self, reply: dict[str, Any]) -> None:
        """Print the whole reply."""
        print(json.dumps(reply), flush=True)

    def advice(self, text: str) -> None:
        """Print nothing: it is for people."""

    def no_answer(self, err: Exception) -> None:
        """Print that nobody answered."""
        self._error(str(err), "no_answer", "Check that the manager runs and that the address is right.")

    def invalid(self, text: str) -> None:
        """Print why nothing was sent."""
        self._error(text, "invalid_command", "See qserver -h. Nothing was sent.")

    def _error(self, text: str, code: str, hint: str) -> None:
        self.reply({"success": False, "msg": text, "error": {"code": code, "hint": hint, "path": ""}})


def stamp() -> str:
    """Return the time of day, as it stands before a reply."""
    return time.strftime("%H:%M:%S")
