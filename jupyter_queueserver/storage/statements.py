"""The SQL of the SQLite store, read from the files beside it: named statements and numbered migrations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

_PACKAGE = __name__.rpartition(".")[0]
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")


@cache
def statements() -> Mapping[str, str]:
    """Return the statements of ``queries.sql`` by name."""
    text = files(_PACKAGE).joinpath("sql", "queries.sql").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for part in text.split("-- name: ")[1:]:
        name, _, statement = part.partition("\n")
        found[name.strip()] = statement.strip().removesuffix(";")
    return found


def migrations() -> list[tuple[int, str]]:
    """Return number and script of every migration, in order; numbers begin at 1 and have no gap."""
    found: list[tuple[int, str]] = []
    for entry in sorted(files(_PACKAGE).joinpath("sql").iterdir(), key=lambda entry: entry.name):
        if matched := _MIGRATION.fullmatch(entry.name):
            found.append((int(matched[1]), entry.read_text(encoding="utf-8")))
    return found
