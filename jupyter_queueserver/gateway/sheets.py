"""Reads spreadsheet files, ``.xlsx`` and ``.csv``, from memory and within bounds.

A file comes from anybody who may add items: nothing of it is evaluated, and none may cost much time or memory.  What the cells
mean is the matter of `sheet_items`.
"""

from __future__ import annotations

import codecs
import csv
import io
import logging
import zipfile
from collections.abc import Iterable, Iterator

from .sheet_items import Fault, Items, Row, SheetError, Unreadable, cell_name, make_items

#: Rows with content (headings included), and columns, of the largest sheet.
MAX_ROWS, MAX_COLUMNS = 10_001, 100
#: Filled cells of the largest sheet.
MAX_CELLS = 200_000
#: Bytes of an ``.xlsx`` file when it is unpacked, and files in it.
MAX_UNPACKED, MAX_PARTS = 48 << 20, 1000
#: Number of the last row that is looked at, be it empty.
LAST_ROW = 100_000

#: What some programs write between the cells of a CSV file instead of commas.
_OTHER_MARKS = {b";": "semicolons", b"\t": "tabulators"}

_UNSAVED = Unreadable("the formula has no saved value: open the file in a spreadsheet program and save it")

_log = logging.getLogger(__name__)


def read_items(file_name: str, data: bytes) -> Items:
    """Return the items of a spreadsheet file; raises `SheetError`."""
    kind = file_name.lower().rpartition(".")[2]
    if kind == "xlsx":
        return make_items(_bounded(_xlsx_rows(data)))
    if kind == "csv":
        return _csv_items(data)
    if kind == "xls":
        raise SheetError([Fault("", "The old format .xls is not read: save the sheet as .xlsx or .csv")])
    raise SheetError([Fault("", f"'{file_name:.80}' is no spreadsheet: the name must end with .xlsx or .csv")])


def _csv_items(data: bytes) -> Items:
    """Return the items; of a file whose cells are separated by something else, only that is told."""
    try:
        return make_items(_bounded(_csv_rows(data)))
    except SheetError as err:
        first = data.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")[0]
        marks = [name for mark, name in _OTHER_MARKS.items() if mark in first and b"," not in first]
        if not marks or not err.cells:
            raise
        advice = "save the file as CSV with commas, or as .xlsx"
        raise SheetError([Fault("A1", f"the cells seem to be separated by {marks[0]}, not by commas: {advice}")]) from err


def _bounded(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with content; raises `SheetError` as soon as it is too much."""
    kept: list[Row] = []
    cells = 0
    for row in rows:
        while row.cells and row.cells[-1] in (None, ""):
            row.cells.pop()
        if not row.cells:
            continue
        cells += sum(cell not in (None, "") for cell in row.cells)
        if len(row.cells) > MAX_COLUMNS:
            raise SheetError([Fault(cell_name(row.number, MAX_COLUMNS), f"there are more than {MAX_COLUMNS} columns")])
        if len(kept) >= MAX_ROWS or cells > MAX_CELLS:
            limits = f"{MAX_ROWS - 1:,} rows or {MAX_CELLS:,} cells"
            raise SheetError([Fault(cell_name(row.number, 0), f"there are more than {limits}: split the sheet")])
        kept.append(row)
    return kept


def _csv_rows(data: bytes) -> Iterator[Row]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise SheetError([Fault("", f"Line {line} is not UTF-8: save the file as 'CSV UTF-8'")]) from err
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SheetError([Fault("", f"Line {line} holds a NUL character: this is no text file, or it was damaged")])
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as err:
            raise SheetError([Fault(cell_name(number, 0), f"the row cannot be read as CSV: {err}")]) from err
        yield Row(number, list(cells))


def _xlsx_rows(data: bytes) -> Iterator[Row]:
    _check_archive(data)
    try:
        yield from _sheet(data)
    except SheetError:
        raise
    except Exception as err:
        _log.info("A spreadsheet could not be read.", exc_info=True)
        reason = f"{type(err).__name__}: {err}"
        raise SheetError([Fault("", f"The file cannot be read as .xlsx ({reason:.200}): save it again")]) from err


def _check_archive(data: bytes) -> None:
    """Raise `SheetError` for what is no archive, or would be too big when it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as err:
        raise SheetError([Fault("", "The file is not in the format .xlsx: save it as .xlsx or .csv")]) from err
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise SheetError([Fault("", f"The file is too big: more than {MAX_UNPACKED >> 20} MiB when it is unpacked")])


def _sheet(data: bytes) -> Iterator[Row]:
    """Yield the rows of the first sheet; formulas as the values that were saved with them."""
    formulas: set[tuple[int, int]] = set()
    rows: list[Row] = []
    for row in _cells(data, values=False):
        formulas.update((row.number, column) for column, cell in enumerate(row.cells) if cell.data_type == "f")
        rows.append(Row(row.number, [cell.value for cell in row.cells]))
        if len(rows) > MAX_ROWS:
            break  # whoever counts will refuse it
    if formulas:
        _fill_in(rows, formulas, data)
    yield from rows


def _cells(data: bytes, *, values: bool) -> Iterator[Row]:
    from openpyxl import load_workbook  # here: few servers are ever given a spreadsheet

    workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=values, keep_links=False)
    try:
        if not workbook.worksheets:
            raise SheetError([Fault("", "The file has no sheet")])
        sheet = workbook.worksheets[0]
        for number, line in enumerate(sheet.iter_rows(max_row=LAST_ROW + 1, max_col=MAX_COLUMNS + 1), 1):
            if number > LAST_ROW:
                raise SheetError([Fault(cell_name(number, 0), "there are rows so far down: delete what is below the table")])
            if any(cell.value is not None for cell in line):
                yield Row(number, list(line))
    finally:
        workbook.close()


def _fill_in(rows: list[Row], formulas: set[tuple[int, int]], data: bytes) -> None:
    """Put the saved values of formulas in their places, and a mark in the places of those that have none."""
    saved = {row.number: row.cells for row in _cells(data, values=True)}
    for row in rows:
        for column in range(len(row.cells)):
            if (row.number, column) not in formulas:
                continue
            value = saved[row.number][column].value if row.number in saved else None
            row.cells[column] = _UNSAVED if value is None else value
