"""Where the journal lies on disk: folders of environments, segment files, their headers.

Only names, headers and sizes; this module never writes a segment and never cuts one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec

from jupyter_queueserver.documents import records

__all__ = [
    "RESERVED",
    "SUFFIX",
    "JournalIndex",
    "SegmentHeader",
    "environments",
    "read_header",
    "segment_path",
    "segments",
]

SUFFIX: Final = ".jnl"
RESERVED: Final = frozenset({"cursors", "dead"})


class SegmentHeader(msgspec.Struct, frozen=True):
    """First record of each segment: who writes it, since when (seconds since the epoch), in which boot of the machine."""

    environment_id: str
    first_seq: int
    time: float
    boot_id: str
    pid: int
    format: int = 1


def segment_path(directory: Path, environment_id: str, first_seq: int) -> Path:
    """``<directory>/<environment_id>/<first-seq>.jnl`` with the number in twenty digits, so that names sort."""
    return directory / environment_id / f"{first_seq:020d}{SUFFIX}"


def segments(directory: Path, environment_id: str) -> list[int]:
    """First sequence numbers of the segments of an environment, in order; empty if the folder is gone."""
    try:
        names = [path.stem for path in (directory / environment_id).iterdir() if path.suffix == SUFFIX]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name) for name in names if name.isdecimal())


def read_header(path: Path) -> SegmentHeader | None:
    """The header of a segment file; None if it is not (yet) whole or the file is gone."""
    try:
        with path.open("rb") as file:
            data = file.read(4096)
    except FileNotFoundError:
        return None
    start = len(records.SEGMENT_MAGIC)
    head = records.parse_head(data[start:]) if data.startswith(records.SEGMENT_MAGIC) else None
    if head is None or head.kind != records.KIND_HEADER:
        return None
    payload = data[start + records.HEAD_SIZE : start + records.HEAD_SIZE + head.length]
    if not records.check(head, payload):
        return None
    return msgspec.msgpack.decode(payload, type=SegmentHeader)


class JournalIndex:
    """Names of environments and segments, listed again only when their folder changed: for readers that look often."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ages: dict[str, float] = {}
        self._names: tuple[int, list[str]] = (-1, [])
        self._segments: dict[str, tuple[int, list[int]]] = {}

    def environments(self) -> list[str]:
        """Identifiers of all environments, oldest first (time in the first header, then name)."""
        changed = _changed(self.directory)
        if changed == -1 or changed != self._names[0]:
            self._names = (changed, self._list())
        return self._names[1]

    def segments(self, environment_id: str) -> list[int]:
        """First sequence numbers of the segments of an environment, in order; empty if the folder is gone."""
        changed = _changed(self.directory / environment_id)
        known, numbers = self._segments.get(environment_id, (-1, []))
        if changed == -1 or changed != known:
            numbers = segments(self.directory, environment_id)
            self._segments[environment_id] = (changed, numbers)
        return numbers

    def _list(self) -> list[str]:
        try:
            folders = [path for path in self.directory.iterdir() if path.is_dir() and path.name not in RESERVED]
        except FileNotFoundError:
            return []
        found = [(self._age(folder), folder.name) for folder in folders]
        return [name for _, name in sorted(found)]

    def _age(self, folder: Path) -> float:
        known = self._ages.get(folder.name)
        if known is not None:
            return known
        numbers = segments(self.directory, folder.name)
        header = read_header(segment_path(self.directory, folder.name, numbers[0])) if numbers else None
        if header is None:
            return time.time()
        self._ages[folder.name] = header.time
        return header.time


def environments(directory: Path) -> list[str]:
    """Identifiers of all environments in the journal, oldest first."""
    return JournalIndex(directory).environments()


def _changed(folder: Path) -> int:
    """Time of the last change in ns; -1 if it is too young to tell two changes apart (clocks of file systems tick)."""
    try:
        changed = folder.stat().st_mtime_ns
    except FileNotFoundError:
        return -1
    return changed if time.time_ns() - changed > 1_000_000_000 else -1
