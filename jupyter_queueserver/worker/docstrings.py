"""Reads the summary and the parameter texts of a docstring written in the NumPy style.

Only what the plan descriptions need; one of another style gives its first paragraph and no parameters.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_UNDERLINE = re.compile(r"^\s*(-{3,}|={3,})\s*$")
_PARAMETER_SECTIONS = ("parameters", "other parameters")


@dataclass(frozen=True, slots=True)
class DocText:
    """What was found.

    Attributes
    ----------
    summary
        First paragraph, may have several lines; empty if there is none.
    parameters
        Parameter name (without ``*``) -> text; parameters without text are missing.
    """

    summary: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> DocText:
    """Read a docstring as Python holds it; None gives an empty result."""
    if not text or not text.strip():
        return DocText()
    lines = inspect.cleandoc(text).splitlines()
    starts = [i for i in range(len(lines) - 1) if lines[i].strip() and _UNDERLINE.match(lines[i + 1])]
    summary = _summary(lines[: starts[0]] if starts else lines)
    parameters: dict[str, str] = {}
    for number, start in enumerate(starts):
        if lines[start].strip().lower() in _PARAMETER_SECTIONS:
            end = starts[number + 1] if number + 1 < len(starts) else len(lines)
            parameters.update(_parameters(lines[start + 2 : end]))
    return DocText(summary, parameters)


def _summary(lines: list[str]) -> str:
    paragraph: list[str] = []
    for line in lines:
        if line.strip():
            paragraph.append(line.strip())
        elif paragraph:
            break
    return "\n".join(paragraph)


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    body: list[str] = []

    def finish() -> None:
        text = inspect.cleandoc("\n" + "\n".join(body)).strip()
        found.update({name: text for name in names if text})

    for line in lines:
        if line.strip() and not line[0].isspace():
            finish()
            names, body = _names(line), []
        else:
            body.append(line)
    finish()
    return found


def _names(line: str) -> list[str]:
    """Split ``x, *args : type`` into the names."""
    head = re.split(r"\s*:(?:\s|$)", line, maxsplit=1)[0]
    names = (name.strip().strip("`").replace("\\", "").lstrip("*") for name in head.split(","))
    return [name for name in names if name.isidentifier()]
