"""The types that a parameter may have, as objects that test JSON values without converting them.

A node answers three questions about a value: is it accepted, where is the first fault, and what would a
lenient reader have made of it (only for the wording of a refusal).  Nodes never raise, however absurd the
value.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class NoReading(Exception):
    """A lenient reader could not make anything of the value either."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first place where a value does not fit.

    Attributes
    ----------
    path
        Keys and positions from the parameter's value inward, empty for the value itself.
    value
        The value at that place.
    expected
        What would be accepted there, in words.
    """

    path: tuple[str | int, ...]
    value: Any
    expected: str

    def inside(self, key: str | int) -> Fault:
        """Return the same fault seen from one level further out."""
        return Fault((key, *self.path), self.value, self.expected)


class TypeNode:
    """Base of all nodes; by itself it accepts everything (``typing.Any``)."""

    text = "anything"

    def accepts(self, value: Any) -> bool:
        """Tell whether the value is of the type as it stands."""
        return True

    def fault(self, value: Any) -> Fault | None:
        """Return the first fault, or None if the value is accepted."""
        return None if self.accepts(value) else Fault((), value, self.text)

    def reading(self, value: Any) -> Any:
        """Return what a lenient reader would make of the value; raise `NoReading` if nothing."""
        if self.accepts(value):
            return value
        raise NoReading


class Scalar(TypeNode):
    """One type that is tested by a function.

    Parameters
    ----------
    text
        What is expected, in words.
    test
        True for accepted values; must not raise.
    read
        Conversion of a lenient reader; None if it makes none. May raise ValueError, TypeError or
        OverflowError.
    """

    def __init__(self, text: str, test: Callable[[Any], bool], read: Callable[[Any], Any] | None = None) -> None:
        self.text = text
        # an instance attribute spares one call for each element of a long list
        self.accepts = test  # pyright: ignore[reportAttributeAccessIssue]
        self._read = read

    def reading(self, value: Any) -> Any:
        if self.accepts(value):
            return value
        if self._read is None or not isinstance(value, (str, int, float)):
            raise NoReading
        try:
            return self._read(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise NoReading from error


class Enumerated(TypeNode):
    """A custom type: one of a list of strings."""

    def __init__(self, name: str, names: Sequence[str]) -> None:
        self.names = tuple(names)
        shown = ", ".join(repr(n) for n in self.names[:10]) + (", ..." if len(self.names) > 10 else "")
        self.text = f"one of {shown} ({name})" if names else f"a {name}, but there is none to choose from"
        self._known = frozenset(names)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value in self._known


class KnownDevice(Enumerated):
    """A built-in device type such as ``__READABLE__``: the name of a device, or of a part of one.

    Descriptions may end at some depth: a dotted name is looked up as far as they go, the worker does the rest.

    Parameters
    ----------
    devices
        Tree of the devices that may be named.
    """

    def __init__(self, devices: Mapping[str, Any]) -> None:
        super().__init__("device", sorted(name for name, device in devices.items() if not device.get("excluded")))
        self.text = "the name of a device that may be used"
        self._devices = devices

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        parts = value.split(".")
        device = self._devices.get(parts[0])
        for part in parts[1:]:
            if device is None or not device.get("components"):
                return device is not None and all(parts)  # the description ends before the name does
            device = device["components"].get(part)
        return device is not None and not device.get("excluded")


class Literals(TypeNode):
    """``typing.Literal``: a value equal to a listed one and of its type (0 and 1 also count as bool)."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = tuple(values)
        self.text = "one of " + ", ".join(repr(value) for value in values)

    def accepts(self, value: Any) -> bool:
        return any(_same_literal(value, listed) for listed in self.values)


class Alternatives(TypeNode):
    """A union: any of several types."""

    def __init__(self, nodes: Sequence[TypeNode]) -> None:
        self.nodes = tuple(nodes)
        self.text = " or ".join(node.text for node in nodes)

    def accepts(self, value: Any) -> bool:
        return any(node.accepts(value) for node in self.nodes)

    def fault(self, value: Any) -> Fault | None:
        """Name the place inside the value if exactly one alternative got that far, else the value itself."""
        faults = [node.fault(value) for node in self.nodes]
        if None in faults:
            return None
        deeper = [fault for fault in faults if fault is not None and fault.path]
        return deeper[0] if len(deeper) == 1 else Fault((), value, self.text)

    def reading(self, value: Any) -> Any:
        if self.accepts(value):
            return value
        for node in self.nodes:
            try:
                return node.reading(value)
            except NoReading:
                continue
        raise NoReading


class Elements(TypeNode):
    """A list, sequence, set or variadic tuple; JSON has only lists for all of them.

    Parameters
    ----------
    text
        What is expected, in words.
    item
        Type of every element; None accepts any.
    unique
        True for sets: elements must be hashable.
    keys_too
        True for iterables: a dictionary counts, as its keys.
    kinds
        Accepted classes of the container.
    """

    def __init__(
        self,
        text: str,
        item: TypeNode | None,
        *,
        unique: bool = False,
        keys_too: bool = False,
        kinds: tuple[type, ...] = (list, tuple),
    ) -> None:
        self.text = text
        self.item = item
        self._unique = unique
        self._keys_too = keys_too
        self._kinds = kinds

    def _is_container(self, value: Any) -> bool:
        if isinstance(value, self._kinds):
            return not self._unique or all(is_hashable(element) for element in value)
        return self._keys_too and isinstance(value, Mapping)

    def accepts(self, value: Any) -> bool:
        if not self._is_container(value):
            return False
        return self.item is None or all(map(self.item.accepts, value))

    def fault(self, value: Any) -> Fault | None:
        if not self._is_container(value):
            return Fault((), value, self.text)
        if self.item is not None:
            for position, element in enumerate(value):
                found = self.item.fault(element)
                if found is not None:
                    return found.inside(position)
        return None

    def reading(self, value: Any) -> Any:
        if self.accepts(value):
            return value
        if self.item is None or not self._is_container(value):
            raise NoReading
        return [self.item.reading(element) for element in value]


class Positions(TypeNode):
    """A tuple of fixed length with one type for each position."""

    def __init__(self, text: str, items: Sequence[TypeNode]) -> None:
        self.text = text
        self.items = tuple(items)

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, (list, tuple)) or len(value) != len(self.items):
            return False
        return all(node.accepts(element) for node, element in zip(self.items, value, strict=True))

    def fault(self, value: Any) -> Fault | None:
        if not isinstance(value, (list, tuple)) or len(value) != len(self.items):
            return Fault((), value, self.text)
        for position, (node, element) in enumerate(zip(self.items, value, strict=True)):
            found = node.fault(element)
            if found is not None:
                return found.inside(position)
        return None


class Entries(TypeNode):
    """A dictionary; keys of JSON are always strings."""

    def __init__(self, text: str, key: TypeNode | None, item: TypeNode | None) -> None:
        self.text = text
        self.key = key
        self.item = item

    def accepts(self, value: Any) -> bool:
        return self.fault(value) is None

    def fault(self, value: Any) -> Fault | None:
        if not isinstance(value, Mapping):
            return Fault((), value, self.text)
        for key, element in value.items():
            if self.key is not None and not self.key.accepts(key):
                return Fault((), key, f"{self.key.text} as key")
            found = self.item.fault(element) if self.item is not None else None
            if found is not None:
                return found.inside(key)
        return None


def is_hashable(value: Any) -> bool:
    """Tell whether a value may be an element of a set; never raises."""
    if not isinstance(value, Hashable):
        return False
    try:
        hash(value)
    except (TypeError, RecursionError):
        return False
    return True


def _same_literal(value: Any, listed: Any) -> bool:
    if type(value) is type(listed):
        return value == listed
    return isinstance(listed, bool) and type(value) is int and value == listed


def _read_int(value: Any) -> int:
    number = int(value) if not isinstance(value, float) else value
    if number != int(number):
        raise ValueError
    return int(number)


def _read_bool(value: Any) -> bool:
    words = {
        **dict.fromkeys(("true", "yes", "on", "1"), True),
        **dict.fromkeys(("false", "no", "off", "0"), False),
    }
    found = words.get(value.lower()) if isinstance(value, str) else {0: False, 1: True}.get(value)
    if found is None:
        raise ValueError
    return found


ANY = TypeNode()
NONE = Scalar("None", lambda value: value is None)
INT = Scalar("int", lambda value: type(value) is int, _read_int)
FLOAT = Scalar("float", lambda value: isinstance(value, (float, int)), float)
STR = Scalar("str", lambda value: isinstance(value, str))
BOOL = Scalar(
    "bool",
    lambda value: value is True or value is False or (type(value) is int and value in (0, 1)),
    _read_bool,
)
BYTES = Scalar("bytes (which JSON cannot carry)", lambda value: isinstance(value, bytes))
COMPLEX = Scalar("complex (which JSON cannot carry)", lambda value: isinstance(value, complex))
HASHABLE = Scalar("a hashable value (no list or dictionary)", is_hashable)
CALLABLE = Scalar("a callable object (a name is accepted only where the type is __CALLABLE__)", callable)
