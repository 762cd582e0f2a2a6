"""Encode one document as msgpack bytes and back, numpy arrays and scalars included.

Arrays travel as a msgpack extension (dtype, shape, bytes in C order). numpy is imported only when an extension is
decoded to an array: this module must stay cheap to import.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

__all__ = [
    "UNENCODABLE_MARK",
    "ArrayHead",
    "Encoded",
    "array_head",
    "decode",
    "decode_light",
    "encode",
    "plain_numbers",
]

EXT_ARRAY: Final = 1
EXT_SCALAR: Final = 2
UNENCODABLE_MARK: Final = "__unencodable__"
_REPR_LIMIT: Final = 1000
_CODES: Final = {
    "b1": "?",
    "i1": "b",
    "u1": "B",
    "i2": "h",
    "u2": "H",
    "i4": "i",
    "u4": "I",
    "i8": "q",
    "u8": "Q",
    "f4": "f",
    "f8": "d",
}
_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**64 - 1


class ArrayHead(msgspec.Struct, frozen=True):
    """What is known of an array without its numbers: numpy dtype (as in ``dtype.str`` or ``descr``) and shape."""

    dtype: Any
    shape: tuple[int, ...]


class Encoded(msgspec.Struct, frozen=True):
    """The bytes of a value and what had to be replaced by its ``repr`` (empty: nothing)."""

    data: bytes
    replaced: list[str]


_head_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(ArrayHead)


def encode(value: Any) -> Encoded:
    """Encode *value*; what cannot be encoded is replaced by ``{"__unencodable__": repr}`` and listed.

    Raises nothing for any value whose ``repr`` works; a ``repr`` that raises is replaced by the type's name.
    """
    replaced: list[str] = []
    hook = _hook(replaced)
    try:
        return Encoded(msgspec.msgpack.encode(value, enc_hook=hook), replaced)
    except (OverflowError, UnicodeError, TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        replaced.clear()
        clean = _sanitise(value, replaced, depth=0)
        return Encoded(msgspec.msgpack.encode(clean, enc_hook=hook), replaced)


def decode(data: bytes | memoryview) -> Any:
    """Decode bytes of :func:`encode`; arrays come back as ``numpy.ndarray`` (own memory, C order), scalars as numpy scalars.

    Raises ``msgspec.DecodeError`` for bytes that are not msgpack.
    """
    return msgspec.msgpack.decode(data, ext_hook=_decode_ext)


def decode_light(data: bytes | memoryview) -> Any:
    """Like :func:`decode`, but arrays and numpy scalars stay ``msgspec.msgpack.Ext``: needs no numpy."""
    return msgspec.msgpack.decode(data)


def array_head(ext: msgspec.msgpack.Ext) -> ArrayHead:
    """dtype and shape of an extension left by :func:`decode_light`."""
    return _split(memoryview(ext.data))[0]


def plain_numbers(ext: msgspec.msgpack.Ext, largest: int) -> Any:
    """The numbers of an extension as nested lists or one Python number, made without numpy.

    None if they take more than *largest* bytes or are not plain numbers (then only :func:`array_head` can be shown).
    """
    head, raw = _split(memoryview(ext.data))
    if raw.nbytes > largest or not isinstance(head.dtype, str):
        return None
    order, code = head.dtype[0], _CODES.get(head.dtype[1:])
    if code is None or 0 in head.shape:
        return None
    count = raw.nbytes // struct.calcsize("=" + code)
    flat: list[Any] = list(struct.unpack((">" if order == ">" else "<") + code * count, raw))
    for size in reversed(head.shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat if head.shape else flat[0]


def _hook(replaced: list[str]) -> Callable[[Any], Any]:
    def hook(obj: Any) -> Any:
        if type(obj).__module__.partition(".")[0] == "numpy" and hasattr(obj, "dtype") and hasattr(obj, "shape"):
            return _encode_numpy(obj)
        if isinstance(obj, Mapping):
            return dict(obj)
        if isinstance(obj, (str, bytes, int, float)):  # a subclass that msgspec does not take by itself
            return _plain(obj)
        return _mark(obj, replaced)

    return hook


def _plain(obj: str | bytes | int | float) -> str | bytes | int | float:
    """The built-in value of a subclass's instance."""
    if isinstance(obj, str):
        return str(obj)
    if isinstance(obj, bytes):
        return bytes(obj)
    return int(obj) if isinstance(obj, int) else float(obj)


def _encode_numpy(obj: Any) -> Any:
    dtype = obj.dtype
    if dtype.hasobject:
        return obj.tolist()
    kind = dtype.descr if dtype.names else dtype.str
    head = _head_encoder.encode(ArrayHead(dtype=kind, shape=tuple(obj.shape)))
    code = EXT_ARRAY if hasattr(obj, "__setitem__") and hasattr(obj, "flags") and type(obj).__name__ != "void" else EXT_SCALAR
    return msgspec.msgpack.Ext(code, b"".join((len(head).to_bytes(4, "big"), head, _bytes_of(obj))))


def _bytes_of(obj: Any) -> Any:
    """The bytes of an array or scalar in C order, without a copy if they lie so already."""
    if hasattr(obj, "flags") and obj.ndim and obj.size and obj.flags.c_contiguous and hasattr(obj, "reshape"):
        return obj.reshape(-1).view("u1").data
    return obj.tobytes()


def _split(data: memoryview) -> tuple[ArrayHead, memoryview]:
    size = int.from_bytes(data[:4], "big")
    return _head_decoder.decode(data[4 : 4 + size]), data[4 + size :]


def _decode_ext(code: int, data: memoryview) -> Any:
    if code not in (EXT_ARRAY, EXT_SCALAR):
        return msgspec.msgpack.Ext(code, bytes(data))
    import numpy as np

    head, raw = _split(data)
    kind = head.dtype
    dtype = np.dtype(kind if isinstance(kind, str) else [_field(field) for field in kind])
    array = np.frombuffer(raw, dtype=dtype) if raw.nbytes else np.empty(0, dtype=dtype)
    array = array.reshape(head.shape).copy()
    return array if code == EXT_ARRAY else array[()]


def _field(field: Any) -> tuple[Any, ...]:
    """One entry of a dtype's ``descr``, whose tuples became lists on the way."""
    name, kind, *shape = field
    kind = kind if isinstance(kind, str) else [_field(inner) for inner in kind]
    return (tuple(name) if isinstance(name, list) else name, kind, *(tuple(part) for part in shape))


def _sanitise(value: Any, replaced: list[str], *, depth: int) -> Any:
    """A copy of *value* that msgpack takes for sure; the slow way, only after a refusal."""
    if depth > 50:
        return _mark(value, replaced)
    if isinstance(value, Mapping):
        return {_sanitise_key(key, replaced): _sanitise(item, replaced, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_sanitise(item, replaced, depth=depth + 1) for item in value]
    return value if _encodes(value) else _mark(value, replaced)


def _sanitise_key(key: Any, replaced: list[str]) -> Any:
    if isinstance(key, (str, int, float, bool)) and _encodes(key):
        return key
    return json.dumps(_mark(key, replaced))


def _encodes(value: Any) -> bool:
    if isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX:
        return False
    try:
        msgspec.msgpack.encode(value, enc_hook=_hook([]))
    except (OverflowError, UnicodeError, TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return False
    return True


def _mark(obj: Any, replaced: list[str]) -> dict[str, str]:
    try:
        text = repr(obj)[:_REPR_LIMIT]
    except Exception:  # noqa: BLE001 - a user's __repr__ may raise anything, and a document must not be lost for it
        text = f"<{type(obj).__name__} whose repr fails>"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    replaced.append(f"{type(obj).__name__}: {text[:200]}")
    return {UNENCODABLE_MARK: text}
