"""Write what is generated from the registry: ``python -m jupyter_queueserver.api.generate [--check]``.

The generated files are committed; with ``--check`` nothing is written and the exit status is 1 if one is stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .client_source import client_source
from .openapi import openapi
from .reference import reference

ROOT = Path(__file__).resolve().parents[2]

#: path below the repository -> what makes its text
GENERATED: dict[str, Callable[[], str]] = {
    "jupyter_queueserver/client/_methods.py": client_source,
    "docs/reference/methods.md": reference,
    "docs/reference/openapi.json": lambda: json.dumps(openapi("0.1", "/api"), indent=1, ensure_ascii=False) + "\n",
}


def stale(root: Path = ROOT) -> list[str]:
    """Return the names of generated files that are missing or differ from what would be written."""
    return [name for name, make in GENERATED.items() if _text(root / name) != make()]


def write(root: Path = ROOT) -> None:
    """Write all generated files."""
    for name, make in GENERATED.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(), encoding="utf-8")


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the generator; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words not in ([], ["--check"]):
        print("usage: python -m jupyter_queueserver.api.generate [--check]", file=sys.stderr)
        return 2
    if not words:
        write()
        return 0
    found = stale()
    for name in found:
        print(f"{name} is stale: run python -m jupyter_queueserver.api.generate", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
