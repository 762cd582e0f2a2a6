"""Tables and colours for people at a terminal.

Writes what `jupyter_queueserver.cli.views` makes of a reply; importing it loads `rich`.  Nothing of what is shown is read as
markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.measure import measure_renderables
from rich.table import Table
from rich.text import Text

from .output import TextOutput, stamp
from .views import printable, status_line, view

#: Characters that a column needs whose cells may be folded.
_FOLDED = 16
#: Characters between two columns.
_GAP = 2


def blocks(table: Table) -> Iterator[Text]:
    """Turn a table that is too wide into lines: for each row a block of named values, without those that say nothing."""
    titles = [column.header for column in table.columns]
    for number, cells in enumerate(zip(*(column.cells for column in table.columns), strict=True)):
        if not table.show_header:  # a list of names and values
            yield _named(*cells)
            continue
        if number:
            yield Text("")
        for title, cell in zip(titles, cells, strict=True):
            if str(cell) not in ("", "-"):
                yield _named(title, cell)
    if table.caption is not None:
        yield Text("")
        yield Text(str(table.caption), style="dim italic")


def _named(name: RenderableType, value: RenderableType) -> Text:
    return Text.assemble((f"{name}: ", "bold"), value if isinstance(value, Text) else str(value))


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
            self._show(part)

    def beat(self, reply: dict[str, Any]) -> None:
        """Print the status in one line."""
        self._out.print(Text.assemble(f"{stamp()} ", status_line(reply)))

    def no_answer(self, err: Exception) -> None:
        """Print that nobody answered."""
        self._line("No answer: ", "bold red", str(err))

    def invalid(self, text: str) -> None:
        """Print why nothing was sent."""
        self._line("Invalid command or parameters: ", "bold red", f"{text.rstrip('.')}. Nothing was sent.")

    def _show(self, part: RenderableType) -> None:
        if isinstance(part, Table) and self._needed(part) > self._out.width:
            for line in blocks(part):
                self._out.print(line, overflow="fold", no_wrap=False)
        else:
            self._out.print(part)

    def _needed(self, table: Table) -> int:
        """Return how many characters a line must have for a table that can still be read."""
        options = self._out.options
        needed = 0
        for column in table.columns:
            cells = [column.header, *column.cells]
            widest = max(measure_renderables(self._out, options.update(max_width=10_000), [cell]).maximum for cell in cells)
            needed += (widest if column.no_wrap else min(widest, _FOLDED)) + _GAP
        return needed

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
