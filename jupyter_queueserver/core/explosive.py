"""Regular expressions that may take for ever: recognised before they are used, because nothing can stop them afterwards.

Python's matcher goes back over what it has matched.  Where a repeated part can be divided in several ways, that takes time with
the power of the length of the name, and the process that waits answers nobody.  The rule here is rough: it also refuses a few
expressions that would do no harm, and every one of those can be written without the repetition in the repetition.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

#: The parser of the standard library; it has no public name.
_sre: Any = importlib.import_module("re._parser")
#: A part that may be repeated more often than this counts as one without bound.
_MANY = 15
#: Most parts without bound, one behind the other: the time grows with that power.
_MOST = 5
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT")


def why_explosive(expression: str) -> str | None:
    """Return why the (valid) expression may take for ever, as the end of a sentence; None if it may not."""
    parsed = _sre.parse(expression)
    if any(_is_ambiguous(inner) for inner in _unbounded(parsed)):
        return "it repeats a part that can be divided in several ways, such as (a+)* or (a|ab)*"
    if (count := sum(1 for _ in _unbounded(parsed))) > _MOST:
        return f"it has {count} parts that may be repeated at will, at most {_MOST} are allowed"
    return None


def _unbounded(parsed: Any) -> Iterator[Any]:
    """Yield what is repeated without bound, at every depth."""
    for name, argument in _nodes(parsed):
        if name in _REPEATS and argument[1] > _MANY and argument[0] != argument[1]:
            yield argument[2]


def _is_ambiguous(repeated: Any) -> bool:
    """Whether there are several ways to go through it."""
    for name, argument in _nodes(repeated):
        if name in _REPEATS and argument[0] != argument[1]:
            return True
        if name == "BRANCH" and not _begin_differently(argument[1]):
            return True
    return False


def _begin_differently(branches: Any) -> bool:
    first = [str(branch[0]) if len(branch) and str(branch[0][0]) == "LITERAL" else None for branch in branches]
    return None not in first and len(set(first)) == len(first)


def _nodes(parsed: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, argument) of every node, at every depth."""
    for operation, argument in parsed:
        yield str(operation), argument
        for inner in _inner(argument):
            yield from _nodes(inner)


def _inner(argument: Any) -> Iterator[Any]:
    if isinstance(argument, _sre.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for part in argument:
            yield from _inner(part)
