"""The core and the declarations stay pure: they may import little more than each other."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import jupyter_queueserver

_ROOT = Path(jupyter_queueserver.__file__).parent
_IMPURE = {
    "asyncio", "concurrent", "datetime", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "selectors",
    "shutil", "signal", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "uuid", "zoneinfo",
}  # fmt: skip
_MODULES = sorted([*(_ROOT / "core").rglob("*.py"), *(_ROOT / "api").rglob("*.py")])


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(_ROOT)))
def test_pure_rooms_import_no_world(path: Path) -> None:
    names = _imports(path)
    if path.name == "generate.py":  # a program for developers, not part of the interface
        names -= {"pathlib", "argparse", "sys"}
    assert not names & _IMPURE
    assert names <= {*sys.stdlib_module_names, "msgspec"}
