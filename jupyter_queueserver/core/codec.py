"""JSON and msgpack, in one place: what goes over sockets and into stores.

The wire speaks Python's dialect of JSON (``NaN``, ``Infinity``, integers of any size).  msgspec is fast but writes ``NaN``
as ``null``; so values that come from users travel as text that was made once by the standard library (`Verbatim`,
`jupyter_queueserver.core.items.Item`), and everything else goes through msgspec.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class HasJson:
    """A value that keeps its own JSON text; subclasses say what it stands for."""

    __slots__ = ()

    @property
    def text(self) -> bytes:
        """JSON text, UTF-8."""
        raise AttributeError("text")

    @property
    def value(self) -> Any:
        """The value as plain Python objects, fresh at each access."""
        return json.loads(self.text)

    @classmethod
    def from_value(cls, value: Any) -> HasJson:
        """Make one from plain Python objects."""
        return Verbatim(value)


class Verbatim(HasJson):
    """Something a user sent, to be echoed exactly as it came."""

    __slots__ = ("_text",)

    @classmethod
    def of_text(cls, text: bytes) -> Verbatim:
        """Make one of JSON text, which is not looked at: it must be right."""
        made = cls.__new__(cls)
        made._text = text  # noqa: SLF001 - its own class
        return made

    def __init__(self, value: Any) -> None:
        self._text = python_json(value)

    @property
    def text(self) -> bytes:
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Verbatim):
            return NotImplemented
        return self._text == other._text or python_json(self.value) == python_json(other.value)

    __hash__ = None  # type: ignore[assignment]


class JsonArray(HasJson):
    """An array of values that are kept as JSON texts, which are not looked at: they must be right.

    A hundred thousand of them are one object, so that neither the encoder nor the garbage collector holds others up.
    """

    __slots__ = ("_texts",)

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._texts = list(texts)

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def text(self) -> bytes:
        return b"[%s]" % b",".join(self._texts)

    def __iter__(self) -> Iterator[Verbatim]:
        return map(Verbatim.of_text, self._texts)


def python_json(value: Any) -> bytes:
    """Encode plain values in Python's JSON dialect, compact, UTF-8; half a surrogate pair is escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _enc_json(obj: Any) -> Any:
    if isinstance(obj, HasJson):
        return msgspec.Raw(obj.text)
    raise TypeError(f"Object of type {type(obj).__name__} is not JSON serializable")


def _enc_plain(obj: Any) -> Any:
    if isinstance(obj, JsonArray):
        return list(obj)  # each is decoded, encoded and forgotten before the next one
    if isinstance(obj, HasJson):
        return obj.value
    if isinstance(obj, msgspec.Raw):
        return from_json(bytes(obj))
    raise TypeError(f"Object of type {type(obj).__name__} is not serializable")


def _dec(kind: type, obj: Any) -> Any:
    if issubclass(kind, HasJson):
        return kind.from_value(obj)
    raise TypeError(f"{kind} is not a type of the wire")


_json_encoder = msgspec.json.Encoder(enc_hook=_enc_json)
_msgpack_encoder = msgspec.msgpack.Encoder(enc_hook=_enc_plain)


def to_json(obj: Any) -> bytes:
    """Encode structs, plain values, items and `Verbatim` values as JSON."""
    try:
        return _json_encoder.encode(obj)
    except UnicodeEncodeError:  # half a surrogate pair, which some client sent and some message repeats
        return python_json(to_plain(obj))


def from_json(data: bytes | str) -> Any:
    """Decode Python-dialect JSON into plain objects; raises ``ValueError`` for anything else."""
    try:
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError:
            return json.loads(data)
    except RecursionError as err:
        raise ValueError("it is nested too deeply") from err


def to_msgpack(obj: Any) -> bytes:
    """Encode the same things as msgpack; integers beyond 64 bits, which it does not know, become floats."""
    try:
        return _msgpack_encoder.encode(obj)
    except (OverflowError, UnicodeEncodeError):
        return _msgpack_encoder.encode(_for_msgpack(to_plain(obj)))


def _for_msgpack(value: Any) -> Any:
    """One item with an absurd number must not make the whole queue unreadable."""
    if isinstance(value, dict):
        return {_for_msgpack(key): _for_msgpack(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_for_msgpack(part) for part in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value) if abs(value) < 2**1023 else math.inf if value > 0 else -math.inf
    return value


def from_msgpack(data: bytes) -> Any:
    """Decode msgpack into plain objects; raises ``ValueError`` when it is none, or has keys that are not text."""
    try:
        decoded = msgspec.msgpack.decode(data)
    except TypeError as err:  # a key that cannot even be one
        raise ValueError(str(err)) from err
    _check_keys(decoded)
    return decoded


def _check_keys(value: Any) -> None:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if not all(isinstance(key, str) for key in part):
                wrong = next(key for key in part if not isinstance(key, str))
                raise ValueError(f"the key {wrong!r:.40} of a map is not text")
            waiting.extend(each for each in part.values() if isinstance(each, dict | list))
        elif isinstance(part, list):
            waiting.extend(each for each in part if isinstance(each, dict | list))


def to_plain(obj: Any) -> Any:
    """Turn structs and items into plain dictionaries, lists and scalars."""
    return msgspec.to_builtins(obj, enc_hook=_enc_plain)


def convert(obj: Any, kind: type[T]) -> T:
    """Make a typed value of plain objects; raises ``ValueError`` that names the place."""
    return msgspec.convert(obj, kind, dec_hook=_dec)


def typed_from_json(data: bytes, kind: type[T]) -> T:
    """`convert` of `from_json`."""
    return convert(from_json(data), kind)
