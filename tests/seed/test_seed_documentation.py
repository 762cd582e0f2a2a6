"""The table of the first version's commands in the documentation is that of the declaration."""

from __future__ import annotations

import re
from pathlib import Path

from jupyter_queueserver.api.first_version import COMMANDS

PAGE = Path(__file__).parents[2] / "docs/how-to/first-version.md"


def test_each_command_is_in_the_table_and_nothing_else() -> None:
    rows = re.findall(r"^\| `(\w+)`[^|]*\| (.*?) \| `(\w+)`(.*?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    found = {name: (routes, method, more) for name, routes, method, more in rows}
    assert found.keys() == {*COMMANDS, "monitor"} - {"monitor"}
    for name, (routes, method, more) in found.items():
        command = COMMANDS[name]
        assert re.findall(r"`(\w+ \S+)`", routes) == [f"{command.verb} {path or '/'}" for path in command.paths]
        assert method == command.method
        assert all(key in more for key in command.always), name
