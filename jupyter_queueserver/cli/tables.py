"""Tables and colours for people at a terminal.

Writes what `jupyter_queueserver.cli.views` makes of a reply; importing it loads `rich`.  Nothing of what is shown is read as
markup.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from .output import TextOutput, stamp
from .views import printable, status_line, view


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the program, which has an exit status for it."""
        raise BrokenPipeError


def _console(stderr: bool = False) -> _Console:
    return _Console(stderr=stderr, markup=False, emoji=False, highlight=False)


class TableOutput(TextOutput):
    """For people: tables on stdout, refusals and errors in colour on stderr.  ``NO_COLOR`` is honoured."""

    def __init__(self) -> None:
        self._out = _console()
        self._err = _console(stderr=True)

    def arguments(self, words: list[str]) -> None:
        """Print nothing."""

    def notice(self, text: str) -> None:
        """Print a line of its own."""
        self._out.print(Text(text, style="dim"))

    def reply(self, reply: dict[str, Any]) -> None:
        """Print a reply; a refusal with its hint on stderr."""
        if not reply.get("success", True):
            self._refusal(reply)
            return
        for part in view(reply):
            self._out.print(self._fitted(part))

    def beat(self, reply: dict[str, Any]) -> None:
        """Print the status in one line."""
        self._out.print(Text.assemble(f"{stamp()} ", status_line(reply)))

    def no_answer(self, err: Exception) -> None:
        """Print that nobody answered."""
        self._line("No answer: ", "bold red", str(err))

    def invalid(self, text: str) -> None:
        """Print why nothing was sent."""
        self._line("Invalid command or parameters: ", "bold red", f"{text.rstrip('.')}. Nothing was sent.")

    def _fitted(self, part: RenderableType) -> RenderableType:
        """Let the columns of a table be folded if the terminal is too narrow; else they would be cut off."""
        if isinstance(part, Table) and part.__rich_measure__(self._out, self._out.options).minimum > self._out.width:
            for column in part.columns:
                column.no_wrap = False
        return part

    def _refusal(self, reply: dict[str, Any]) -> None:
        error = reply.get("error")
        details: dict[str, Any] = error if isinstance(error, dict) else {}
        self._line("Refused: ", "bold red", str(reply.get("msg") or "(no reason given)"))
        for key, title, style in (("path", "Where: ", "bold"), ("hint", "Hint: ", "bold yellow"), ("code", "Code: ", "dim")):
            if details.get(key):
                self._line(title, style, str(details[key]))

    def _line(self, title: str, style: str, text: str) -> None:
        # Not broken into lines here, so that what is marked with the mouse is one piece.
        self._err.print(Text.assemble((title, style), printable(text)), soft_wrap=True)
