"""Names and patterns of plans, devices and functions: one string selects one name or a set of names.

A pattern is compiled once and then asked.  This module knows trees of device descriptions only as
dictionaries and must not know who asks (permissions, plan decorators).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .descriptions import components, device_is, lookup, walk_devices

#: Longest accepted name or pattern, in characters, and the largest accepted number of parts of a pattern.
MAX_LENGTH, MAX_PARTS = 1000, 50

_NAME = re.compile(r"^[_a-zA-Z]([_a-zA-Z0-9\.]*[_a-zA-Z0-9])?$")
_DEPTH = re.compile(r"^depth=([0-9]{1,4})$")
_TYPES = {
    "__READABLE__": "readable",
    "__FLYABLE__": "flyable",
    "__DETECTOR__": "detector",
    "__MOTOR__": "motor",
}


class PatternInvalid(ValueError):
    """A name or pattern that cannot be read; the text says why."""


def is_name(text: str) -> bool:
    """Tell whether a string is a well-formed name such as ``det1`` or ``stage.x``."""
    return len(text) <= MAX_LENGTH and _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a pattern: the expression searched at one depth.

    Attributes
    ----------
    regex
        Searched, not anchored.
    include
        False: matching devices are only passed through (marker ``-``).
    full
        True: applied to the dotted rest of the name at all deeper levels (marker ``?``).
    """

    regex: re.Pattern[str]
    include: bool = True
    full: bool = False


@dataclass(frozen=True, slots=True)
class DevicePattern:
    """A compiled device name or device pattern.

    Attributes
    ----------
    text
        As it was written, without spaces.
    name
        The exact name; None for a pattern.
    kind
        ``readable``, ``detector``, ``motor`` or ``flyable``; None includes every device.
    parts
        Empty for a name.
    depth
        Number of levels searched by a full-name part, at least 1; None is unlimited.
    """

    text: str
    name: str | None = None
    kind: str | None = None
    parts: tuple[Part, ...] = ()
    depth: int | None = None

    @property
    def expressions(self) -> tuple[str, ...]:
        """Its regular expressions."""
        return tuple(part.regex.pattern for part in self.parts)

    def select(self, devices: Mapping[str, Any]) -> set[str]:
        """Return the dotted names of all devices and components of the tree that are included."""
        if self.name is not None:
            return {self.name} if lookup(devices, self.name) is not None else set()
        return set(self._search(devices, "", 0))

    def _search(self, devices: Mapping[str, Any], prefix: str, index: int) -> Iterator[str]:
        part = self.parts[index]
        if part.full:
            for rest, device in walk_devices(devices, max_depth=self.depth):
                if part.regex.search(rest) and device_is(device, self.kind):
                    yield prefix + rest
            return
        last = index == len(self.parts) - 1
        for name, device in devices.items():
            if not part.regex.search(name):
                continue
            if (part.include or last) and device_is(device, self.kind):
                yield prefix + name
            if not last:
                yield from self._search(components(device), f"{prefix}{name}.", index + 1)


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A compiled name or pattern of plans or functions (one level, no types)."""

    text: str
    name: str | None = None
    regex: re.Pattern[str] | None = None

    @property
    def expressions(self) -> tuple[str, ...]:
        """Its regular expression, if it has one."""
        return () if self.regex is None else (self.regex.pattern,)

    def matches(self, name: str) -> bool:
        """Tell whether a plan or function of this name is selected."""
        return name == self.name if self.regex is None else self.regex.search(name) is not None


def parse_device_pattern(text: str) -> DevicePattern:
    """Compile a device name or pattern.

    Raises
    ------
    PatternInvalid
        The string is empty, too long, no name, or a pattern with a broken part.
    """
    clean = _clean(text)
    if ":" not in clean:
        return DevicePattern(clean, name=_checked_name(clean))
    prefix, *texts = clean.split(":")
    if prefix and prefix not in _TYPES:
        known = ", ".join(_TYPES)
        raise PatternInvalid(f"Unknown device type {prefix!r} in pattern {clean!r}: expected one of {known}")
    depth = None
    if len(texts) > 1 and texts[-1].startswith("depth="):
        depth = _depth(texts.pop(), clean)
        if not texts[-1].startswith("?"):
            raise PatternInvalid(f"Pattern {clean!r}: 'depth=' may follow only a part that starts with '?'")
    if len(texts) > MAX_PARTS:
        raise PatternInvalid(f"Pattern has {len(texts)} parts, at most {MAX_PARTS} are allowed")
    parts = tuple(_part(part, clean) for part in texts)
    if any(part.full for part in parts[:-1]):
        raise PatternInvalid(f"Pattern {clean!r}: a part that starts with '?' must be the last one")
    return DevicePattern(clean, None, _TYPES.get(prefix), parts, depth)


def parse_name_pattern(text: str) -> NamePattern:
    """Compile a name or pattern of plans or functions.

    Raises
    ------
    PatternInvalid
        The string is empty, too long, no name, has a type, a depth or several parts, or a broken expression.
    """
    clean = _clean(text)
    if ":" not in clean:
        return NamePattern(clean, name=_checked_name(clean))
    prefix, *texts = clean.split(":")
    if prefix:
        raise PatternInvalid(f"Pattern {clean!r}: a type ({prefix!r}) is allowed only in patterns of devices")
    if len(texts) != 1:
        raise PatternInvalid(f"Pattern {clean!r}: only one part is allowed here, found {len(texts)}")
    return NamePattern(clean, regex=_part(texts[0], clean).regex)


def _clean(text: object) -> str:
    if not isinstance(text, str):
        raise PatternInvalid(f"A name or pattern must be a string, not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise PatternInvalid(f"Name or pattern has {len(text)} characters, at most {MAX_LENGTH} are allowed")
    clean = text.replace(" ", "")
    if not clean:
        raise PatternInvalid("Name or pattern is an empty string")
    return clean


def _checked_name(text: str) -> str:
    if not is_name(text):
        raise PatternInvalid(
            f"{text!r} is not a name (letters, digits, '_' and '.', not starting with a digit); "
            f"a pattern must contain a colon, e.g. ':{text}'"
        )
    return text


def _depth(text: str, pattern: str) -> int:
    found = _DEPTH.fullmatch(text)
    if found is None or int(found[1]) < 1:
        raise PatternInvalid(f"Pattern {pattern!r}: {text!r} must be 'depth=N' with a number N of 1 to 9999")
    return int(found[1])


def _part(text: str, pattern: str) -> Part:
    marker, expression = (text[0], text[1:]) if text[:1] in ("+", "-", "?") else ("", text)
    if not expression:
        raise PatternInvalid(f"Pattern {pattern!r} has an empty part")
    if expression.startswith("depth="):
        raise PatternInvalid(f"Pattern {pattern!r}: 'depth=' may follow only a part that starts with '?'")
    try:
        regex = re.compile(expression)
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternInvalid(
            f"Pattern {pattern!r}: {expression!r} is not a regular expression ({error}); note that a colon always separates parts"
        ) from error
    return Part(regex, include=marker != "-", full=marker == "?")
