"""Requests that were done and carry an id, so that a retry is answered again and not done again.

Values only: what is known of each request, without its reply, which is in the store alone.  When one is recorded and when it is
forgotten is decided in `jupyter_queueserver.core.rules.requests`.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from .errors import RequestError

#: Characters of the longest id.
ID_LIMIT = 128
#: Bytes of a digest.
_DIGEST = 16
#: Bytes of a reply beyond which it is kept compressed: a batch is repeated whole in its reply.
_PACKED_BEYOND = 16 * 1024
#: First byte of what zlib makes; no JSON text begins with it.
_ZLIB = b"x"
#: Records in a chunk of the index: an addition copies one chunk at most.
_CHUNK = 256

_encoder = msgspec.json.Encoder(order="deterministic")


class RequestKey(msgspec.Struct, frozen=True, kw_only=True):
    """By what a retry is known.

    Attributes
    ----------
    request_id
        What the client chose.
    digest
        Of everything else that was asked: the retry must ask for the same.
    """

    request_id: str
    digest: str


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was done.

    Attributes
    ----------
    request_id, digest
        See `RequestKey`.
    time
        When it was done, seconds since the epoch.
    size
        Bytes of its reply, as it is kept.
    """

    request_id: str
    digest: str
    time: float
    size: int


def request_key(request_id: Any, method: str, params: Mapping[str, Any], user: str | None) -> RequestKey:
    """Make the key of a request; raises `RequestError` (``request_id_invalid``).

    Parameters
    ----------
    request_id
        As it was sent.
    params
        Parameters of the method as they were sent, without the id.
    user
        Who asks, where the door knows that; None: only the parameters say it.
    """
    if not isinstance(request_id, str) or not 1 <= len(request_id) <= ID_LIMIT or not request_id.isprintable():
        raise RequestError(
            f"The request id must be a text of 1 to {ID_LIMIT} printable characters.",
            code="request_id_invalid",
            hint="Send a fresh UUID as 'request_id', and the same one when the request is repeated; or leave it out.",
            path="request_id",
        )
    return RequestKey(request_id=request_id, digest=_digest([method, user, params]))


def _digest(content: list[Any]) -> str:
    try:
        text = _encoder.encode(content)
    except (TypeError, ValueError, OverflowError, RecursionError):  # what JSON does not know, or knows in Python's dialect only
        text = repr(content).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text, digest_size=_DIGEST).hexdigest()


def packed(reply: bytes) -> bytes:
    """Return a reply (JSON text) as it is kept."""
    return zlib.compress(reply, 1) if len(reply) > _PACKED_BEYOND else reply


def unpacked(kept: bytes) -> bytes:
    """Return the reply (JSON text) that is kept so; raises ``ValueError`` if it is damaged."""
    if not kept.startswith(_ZLIB):
        return kept
    try:
        return zlib.decompress(kept)
    except zlib.error as err:
        raise ValueError(f"a reply cannot be unpacked: {err}") from err


class RequestIndex:
    """Records by id, oldest first; it never changes: an edit gives a new one that shares nearly everything.

    Parameters
    ----------
    records
        Oldest first, each id once.
    """

    __slots__ = ("_chunks", "_reply_bytes", "_size")

    def __init__(self, records: Iterable[RequestRecord] = ()) -> None:
        known = list(records)
        self._chunks: tuple[dict[str, RequestRecord], ...] = tuple(
            {record.request_id: record for record in known[start : start + _CHUNK]} for start in range(0, len(known), _CHUNK)
        )
        self._size = sum(map(len, self._chunks))
        self._reply_bytes = sum(record.size for record in known)

    @classmethod
    def _of(cls, chunks: tuple[dict[str, RequestRecord], ...], size: int, reply_bytes: int) -> RequestIndex:
        new = cls.__new__(cls)
        new._chunks, new._size, new._reply_bytes = chunks, size, reply_bytes  # noqa: SLF001 - of its own class
        return new

    def __len__(self) -> int:
        return self._size

    @property
    def reply_bytes(self) -> int:
        """Bytes of all replies, as they are kept."""
        return self._reply_bytes

    def __iter__(self) -> Iterator[RequestRecord]:
        return chain.from_iterable(chunk.values() for chunk in self._chunks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RequestIndex):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RequestIndex({list(self)!r})"

    def get(self, request_id: str) -> RequestRecord | None:
        """Return the record of that id, None if there is none."""
        for chunk in self._chunks:
            if (record := chunk.get(request_id)) is not None:
                return record
        return None

    def added(self, record: RequestRecord) -> RequestIndex:
        """Return an index with one record more, the newest; one of the same id is dropped."""
        base = self.without((record.request_id,)) if self.get(record.request_id) is not None else self
        chunks = base._chunks  # noqa: SLF001 - of its own class
        if chunks and len(chunks[-1]) < _CHUNK:
            chunks = (*chunks[:-1], {**chunks[-1], record.request_id: record})
        else:
            chunks = (*chunks, {record.request_id: record})
        return self._of(chunks, len(base) + 1, base.reply_bytes + record.size)

    def without(self, request_ids: Iterable[str]) -> RequestIndex:
        """Return an index without these ids; those that are not there are ignored."""
        gone = set(request_ids)
        kept: list[dict[str, RequestRecord]] = []
        size, reply_bytes = self._size, self._reply_bytes
        for place, chunk in enumerate(self._chunks):
            if not gone:  # as a rule it is the oldest that go
                kept += self._chunks[place:]
                break
            dropped = [chunk[name] for name in gone if name in chunk]
            size -= len(dropped)
            reply_bytes -= sum(record.size for record in dropped)
            rest = {name: record for name, record in chunk.items() if name not in gone} if dropped else chunk
            gone.difference_update(record.request_id for record in dropped)
            if rest:
                kept.append(rest)
        return self._of(tuple(kept), size, reply_bytes)
