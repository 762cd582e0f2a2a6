"""Items of the queue: a plan or an instruction with its arguments, as text that is made once.

An `Item` never changes.  It keeps the JSON text that is stored, published, sent to the worker and answered to clients, so
that a queue of ten thousand items is a join of ten thousand texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from .codec import HasJson, from_json, python_json
from .endings import RETURNED, is_unconfirmed

#: Keys of an item that a client may send; all others are dropped silently (the interface says so).
KEPT_KEYS = ("item_uid", "item_type", "name", "args", "kwargs", "meta", "user", "user_group", "properties")

_RETURNED_KEY = f'"{RETURNED}"'.encode()


class _Head(msgspec.Struct):
    """The keys that rules look at."""

    item_uid: str
    item_type: str
    name: str
    user_group: str = ""


_head = msgspec.json.Decoder(_Head).decode


class Item(HasJson):
    """One entry of queue, history, or the running one.

    Attributes
    ----------
    item_uid, item_type, name, user_group
        The keys that rules look at most; ``item_type`` is ``"plan"`` or ``"instruction"``.
    text
        The whole item as JSON text (UTF-8 bytes).
    """

    __slots__ = ("_text", "item_type", "item_uid", "name", "user_group")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.item_uid: str = fields["item_uid"]
        self.item_type: str = fields["item_type"]
        self.name: str = fields["name"]
        self.user_group: str = fields.get("user_group", "")
        self._text = python_json(fields)

    @property
    def text(self) -> bytes:
        return self._text

    @classmethod
    def of_text(cls, text: bytes) -> Item:
        """Make one of the text of another one; raises ``ValueError`` or ``KeyError`` if it is no item's text.

        Only the keys that rules look at are read, so that a hundred thousand items are loaded in less than a second.
        """
        try:
            keys = _head(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # NaN, half a surrogate pair, or no item at all
            return cls(from_json(text))
        made = cls.__new__(cls)
        made.item_uid, made.item_type, made.name, made.user_group = keys.item_uid, keys.item_type, keys.name, keys.user_group
        made._text = text  # noqa: SLF001 - its own class
        return made

    @classmethod
    def from_value(cls, value: Any) -> Item:
        return cls(value)

    @property
    def fields(self) -> dict[str, Any]:
        """The item as a dictionary, a fresh one at each access."""
        return json.loads(self._text)

    @property
    def is_plan(self) -> bool:
        """Whether the worker runs it (else the manager does)."""
        return self.item_type == "plan"

    @property
    def is_unconfirmed(self) -> bool:
        """Whether it came back to the queue and nobody has confirmed that it may run again."""
        # Only an item that may have the mark is parsed: a whole queue is asked before each start.
        return _RETURNED_KEY in self._text and is_unconfirmed(self.fields.get(RETURNED))

    def replaced(self, **fields: Any) -> Item:
        """Return a copy with some keys set; a value of None removes the key."""
        merged = self.fields | fields
        return Item({key: value for key, value in merged.items() if value is not None or key not in fields})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Item):
            return NotImplemented
        return self._text == other._text or python_json(_sorted(self.fields)) == python_json(_sorted(other.fields))

    def __hash__(self) -> int:
        return hash(self.item_uid)

    def __repr__(self) -> str:
        return f"Item({self._text.decode(errors='replace')})"


def _sorted(value: Any) -> Any:
    """Order of keys does not matter when items are compared."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(part) for part in value]
    return value


def kept(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Drop every key that is not part of the interface, and what a client must not set.

    ``properties`` is the server's own: the keys that steer the execution (``time_start``, ``immediate_execution``) are
    dropped when a client sends them; a ``properties`` that is no dictionary stays, for the check that refuses it.
    """
    result = {key: fields[key] for key in KEPT_KEYS if key in fields}
    properties = result.get("properties")
    if isinstance(properties, dict):
        rest = {k: v for k, v in properties.items() if k not in ("time_start", "immediate_execution")}
        if rest:
            result["properties"] = rest
        else:
            del result["properties"]
    return result
