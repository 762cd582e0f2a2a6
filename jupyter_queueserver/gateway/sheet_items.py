"""The items that stand in the rows of a spreadsheet: plan, positional arguments, keyword arguments by heading.

Pure.  Cells are literals: they are parsed, never evaluated, and all that is wrong is told at once, by cell.
"""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

#: Characters in one cell; the same as in common spreadsheet programs.
MAX_TEXT = 32_767
#: Faults that are listed.
MAX_FAULTS = 50
#: Beyond it not every whole number is a float.
_EXACT = 2**53
#: Bits of the longest whole number.
_LONGEST = 2_000
#: How spreadsheet programs write them.
_WORDS = {"true": True, "false": False}


class Fault(NamedTuple):
    """What is wrong in a cell (``B3``); an empty cell name: with the whole file."""

    cell: str
    text: str


class Unreadable(NamedTuple):
    """Stands for the content of a cell that could not be had; why, is told if the cell is needed."""

    text: str


class SheetError(Exception):
    """A file that cannot be used, with all its faults."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        shown = [f"{cell}: {text}" if cell else text for cell, text in faults[:MAX_FAULTS]]
        if len(faults) > MAX_FAULTS:
            shown.append(f"and {len(faults) - MAX_FAULTS} more")
        super().__init__("; ".join(shown))
        self.cells = [cell for cell, _ in faults[:MAX_FAULTS] if cell]


class Row(NamedTuple):
    """A row with its number (from 1) and its cells."""

    number: int
    cells: list[Any]


class Items(NamedTuple):
    """The items of a sheet, and the number of the row of each."""

    items: list[dict[str, Any]]
    rows: list[int]


def cell_name(row: int, column: int) -> str:
    """Return a name such as ``B3``; the row counts from 1, the column from 0."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{row}"


def make_items(rows: Sequence[Row]) -> Items:
    """Return the plans that stand in the rows below the first, which has the headings; raises `SheetError` with all faults."""
    if not rows:
        raise SheetError([Fault("A1", "the sheet is empty: the first row has the headings")])
    faults: list[Fault] = []
    headings = _headings(rows[0], faults)
    found = Items([], [])
    for row in rows[1:]:
        if _is_empty(row.cells[0]):
            continue
        found.items.append(_item(row, headings, faults))
        found.rows.append(row.number)
    if faults:
        raise SheetError(faults)
    return found


def _headings(row: Row, faults: list[Fault]) -> list[str]:
    """Return the headings; from the third on they are names of parameters."""
    headings: list[str] = []
    seen: dict[str, str] = {}
    for column, cell in enumerate(row.cells):
        place = cell_name(row.number, column)
        if isinstance(cell, Unreadable):
            headings.append(place)
            faults.append(Fault(place, cell.text))
            continue
        heading = "" if cell is None else str(cell).strip()
        headings.append(heading)
        if not heading:
            continue
        if column >= 2 and (not heading.isidentifier() or keyword.iskeyword(heading)):
            faults.append(Fault(place, f"the heading {heading[:40]!r} is no name of a parameter"))
        if (other := seen.setdefault(heading.lower(), place)) != place:
            faults.append(Fault(place, f"the heading {heading[:40]!r} is that of {other}, too"))
    return headings


def _item(row: Row, headings: Sequence[str], faults: list[Fault]) -> dict[str, Any]:
    item: dict[str, Any] = {"name": None, "item_type": "plan"}
    kwargs: dict[str, Any] = {}
    for column, cell in enumerate(row.cells):
        if _is_empty(cell):
            continue
        try:
            if isinstance(cell, Unreadable):
                raise ValueError(cell.text)
            if column == 0:
                item["name"] = _name(cell)
            elif column == 1:
                item["args"] = _arguments(cell)
            elif column >= len(headings) or not headings[column]:
                raise ValueError("the column has no heading")
            else:
                kwargs[headings[column]] = _value(cell)
        except ValueError as err:
            faults.append(Fault(cell_name(row.number, column), str(err)))
    if kwargs:
        item["kwargs"] = kwargs
    return item


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _name(cell: Any) -> str:
    """Return the name of a plan, which may be quoted."""
    text = cell.strip() if isinstance(cell, str) else str(cell)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError(f"{text[:40]!r} is no name of a plan")
    return text


def _arguments(cell: Any) -> list[Any]:
    """Return positional arguments: literals with commas between them."""
    if not isinstance(cell, str):
        return [_value(cell)]
    if (plain := _plain_word(cell)) is not None:
        return [plain]
    tree = _parse(f"[{cell}\n]", cell)
    if not isinstance(tree, ast.List):
        raise ValueError(f"{_shown(cell)}: the brackets do not fit together")
    return _literal(tree, cell)


def _value(cell: Any) -> Any:
    """Return the value of one argument."""
    if isinstance(cell, bool | int):
        return cell
    if isinstance(cell, float):
        return _finite(int(cell) if cell.is_integer() and abs(cell) <= _EXACT else cell)
    if not isinstance(cell, str):
        raise ValueError(f"a {type(cell).__name__} is no argument of a plan: write a number, or a text in quotes")
    if (plain := _plain_word(cell)) is not None:
        return plain
    return _literal(_parse(cell.strip(), cell), cell)


def _plain_word(text: str) -> int | bool | None:
    """Return what a cell such as ``5.0`` or ``TRUE`` stands for; None: it is something else."""
    if text.lstrip().startswith("#"):
        raise ValueError(f"{_shown(text)} is an error value or a comment, no argument")
    if (word := _WORDS.get(text.strip().lower())) is not None:
        return word
    try:
        number = float(text)
    except ValueError:
        return None
    is_plain = text.strip().lstrip("+-")[:1] in "0123456789." and "_" not in text
    return int(number) if is_plain and number.is_integer() and abs(number) <= _EXACT else None


def _parse(source: str, cell: str) -> ast.expr:
    if len(cell) > MAX_TEXT:
        raise ValueError(f"there are more than {MAX_TEXT} characters in the cell")
    try:
        return ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as err:
        advice = "names of devices and other texts need quotes"
        raise ValueError(f"{_shown(cell)} cannot be read ({_reason(err)}); {advice}") from err


def _reason(err: BaseException) -> str:
    if isinstance(err, SyntaxError):
        return err.msg.partition(";")[0]
    return str(err) if isinstance(err, ValueError) else "nested too deeply"


def _literal(tree: ast.expr, cell: str) -> Any:
    try:
        value = ast.literal_eval(tree)
    except (ValueError, TypeError, MemoryError, RecursionError) as err:
        why = "is no literal: names of devices and other texts need quotes, and nothing is computed"
        raise ValueError(f"{_shown(cell)} {why}") from err
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; raises ``ValueError``."""
    match value:
        case None | bool():
            return value
        case int():
            if value.bit_length() > _LONGEST:
                raise ValueError("the number is too long")
            return value
        case str():
            if not value.isascii():
                value.encode()  # half a surrogate pair is no text; the error says so
            return value
        case float():
            return _finite(value)
        case list() | tuple():
            return [_plain(each) for each in value]
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise ValueError("the keys of a dictionary must be texts in quotes")
            return {key: _plain(each) for key, each in value.items()}
        case _:
            raise ValueError(f"a {type(value).__name__} cannot be sent: use numbers, texts, lists and dictionaries")


def _finite(number: int | float) -> int | float:
    if not math.isfinite(number):
        raise ValueError("the number is too large")
    return number


def _shown(cell: str) -> str:
    text = " ".join(cell.split())
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
