"""The bytes of a journal segment: how records are framed, checked and found again after damage.

Pure functions on bytes, no files. A record is ``marker(4) length(4) crc32(4) seq(8) kind(1) payload(length)``, numbers
big-endian; the checksum covers seq, kind and payload. What a payload means is not known here.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

__all__ = [
    "HEAD_SIZE",
    "KIND_DOCUMENT",
    "KIND_HEADER",
    "SEGMENT_MAGIC",
    "Head",
    "Record",
    "check",
    "find_next",
    "pack",
    "parse_head",
]

SEGMENT_MAGIC: Final = b"JQSJNL1\n"
MARKER: Final = b"\xf7jr\x01"
KIND_HEADER: Final = 0
KIND_DOCUMENT: Final = 1
_HEAD: Final = struct.Struct(">4sIIQB")
_SUMMED: Final = struct.Struct(">QB")
HEAD_SIZE: Final = _HEAD.size


class Head(NamedTuple):
    """The fixed part of a record: payload length in bytes, checksum, sequence number, kind."""

    length: int
    crc: int
    seq: int
    kind: int


class Record(NamedTuple):
    """A whole, checked record."""

    seq: int
    kind: int
    payload: bytes


def pack(seq: int, kind: int, payload: bytes) -> tuple[bytes, bytes]:
    """One record in two pieces, to be written one behind the other (a large payload is not copied for it)."""
    crc = zlib.crc32(payload, zlib.crc32(_SUMMED.pack(seq, kind)))
    return _HEAD.pack(MARKER, len(payload), crc, seq, kind), payload


def parse_head(data: bytes | memoryview) -> Head | None:
    """The head at the start of *data*; None if it is too short or no record begins there."""
    if len(data) < HEAD_SIZE:
        return None
    marker, length, crc, seq, kind = _HEAD.unpack_from(data)
    return Head(length, crc, seq, kind) if marker == MARKER else None


def check(head: Head, payload: bytes | memoryview) -> bool:
    """Whether *payload* is what the head says (length and checksum)."""
    if len(payload) != head.length:
        return False
    return zlib.crc32(payload, zlib.crc32(_SUMMED.pack(head.seq, head.kind))) == head.crc


def find_next(data: bytes, start: int) -> int | None:
    """Offset of the first whole and valid record at or after *start*; None if there is none. For use after damage."""
    view = memoryview(data)
    offset = data.find(MARKER, start)
    while offset != -1:
        head = parse_head(view[offset:])
        if head is not None:
            begin = offset + HEAD_SIZE
            if check(head, view[begin : begin + head.length]):
                return offset
        offset = data.find(MARKER, offset + 1)
    return None
