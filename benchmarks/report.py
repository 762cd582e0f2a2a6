"""The table as text for the terminal and as RESULTS.md."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from .figures import Figure, RowResult

_PACKAGES = ("bluesky", "ophyd", "ipykernel", "jupyter-server", "pyzmq", "msgspec", "tornado")
_HEAD = ("what", "reach", "ours", "reached", "min / median / p90", "baseline in the same run", "old server")

_NOTES = (
    "",
    "- `queue_item_add`: addition, raw commit and status follow each other in turns, at three sizes of the queue. So a status"
    " comes after a write and takes longer than in its own row, where one follows the other at once; with the figure of that row"
    " as the unit the ratio would be larger.",
    "- Start: the old manager is forked from a watchdog that has imported everything; only the second line compares alike.",
    "- PSS shares the pages of the interpreter among all Python processes of the machine; RSS counts them in full.",
    "- The runs use a startup folder of their own (`benchmarks/startup`) and no Databroker, except for the idle row"
    " (default settings).",
    "",
)


def cells(figure: Figure) -> tuple[str, ...]:
    """One line of the table."""
    value = f"{figure.value:.{figure.digits}f}"
    return (figure.what, figure.reach, value, figure.verdict, figure.spread, figure.baseline, figure.old)


def terminal_text(result: RowResult) -> str:
    """A row as it is printed while the others still run."""
    lines = [f"[{result.name}] {result.seconds:.0f} s, load {result.load[0]:.1f} -> {result.load[1]:.1f}"]
    for figure in result.figures:
        what, reach, value, verdict, spread, baseline, old = cells(figure)
        judged = f"  (reach {reach}: {verdict})" if reach else ""
        lines.append(f"  {what}: {value}{judged}")
        lines += [f"      {label}: {text}" for label, text in (("spread", spread), ("baseline", baseline), ("old", old)) if text]
    return "\n".join(lines)


def results_text(results: Sequence[RowResult], words: Sequence[str], has_old: bool) -> str:
    """The contents of RESULTS.md."""
    lines = [
        "# Results of the benchmarks",
        "",
        f"Made by `python -m benchmarks {shlex.join(words)}` on {datetime.date.today().isoformat()}; do not edit by hand.",  # noqa: DTZ011
        "",
        *machine(),
    ]
    if has_old:
        lines.append("- Old server: bluesky-queueserver 0.0.25 as an installed program with a real Redis, in the same run.")
    lines += [
        "- Load of the machine (1 min) before and after each row: "
        + "; ".join(f"{result.name} {result.load[0]:.1f}, {result.load[1]:.1f}" for result in results)
        + ". The benchmarks themselves are a part of it.",
        "",
        "Every figure has its baseline in the same run; both take turns. A figure that is missed is told here, no test fails.",
        *_NOTES,
        "| " + " | ".join(_HEAD) + " |",
        "|" + "---|" * len(_HEAD),
    ]
    lines += ["| " + " | ".join(cells(figure)) + " |" for result in results for figure in result.figures]
    return "\n".join(lines) + "\n"


def machine() -> list[str]:
    """What the figures were seen on, without names."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return [
        f"- Machine: {platform.system()} {platform.machine()}, {os.cpu_count()} cores.",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}.",
    ]


def write(path: Path, results: Sequence[RowResult], words: Sequence[str], has_old: bool) -> None:
    """Replace RESULTS.md, but for the sections that other programs have written (`write_section`)."""
    _, sections = _divided(path)
    path.write_text("".join((results_text(results, words, has_old), *sections)), encoding="utf-8")
    print(f"written: {path.name}", file=sys.stderr)


def write_section(path: Path, title: str, text: str) -> None:
    """Write the section ``## title`` of RESULTS.md, in the place of an older one of that title."""
    head, sections = _divided(path)
    mine = f"\n## {title}\n\n{text.strip()}\n"
    others = [section for section in sections if not section.startswith(f"\n## {title}\n")]
    path.write_text("".join((head, *others, mine)), encoding="utf-8")
    print(f"written: {path.name}, {title}", file=sys.stderr)


def _divided(path: Path) -> tuple[str, list[str]]:
    """What is before the sections, and the sections."""
    head, *rest = path.read_text(encoding="utf-8").split("\n## ") if path.exists() else [""]
    ends = [*("" if part.endswith("\n") else "\n" for part in rest)]
    return head if head.endswith("\n") or not rest else head + "\n", [
        f"\n## {part}{end}" for part, end in zip(rest, ends, strict=True)
    ]
