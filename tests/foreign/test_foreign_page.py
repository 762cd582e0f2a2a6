"""The page about compatibility tells the truth: every method is in its table, and what it names is called by a test."""

from __future__ import annotations

import re

import pytest
from foreign_stage import ROOT, SCRIPTS
from subcommands import ROWS

from jupyter_queueserver.api import methods

PAGE = (ROOT / "docs" / "reference" / "compatibility.md").read_text(encoding="utf-8")
TABLE = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")]
ROWS_OF_METHODS = {row[0].strip("`"): row[1:] for row in TABLE if row[0].strip("`") in methods()}
CHAPTERS = "".join(path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.glob("chapters_*.py")))
WIDGETS = (SCRIPTS / "widget_model.py").read_text(encoding="utf-8")


#: Methods that existing clients can know.
OLD = sorted(name for name, method in methods().items() if not method.ours)


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_method_has_its_row() -> None:
    assert sorted(ROWS_OF_METHODS) == OLD


@pytest.mark.parametrize("method", OLD)
def test_what_a_row_names_is_called(method: str) -> None:
    api, words, model = ROWS_OF_METHODS[method]
    for name in named(api):
        if name == "send_request(...)":
            assert f'"{method}"' in CHAPTERS or f'"/api/{method.replace("_", "/")}"' in CHAPTERS
        else:
            assert re.search(rf'\.{name}\(|"{name}"|f"{{kind}}_{name.partition("_")[2]}"', CHAPTERS), name
    for form in named(words):
        start = re.split(r" [.\[<]", form)[0]
        assert any(row.startswith(start) for row in ROWS), form
    for name in named(model):
        assert f"model.{name}" in WIDGETS or name.startswith("..."), name


def test_versions_are_those_that_are_installed() -> None:
    for line in (ROOT / "tests" / "foreign" / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            assert re.search(rf"`{name}`[^|]*\| {re.escape(version)} \|", PAGE), line
