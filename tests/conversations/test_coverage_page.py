"""The table of proof has a test for every method over every way in, and names only what exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from shown import PAGE, WAYS, is_absent
from talks import talks

from jupyter_queueserver.api import methods

#: Methods without a success that a client may wish for: internal to the old server, kept as a refusal.
ONLY_REFUSED = {"manager_test"}
_ROW = re.compile(r"^\| \[`(\w+)`\]\(methods\.md#\1\) \| (.+) \|$", re.MULTILINE)


def cells() -> dict[tuple[str, str], str]:
    """Method and way -> cell of the table."""
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {(method, way): cell for method, row in rows for way, cell in zip(WAYS, row.split(" | "), strict=True)}


def known_tests() -> set[str]:
    """Every conversation, and every test function beside it."""
    found = set(talks())
    for path in Path(__file__).parent.glob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    return found


def test_every_method_is_shown_over_every_way() -> None:
    assert cells().keys() == {(method, way) for method in methods() for way in WAYS}
    for (method, way), cell in cells().items():
        if is_absent(method, way):
            assert cell == "-", (method, way)
        else:
            assert method in ONLY_REFUSED or cell.startswith("`"), f"{method} is not shown over {way}: run make coverage-table"


def test_every_named_test_exists() -> None:
    named = {name for cell in cells().values() for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 20
    assert named <= known_tests()
