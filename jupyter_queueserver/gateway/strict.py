"""Strict JSON towards the web: no NaN, no Infinity.  Browsers refuse a whole page of the queue because of one of them.

The manager and its 0MQ clients speak Python's dialect, where they are legal parameters of plans.  Pure.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

#: Whatever is JSON; it does not keep what it reads.
_ANY = msgspec.json.Decoder(msgspec.Raw)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

_FLAT = bytes.maketrans(b"123456789E", b"000000000e")
#: A number with an exponent of three digits or more; with fewer, and below 200 digits, a number is finite.
_GREAT = re.compile(rb"(?:^|[\[:,\s])-?\d[\d.]*[eE]\+?\d{3}")


def strict(data: bytes) -> bytes:
    """Return an answer of the manager as strict JSON: the same bytes, unless there is NaN or Infinity in it (`rewritten`)."""
    if b"NaN" not in data and b"Infinity" not in data:
        return data
    try:
        _ANY.decode(data)
    except msgspec.MsgspecError:
        return rewritten(data)
    return data  # it is a word in a text


def rewritten(data: bytes) -> bytes:
    """Return JSON of Python's dialect as strict JSON; raises ``ValueError`` or ``RecursionError``.

    What is not finite becomes null; half a surrogate pair, which is no character, becomes U+FFFD.
    """
    decoded = json.loads(data.decode("utf-8", "replace"), parse_constant=lambda _: None, parse_float=_finite)
    text = json.dumps(decoded, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).encode()


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def place_of_non_finite(body: bytes) -> list[str | int] | None:
    """Return the keys and indexes that lead to the first NaN, Infinity or number beyond all floats; None: all are finite.

    None also for what is no JSON at all: that is told by who decodes it.
    """
    if not _is_suspect(body):
        return None
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return None
    waiting: list[tuple[Any, tuple[Any, ...]]] = [(decoded, ())]
    while waiting:
        value, way = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return _steps(way)
        if isinstance(value, dict):
            waiting += [(part, (way, key)) for key, part in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(value[place], (way, place)) for place in range(len(value) - 1, -1, -1)]
    return None


def _is_suspect(body: bytes) -> bool:
    """Whether it is worth while to decode it: a batch of thousands of items costs some milliseconds here."""
    if b"NaN" in body or b"Infinity" in body:
        return True
    flat = body.translate(_FLAT)
    if b"0" * 200 in flat:
        return True
    return (b"e000" in flat or b"e+000" in flat) and _GREAT.search(body) is not None


def _steps(way: tuple[Any, ...]) -> list[str | int]:
    found: list[str | int] = []
    while way:
        way, step = way
        found.append(step)
    return found[::-1]


def path_text(steps: list[str | int]) -> str:
    """Return the steps as refusals name a place: ``items[0].kwargs.num``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
