"""Spreadsheets: what becomes of cells, which faults are told, what is refused for its size, and the route itself."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import pytest
from gateway_manager import FakeManager
from hypothesis import given
from hypothesis import strategies as st
from jupyter_server.auth import Authorizer

from jupyter_queueserver.gateway import sheets
from jupyter_queueserver.gateway.sheet_items import MAX_FAULTS, Items, SheetError, cell_name
from jupyter_queueserver.gateway.sheets import read_items

HEAD = ["name", "args", "num", "delay"]


def xlsx(*rows: Sequence[Any], further_sheet: bool = False) -> bytes:
    """A workbook, by the writer of the same library."""
    from openpyxl import Workbook

    workbook = Workbook()
    for row in rows:
        workbook.active.append(list(row))
    if further_sheet:
        workbook.create_sheet("further").append(["name", "x"])
    written = io.BytesIO()
    workbook.save(written)
    return written.getvalue()


def csv_text(*rows: Sequence[Any]) -> bytes:
    import csv

    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


def item(name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "item_type": "plan"}
    return made | ({"args": list(args)} if args else {}) | ({"kwargs": kwargs} if kwargs else {})


def faults_of(file_name: str, data: bytes) -> SheetError:
    with pytest.raises(SheetError) as caught:
        read_items(file_name, data)
    return caught.value


ROWS: list[Sequence[Any]] = [
    HEAD,
    ["count", "['det1', 'det2']", 5, 0.5],
    [None, "'a row without a name is ignored'", 1],
    ["'scan'", "['det'], 'motor', -1, 1.5", 11],
    [' "move_then_count" ', "", 3.0, None],
    ["x", "7", "{'a': [1, 2.0], 'b': None}", "(1, 'two', True)"],
    [],
    ["y", "TRUE", "5.0", "-2e3"],
]
PLANS = [
    item("count", ["det1", "det2"], num=5, delay=0.5),
    item("scan", ["det"], "motor", -1, 1.5, num=11),
    item("move_then_count", num=3),
    item("x", 7, num={"a": [1, 2.0], "b": None}, delay=[1, "two", True]),
    item("y", True, num=5, delay=-2000),
]


@pytest.mark.parametrize(("file_name", "write"), [("Plans.XLSX", xlsx), ("plans.CSV", csv_text)])
def test_rows_become_plans(file_name: str, write: Any) -> None:
    found = read_items(file_name, write(*ROWS))
    assert found == Items(PLANS, [2, 4, 5, 6, 8])
    assert json.dumps(found.items) == json.dumps(PLANS), "whole numbers are integers"


def test_only_the_first_sheet_counts() -> None:
    assert read_items("a.xlsx", xlsx(HEAD, ["count"], further_sheet=True)).items == [item("count")]


def test_csv_as_programs_write_it() -> None:
    text = "\ufeffname;,args,num\r\ncount,\"['det'], 5\",TRUE\r\ncount, \"'\N{GREEK SMALL LETTER MU}'\", 1\r\n"
    found = read_items("a.csv", text.encode())
    assert found.items == [item("count", ["det"], 5, num=True), item("count", "\N{GREEK SMALL LETTER MU}", num=1)]


def test_headings_alone_and_one_column() -> None:
    assert read_items("a.csv", b"name,args\n") == Items([], [])
    assert read_items("a.csv", b"plan\ncount\n").items == [item("count")]


# cell, what is in it, what is said
WRONG: list[tuple[str, Any, str]] = [
    ("A2", "a b", "is no name of a plan"),
    ("A2", "lambda", "is no name of a plan"),
    ("A2", 5, "is no name of a plan"),
    ("B2", "[det]", "is no literal"),
    ("B2", "1], [2", "brackets do not fit"),
    ("B2", "__import__('os').system('true')", "is no literal"),
    ("B2", "#REF!", "error value"),
    ("B2", "'open", "cannot be read"),
    ("C2", "1 + 1", "is no literal"),
    ("C2", "{1, 2}", "a set cannot be sent"),
    ("C2", "b'x'", "a bytes cannot be sent"),
    ("C2", "{1: 2}", "keys of a dictionary"),
    ("C2", "{[]: 2}", "is no literal"),
    ("C2", "1e999", "too large"),
    ("C2", "det", "is no literal"),
    ("C2", "[" * 5000, "cannot be read"),
    ("C2", "-" * 20000 + "1", "cannot be read"),
    ("D2", "9" * 5000, "cannot be read"),
    ("E2", 1, "has no heading"),
]


def test_all_faults_are_told_by_cell() -> None:
    for place, cell, said in WRONG:
        row: list[Any] = ["count", None, None, None, None]
        row["ABCDE".index(place[0])] = cell
        for file_name, write in (("a.xlsx", xlsx), ("a.csv", csv_text)):
            error = faults_of(file_name, write(HEAD, row))
            assert error.cells == [place], (cell, error)
            assert said in str(error), (cell, error)
            assert str(error).startswith(f"{place}: ")
            assert len(str(error)) < 300
    error = faults_of("a.csv", csv_text(["name", "args", "num", "NUM", "a b"], ["count", "x"], ["", "y"], ["a b", 1, "z"]))
    assert error.cells == ["D1", "E1", "B2", "A4", "C4"]


def test_the_list_of_faults_is_bounded() -> None:
    error = faults_of("a.csv", csv_text(HEAD, *[["count", "[det]"]] * 100))
    assert error.cells == [f"B{number}" for number in range(2, 2 + MAX_FAULTS)]
    assert str(error).endswith("and 50 more")


def test_dates_and_formulas() -> None:
    import datetime

    from openpyxl import load_workbook

    assert "datetime" in str(faults_of("a.xlsx", xlsx(HEAD, ["count", None, datetime.datetime(2026, 1, 2)])))  # noqa: DTZ001
    formula = xlsx(HEAD, ["count", None, "=1+2"])
    assert str(faults_of("a.xlsx", formula)).startswith("C2: the formula has no saved value")
    assert load_workbook(io.BytesIO(formula)).active["C2"].value == "=1+2"
    saved = replaced(formula, "xl/worksheets/sheet1.xml", b"<f>1+2</f><v />", b"<f>1+2</f><v>3</v>")
    assert read_items("a.xlsx", saved).items == [item("count", num=3)]


def test_formulas_and_other_faults_are_told_together() -> None:
    import datetime

    date = datetime.datetime(2026, 1, 2)  # noqa: DTZ001 - cells have no zone
    rows = [HEAD, ["count", None, date], ["count", "det", "=1+2"], ["=1+2"], [None, "=1+2"], ["count", None, None, "=1+2"]]
    error = faults_of("a.xlsx", xlsx(*rows))
    assert error.cells == ["C2", "B3", "C3", "A4", "D6"]
    for said in ("C2: a datetime is no argument", "B3: 'det' is no literal", "A4: the formula has no saved value"):
        assert said in str(error)
    assert faults_of("a.xlsx", xlsx(["name", "args", "=1+2"], ["count", "det"])).cells == ["C1", "B2"]


SEPARATED = [
    ("plan;args;num\r\ncount;\"['det1', 'det2']\";5\r\n", "semicolons"),
    ("\ufeff\nplan;args\ncount;7\n", "semicolons"),
    ("sep=;\nplan;args\ncount;7\n", "semicolons"),
    ('plan;args\ncount;"\'a"x"\n', "semicolons"),
    ("plan\targs\ncount\t7\n", "tabulators"),
]


def test_csv_with_other_marks_between_the_cells() -> None:
    for text, name in SEPARATED:
        error = faults_of("a.csv", text.encode())
        assert (
            str(error)
            == f"A1: the cells seem to be separated by {name}, not by commas: save the file as CSV with commas, or as .xlsx"
        )
    assert faults_of("a.csv", b"name;,args\ncount,det\n").cells == ["B2"]
    assert read_items("a.csv", b"plan;\ncount\n").items == [item("count")], "any heading of the first column is right"


def replaced(data: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """A workbook with one part changed."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            content = source.read(info)
            if info.filename == part:
                assert old in content, content
                content = content.replace(old, new)
            target.writestr(info.filename, content)
    return written.getvalue()


def test_files_that_are_none() -> None:
    assert "save the sheet as .xlsx" in str(faults_of("a.xls", b"\xd0\xcf\x11\xe0"))
    assert "must end with" in str(faults_of("plans.txt", b""))
    assert "must end with" in str(faults_of("", b""))
    assert "not in the format" in str(faults_of("a.xlsx", b"PK nothing"))
    assert "cannot be read as .xlsx" in str(faults_of("a.xlsx", zipped({"x": b""})))
    assert "A1: the sheet is empty" in str(faults_of("a.xlsx", xlsx()))
    assert "A1: the sheet is empty" in str(faults_of("a.csv", b"\n\n"))
    assert "Line 2 is not UTF-8" in str(faults_of("a.csv", b"name\n\xff\xfe"))
    assert "Line 2 holds a NUL" in str(faults_of("a.csv", b"name\n\0\0\n"))
    assert "A2: the row cannot be read" in str(faults_of("a.csv", b'name\n"a"b\n'))


def zipped(parts: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return written.getvalue()


def test_too_much() -> None:
    bomb = zipped({"xl/worksheets/sheet1.xml": b" " * (sheets.MAX_UNPACKED + 1)})
    assert len(bomb) < 200_000
    assert "too big" in str(faults_of("a.xlsx", bomb))
    assert "too big" in str(faults_of("a.xlsx", zipped({str(number): b"" for number in range(sheets.MAX_PARTS + 1)})))
    rows = csv_text(HEAD, *[["count"]] * sheets.MAX_ROWS)
    assert faults_of("a.csv", rows).cells == [f"A{sheets.MAX_ROWS + 1}"]
    assert len(read_items("a.csv", csv_text(HEAD, *[["count"]] * (sheets.MAX_ROWS - 1))).items) == sheets.MAX_ROWS - 1
    wide = csv_text([f"h{number}" for number in range(sheets.MAX_COLUMNS + 1)])
    assert faults_of("a.csv", wide).cells == [f"{cell_name(1, sheets.MAX_COLUMNS)}"]
    far = replaced(xlsx(HEAD, ["count"]), "xl/worksheets/sheet1.xml", b'r="2"', b'r="1048576"')
    assert faults_of("a.xlsx", far).cells == [f"A{sheets.LAST_ROW + 1}"]


def test_names_of_cells() -> None:
    assert [cell_name(3, column) for column in (0, 1, 25, 26, 701, 702)] == ["A3", "B3", "Z3", "AA3", "ZZ3", "AAA3"]


def read_or_refused(file_name: str, data: bytes) -> str:
    """The items as strict JSON, or the text of the refusal."""
    try:
        found = read_items(file_name, data)
    except SheetError as err:
        return str(err)
    assert len(found.items) == len(found.rows)
    return json.dumps(found.items, allow_nan=False)


@given(st.binary(max_size=200), st.sampled_from(["a.csv", "a.xlsx"]))
def test_whatever_is_sent_is_read_or_refused(data: bytes, file_name: str) -> None:
    assert read_or_refused(file_name, data)


@given(st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=4), max_size=4))
def test_whatever_is_in_the_cells_is_read_or_refused(rows: list[list[str]]) -> None:
    assert read_or_refused("a.csv", csv_text(["name", "args", "p", "q"], *rows))


def form(file_name: str | None, data: bytes, field: str = "spreadsheet") -> tuple[str, bytes]:
    """Content type and body of a form with one file."""
    name = "" if file_name is None else f'; filename="{file_name}"'
    head = f'--frontier\r\nContent-Disposition: form-data; name="{field}"{name}\r\n\r\n'
    kind = '--frontier\r\nContent-Disposition: form-data; name="data_type"\r\n\r\nmine\r\n'
    return "multipart/form-data; boundary=frontier", kind.encode() + head.encode() + data + b"\r\n--frontier--\r\n"


@pytest.fixture
def upload(api: Any, jp_auth_header: dict[str, str]) -> Any:
    """``await upload("a.csv", data)``."""

    async def uploaded(file_name: str | None, data: bytes, **options: Any) -> Any:
        content_type, body = form(file_name, data, **options)
        headers = jp_auth_header | {"Content-Type": content_type}
        return await api("POST", "/queue/upload/spreadsheet", body, headers=headers)

    return uploaded


async def test_the_plans_go_to_the_manager_in_the_name_of_the_user(upload: Any, manager: FakeManager, api: Any) -> None:
    reply = await upload("plans.xlsx", xlsx(*ROWS))
    assert reply.code == 200
    assert manager.requests[-1]["method"] == "queue_item_add_batch"
    params = manager.requests[-1]["params"]
    assert params.keys() == {"items", "user", "user_group", "request_user"}
    assert params["items"] == PLANS
    assert params["user_group"] == "primary"
    await api("POST", "/queue/item/add", {"item": PLANS[0]})
    assert params["user"] == manager.requests[-1]["params"]["user"]
    # The fake manager knows no plans: its refusal passes, with the rows that the items come from.
    decoded, of_manager = json.loads(reply.body), json.loads(manager.replies[0])
    assert decoded == of_manager | {"rows": [2, 4, 5, 6, 8]}
    assert decoded["success"] is False
    assert len(decoded["results"]) == 5


async def test_the_answer_is_strict_json(upload: Any, manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    said = b'{"success": false, "msg": "", "items": [{"kwargs": {"a": NaN, "b": -Infinity}}]}'
    monkeypatch.setattr(manager, "answer", lambda request: said)
    reply = await upload("a.csv", b"name,args\ncount,1\n")
    assert not any(word in reply.body for word in (b"NaN", b"Infinity"))
    assert json.loads(reply.body) == {"success": False, "msg": "", "items": [{"kwargs": {"a": None, "b": None}}], "rows": [2]}


async def test_headings_alone_succeed(upload: Any, manager: FakeManager) -> None:
    reply = await upload("a.csv", b"name,args\n")
    assert reply.body == manager.replies[-1]
    decoded = json.loads(reply.body)
    assert (decoded["success"], decoded["items"], decoded["results"]) == (True, [], [])


async def test_faults_are_told_in_the_form_of_the_interface(upload: Any, manager: FakeManager) -> None:
    decoded = json.loads((await upload("a.csv", csv_text(HEAD, ["count", "[det]"], ["count", "", "x"]))).body)
    assert decoded.keys() == {"success", "msg", "items", "results", "error"}
    assert (decoded["success"], decoded["items"], decoded["results"]) == (False, [], [])
    assert decoded["error"]["code"] == "spreadsheet_invalid"
    assert decoded["error"]["path"] == "B2, C3"
    assert "B2: '[det]' is no literal" in decoded["msg"]
    assert "C3: 'x' is no literal" in decoded["msg"]
    assert manager.requests == []


async def test_no_file_is_refused(upload: Any, api: Any, jp_auth_header: dict[str, str], manager: FakeManager) -> None:
    multipart = jp_auth_header | {"Content-Type": "multipart/form-data"}
    replies = [
        await upload(None, b"name\n"),
        await upload("a.csv", b"name\n", field="other"),
        await api("POST", "/queue/upload/spreadsheet"),
        await api("POST", "/queue/upload/spreadsheet", {"spreadsheet": "x"}),
        await api("POST", "/queue/upload/spreadsheet", b"nothing", headers=multipart),
    ]
    for reply in replies:
        assert reply.code == 422
        decoded = json.loads(reply.body)
        assert decoded["detail"][0]["loc"] == ["body", "spreadsheet"]
        assert decoded["error"]["code"] == "malformed_body"
    assert (await api("GET", "/queue/upload/spreadsheet")).code == 405
    assert manager.requests == []


class Reader(Authorizer):
    """Lets everybody read."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return action == "read"


@pytest.mark.parametrize("extra_config", [{"ServerApp": {"authorizer_class": Reader}}])
async def test_who_may_only_read_may_not_upload(upload: Any, manager: FakeManager) -> None:
    reply = await upload("a.csv", b"name,args\n")
    assert reply.code == 401
    assert "write:queue:edit" in json.loads(reply.body)["detail"]
    assert manager.requests == []
