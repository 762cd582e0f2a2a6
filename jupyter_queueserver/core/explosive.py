"""Regular expressions that may take for ever: recognised before they are used, because nothing can stop them afterwards.

Python's matcher goes back over what it has matched.  Where a repeated part can be divided in several ways, that takes time with
the power of the length of the name, and the process that waits answers nobody.  The rule here looks at the characters with which
parts may begin and go on; it is rough, and refuses a few expressions that would do no harm.  (A library whose time is bounded
would not know all of Python's expressions, and one with a time limit would make a list depend on how busy the machine is.)
"""

from __future__ import annotations

import functools
import importlib
import math
import re
from collections.abc import Iterator
from typing import Any

#: The parser of the standard library; it has no public name.
_sre: Any = importlib.import_module("re._parser")
#: A part that may be repeated more often than this counts as one without bound.
_MANY = 15
#: What a part without bound weighs; the time doubles with each unit, for names of some dozen characters.
_BOUNDLESS = 4.0
#: The most that an expression may weigh: four parts without bound, a dozen that may be there or not.
_MOST = 16.0
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_NO_WIDTH = ("AT", "ASSERT", "ASSERT_NOT")
#: All characters that are told apart: ASCII, and one for the rest.
_EVERY = frozenset(range(128)) | {0x100}
_CATEGORIES = {
    name: frozenset(code for code in _EVERY if re.match(short, chr(code)))
    for name, short in {
        "CATEGORY_DIGIT": r"\d",
        "CATEGORY_NOT_DIGIT": r"\D",
        "CATEGORY_SPACE": r"\s",
        "CATEGORY_NOT_SPACE": r"\S",
        "CATEGORY_WORD": r"\w",
        "CATEGORY_NOT_WORD": r"\W",
    }.items()
}

Codes = frozenset[int]


@functools.lru_cache(maxsize=1024)
def why_explosive(expression: str) -> str | None:
    """Return why the (valid) expression may take for ever, as the end of a sentence; None if it may not."""
    try:
        return _why(_sre.parse(expression))
    except RecursionError:
        return "its brackets are nested too deeply"


def _why(parsed: Any) -> str | None:
    if any(argument[1] > 1 and _is_ambiguous(argument[2]) for argument in _repeats(parsed)):
        return "it repeats a part that can be divided in several ways, such as (a+)* or (a|ab)*"
    if _weight(parsed) > _MOST:
        most = int(_MOST / _BOUNDLESS)
        return f"it has too many parts that may match in several ways; at most {most} may be repeated at will, as in .*"
    return None


def _weight(parsed: Any) -> float:
    """In how many ways it may go through a name, as a power of two; parts one behind the other multiply."""
    weight = 0.0
    for operation, argument in parsed:
        name = str(operation)
        inner = [_weight(part) for part in _inner(argument)]
        if name == "BRANCH":
            ways = 0.0 if _begin_differently(argument[1]) else math.log2(len(argument[1]))
            weight += ways + max(inner, default=0.0)
        else:
            weight += sum(inner) + (_ways(argument) if name in _REPEATS else 0.0)
    return weight


def _ways(repeat: Any) -> float:
    least, most = repeat[0], repeat[1]
    if most > _MANY and least != most:
        return _BOUNDLESS
    return 0.0 if least == most else 1.25 * math.log2(most - least + 1)


def _is_ambiguous(repeated: Any) -> bool:
    """Whether there may be several ways to go through it: a part of variable length can go on where the next round, or another
    such part, begins."""
    taken = _first(repeated)
    for argument in _repeats(repeated):
        if argument[0] != argument[1]:
            alphabet = _alphabet(argument[2])
            if alphabet & taken:
                return True
            taken |= alphabet
    return any(not _begin_differently(branches) for branches in _branches(repeated))


def _begin_differently(branches: Any) -> bool:
    seen: set[int] = set()
    for branch in branches:
        first = _first(branch)
        if not first or first & seen:
            return False
        seen |= first
    return True


def _repeats(parsed: Any) -> Iterator[Any]:
    """Yield (least, most, part) of every repetition, at every depth."""
    return (argument for name, argument in _nodes(parsed) if name in _REPEATS)


def _branches(parsed: Any) -> Iterator[Any]:
    """Yield the alternatives of every choice, at every depth."""
    return (argument[1] for name, argument in _nodes(parsed) if name == "BRANCH")


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


def _alphabet(parsed: Any) -> Codes:
    """All characters that it may match, at any place."""
    found: Codes = frozenset()
    for name, argument in _nodes(parsed):
        found |= _codes(name, argument)
    return found


def _first(parsed: Any) -> Codes:
    """The characters with which it may begin."""
    found: Codes = frozenset()
    for operation, argument in parsed:
        name = str(operation)
        if name in _NO_WIDTH:
            continue
        inner = [_first(part) for part in _inner(argument)]
        found = found.union(_codes(name, argument), *inner)
        may_be_empty = name in _REPEATS and argument[0] == 0
        if not may_be_empty and (not inner or all(inner)):
            break
    return found


def _codes(name: str, argument: Any) -> Codes:
    """What a node matches by itself, without the parts in it; capital and small letters are the same."""
    if name == "LITERAL":
        return _both_cases({argument})
    if name == "NOT_LITERAL":
        return _EVERY - {argument}
    if name == "IN":
        return _class_codes(argument)
    return _EVERY if name in ("ANY", "GROUPREF", "GROUPREF_EXISTS") else frozenset()


def _class_codes(parts: Any) -> Codes:
    found: set[int] = set()
    negated = False
    for operation, argument in parts:
        name = str(operation)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            found.add(argument)
        elif name == "RANGE":
            found.update(range(argument[0], min(argument[1], 127) + 1), [0x100] if argument[1] > 127 else [])
            found.update(code for code in _FOLDED if argument[0] <= code <= argument[1])
        else:
            found |= _CATEGORIES.get(str(argument), _EVERY)
    return _EVERY - found if negated else _both_cases(found)


#: Letters beyond ASCII that are the same as one of ASCII where capital and small letters are: long s, and the sign of Kelvin.
_FOLDED = {0x17F: ord("s"), 0x212A: ord("k")}


def _both_cases(codes: set[int]) -> Codes:
    known = {code if code < 128 else 0x100 for code in codes} | {_FOLDED[code] for code in codes if code in _FOLDED}
    return frozenset(known | {ord(chr(code).swapcase()) for code in known if code < 128})
