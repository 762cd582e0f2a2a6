"""Read the journal from a position, as far as it is whole; any number of readers beside a living writer.

A reader never writes: a torn tail is only stepped over once a later segment shows that nobody will complete it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from jupyter_queueserver.documents import encoding, records
from jupyter_queueserver.documents.segments import JournalIndex, segment_path

__all__ = ["Entry", "JournalReader", "Position", "Spot", "end_of", "read_environment"]

_CHUNK: Final = 1 << 20
_START: Final = len(records.SEGMENT_MAGIC)


class Spot(msgspec.Struct, frozen=True):
    """A place in one environment: segment (its first seq), byte offset of the next record, last seq read or passed."""

    segment: int
    offset: int
    seq: int


class Position(msgspec.Struct):
    """A place in the whole journal: a spot per environment; an environment that is not named is read from its start."""

    environments: dict[str, Spot] = msgspec.field(default_factory=dict)

    def copy(self) -> Position:
        """An independent copy."""
        return Position(dict(self.environments))


class Entry(NamedTuple):
    """One document of the journal, the spot before it and the spot after it; *size* in bytes as stored."""

    environment_id: str
    seq: int
    name: str
    doc: Any
    before: Spot
    after: Spot
    size: int


class RawEntry(NamedTuple):
    """One record as bytes."""

    record: records.Record
    before: Spot
    after: Spot


class JournalReader:
    """Yields the documents behind *position*, environment by environment, each exactly once, then stops.

    Iterate again (or call :meth:`read`) to get what was appended meanwhile. ``position`` always tells where the reader
    stands; store it and give it to a new reader to go on. A record whose bytes are whole but that cannot be decoded is
    skipped and counted in ``damaged``.

    Parameters
    ----------
    directory
        The journal folder.
    position
        Where to begin; None is the start of the journal. It is copied.
    arrays
        True: arrays become ``numpy.ndarray`` (imports numpy at the first one). False: they stay ``msgspec.msgpack.Ext``.
    """

    def __init__(self, directory: Path, position: Position | None = None, *, arrays: bool = True) -> None:
        self.directory = directory
        self.position = position.copy() if position is not None else Position()
        self.damaged = 0
        self._decode = encoding.decode if arrays else encoding.decode_light
        self._index = JournalIndex(directory)

    def __iter__(self) -> Iterator[Entry]:
        while batch := self.read():
            yield from batch

    def read(self, max_documents: int = 512, max_bytes: int = 32 << 20) -> list[Entry]:
        """The next documents, at most *max_documents* and about *max_bytes* (at least one); empty at the end."""
        found: list[Entry] = []
        room = max_bytes
        for environment_id in self._index.environments():
            while len(found) < max_documents and room > 0:
                spot = self.position.environments.get(environment_id)
                raw, end = read_environment(self._index, environment_id, spot, max_documents - len(found), room)
                if end is not None:
                    self.position.environments[environment_id] = end
                if end is None or end == spot:
                    break
                entries = [entry for item in raw if (entry := self._entry(environment_id, item)) is not None]
                room -= sum(entry.size for entry in entries)
                found.extend(entries)
        return found

    def _entry(self, environment_id: str, raw: RawEntry) -> Entry | None:
        try:
            name, doc = self._decode(raw.record.payload)
        except (msgspec.MsgspecError, ValueError, TypeError):
            self.damaged += 1
            return None
        size = records.HEAD_SIZE + len(raw.record.payload)
        return Entry(environment_id, raw.record.seq, name, doc, raw.before, raw.after, size)


def read_environment(
    index: JournalIndex, environment_id: str, spot: Spot | None, max_records: int, max_bytes: int
) -> tuple[list[RawEntry], Spot | None]:
    """Whole records of one environment behind *spot* and the spot behind the last of them.

    One segment at most is read by a call; the returned spot differs from *spot* as long as there is more to see.
    None is returned (and taken) for an environment that has no segment yet.
    """
    numbers = index.segments(environment_id)
    if not numbers:
        return [], spot
    if spot is None:
        spot = Spot(numbers[0], _START, numbers[0] - 1)
    later = [number for number in numbers if number > spot.segment]
    path = segment_path(index.directory, environment_id, spot.segment)
    found: list[RawEntry] = []
    try:
        if not later and path.stat().st_size <= spot.offset:
            return found, spot
        with path.open("rb") as file:
            end = _read_segment(file.fileno(), spot, found, max_records, max_bytes, closed=bool(later))
    except FileNotFoundError:
        end = None  # trimmed away behind every cursor
    if end is None and later:
        return found, Spot(later[0], _START, later[0] - 1)
    return found, end if end is not None else spot


def _read_segment(
    descriptor: int, spot: Spot, found: list[RawEntry], max_records: int, max_bytes: int, *, closed: bool
) -> Spot | None:
    """Read records into *found*; the spot to go on from, or None if a closed segment holds no more."""
    size = os.fstat(descriptor).st_size
    room = max_bytes
    window = _Window(descriptor, size)
    while len(found) < max_records and room > 0:
        record = window.record_at(spot.offset)
        if record is None:
            if not closed:
                return spot
            offset = window.next_after(spot.offset + 1)
            if offset is None:
                return None
            spot = Spot(spot.segment, offset, spot.seq)
            continue
        offset = spot.offset + records.HEAD_SIZE + len(record.payload)
        if record.kind == records.KIND_DOCUMENT and record.seq > spot.seq:
            after = Spot(spot.segment, offset, record.seq)
            found.append(RawEntry(record, spot, after))
            room -= len(record.payload)
            spot = after
        else:
            spot = Spot(spot.segment, offset, spot.seq)
    return spot


class _Window:
    """Reads a file in chunks of 1 MiB, a longer record in one piece."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._start = 0
        self._data = b""

    def _bytes(self, offset: int, length: int) -> memoryview:
        if not self._start <= offset or offset + length > self._start + len(self._data):
            self._start = offset
            self._data = os.pread(self._descriptor, max(length, min(_CHUNK, self._size - offset)), offset)
        begin = offset - self._start
        return memoryview(self._data)[begin : begin + length]

    def record_at(self, offset: int) -> records.Record | None:
        if offset + records.HEAD_SIZE > self._size:
            return None
        head = records.parse_head(self._bytes(offset, records.HEAD_SIZE))
        if head is None or offset + records.HEAD_SIZE + head.length > self._size:
            return None
        payload = self._bytes(offset + records.HEAD_SIZE, head.length)
        if not records.check(head, payload):
            return None
        return records.Record(head.seq, head.kind, bytes(payload))

    def next_after(self, offset: int) -> int | None:
        """Where the next whole record begins (searched in the rest of the file); None if there is none."""
        rest = os.pread(self._descriptor, max(0, self._size - offset), offset)
        found = records.find_next(rest, 0)
        return None if found is None else offset + found


def end_of(directory: Path, environment_id: str) -> Spot | None:
    """The spot behind the last whole record of an environment; None if it has no segment."""
    index = JournalIndex(directory)
    numbers = index.segments(environment_id)
    spot = Spot(numbers[-1], _START, numbers[-1] - 1) if numbers else None
    while spot is not None:
        _, end = read_environment(index, environment_id, spot, 4096, 64 << 20)
        if end is None or end == spot:
            return spot
        spot = end
    return None
