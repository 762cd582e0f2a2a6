"""The spool: the worker's reports as numbered lines on the disk, kept until the manager has acknowledged them.

Format of `<environment_dir>/reports/<first number>.log`: one JSON object per line, ``{"n": 17, "crc": ..., "report": {...}}``,
numbered from 1 without a gap; ``crc`` is the CRC-32 of the text of ``report``.  The reader needs no living worker and never
changes a file.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import threading
import zlib
from collections import deque
from pathlib import Path

import msgspec

from ..core.codec import from_json, to_json
from ..core.reports import AnyReport, Report

log = logging.getLogger(__name__)

SEGMENT_BYTES = 4 * 1024 * 1024
#: Reports whose contents a reader can still tell from others of the same number.
_REMEMBERED = 256


class _Line(msgspec.Struct, frozen=True):
    n: int
    crc: int
    report: msgspec.Raw


_line_decoder = msgspec.json.Decoder(_Line)


def encode_line(n: int, report: Report) -> bytes:
    """One line of the spool."""
    text = to_json(report)
    if b"\\ud" in text:  # lone surrogates, e.g. of undecodable file names in a traceback: nobody could read them back
        text = json.dumps(msgspec.to_builtins(report), ensure_ascii=False).encode("utf-8", "replace")
    return b'{"n":%d,"crc":%d,"report":%s}\n' % (n, zlib.crc32(text), text)


def decode_line(line: bytes) -> tuple[int, Report]:
    """Read one line without its end; raises ``ValueError`` when it is torn or damaged."""
    parsed = _line_decoder.decode(line)
    text = bytes(parsed.report)
    if zlib.crc32(text) != parsed.crc:
        raise ValueError(f"the checksum of report {parsed.n} does not fit")
    return parsed.n, msgspec.convert(from_json(text), AnyReport)


def segment_name(first: int) -> str:
    """Name of the segment whose first report has this number."""
    return f"{first:012d}.log"


def _segments(directory: Path) -> list[tuple[int, Path]]:
    found = [(int(path.stem), path) for path in directory.glob("*.log") if path.stem.isdigit()]
    return sorted(found)


def first_kept(directory: Path) -> int:
    """Number of the first report that was not deleted; 1 if there is none."""
    return next((number for number, _ in _segments(directory)), 1)


class SpoolWriter:
    """The worker's end.  Any thread may append; a report that the disk does not take is kept and tried again.

    A forked child has a copy that does nothing.

    Parameters
    ----------
    directory
        Must exist and hold no spool yet: numbering begins at 1.
    segment_bytes
        Size at which a new segment is begun, bytes.
    """

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._fd = -1
        self._size = 0
        self._closed = False
        self.last = 0

    def append(self, report: Report) -> int:
        """Number the report and write it; returns the number.  After `close` nothing is written: the number of the last one."""
        if self._is_copy():
            return self.last
        with self._lock:
            if self._closed:
                return self.last
            self.last += 1
            self._waiting.append((self.last, encode_line(self.last, report)))
            self.flush()
            return self.last

    def flush(self) -> bool:
        """Try again what the disk did not take; returns whether all is written."""
        if self._is_copy():
            return True
        with self._lock:
            try:
                while self._waiting:
                    self._write(*self._waiting[0])
                    self._waiting.popleft()
            except OSError as err:
                log.error("report %d cannot be written yet: %s", self._waiting[0][0], err)
                return False
            return True

    def _write(self, n: int, line: bytes) -> None:
        if self._fd < 0 or self._size >= self._segment_bytes:
            self._begin_segment(n)
        try:
            written = os.write(self._fd, line)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        if written != len(line):
            os.ftruncate(self._fd, self._size)
            raise OSError(f"only {written} of {len(line)} bytes were written")
        self._size += written

    def _begin_segment(self, first: int) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        path = self._directory / segment_name(first)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def acknowledge(self, n: int) -> None:
        """Delete the segments whose reports are all applied; the one that is being written stays."""
        if self._is_copy():
            return
        with self._lock:
            segments = _segments(self._directory)
            for (_, path), (following, _) in itertools.pairwise(segments):
                if following <= n + 1:
                    path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write what is waiting and release the file.

        What threads of the ending process still find to report is not true of the environment: it is over, and the interpreter
        is taking their namespace apart.
        """
        if self._is_copy():
            return
        with self._lock:
            self._closed = True
            self.flush()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _is_copy(self) -> bool:
        """Asked before the lock is taken, which a thread that does not exist in the child may hold."""
        return os.getpid() != self._pid


class SpoolReader:
    """The manager's end; remembers where it stopped, so that a pull costs only what is new.

    Attributes
    ----------
    damage
        Sentence when the last `since` met a damaged or missing report with others behind it; None when all is well.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path: Path | None = None
        self._offset = 0
        self._next = 1
        self.damage: str | None = None
        self._sums: dict[int, int] = {}
        self._contradiction: str | None = None

    def since(self, n: int) -> list[tuple[int, Report]]:
        """All reports after number ``n`` that are wholly written, in order; empty if there are none."""
        self.damage = None
        found: list[tuple[int, Report]] = []
        if self._path is None or self._next != n + 1 or not self._path.exists():
            self._seek(n)
            if self.damage is not None:
                return found
        while self._path is not None:
            self._read_segment(found, n)
            following = self._directory / segment_name(self._next)
            if self.damage is not None or following == self._path or not following.exists():
                break
            self._path, self._offset = following, 0
        return found

    def take_contradiction(self) -> str | None:
        """Sentence when a number came twice with different reports, once; None when that did not happen."""
        told, self._contradiction = self._contradiction, None
        return told

    def _seek(self, n: int) -> None:
        """Go to the beginning of the segment that holds report ``n + 1``."""
        self._path, self._offset, self._next = None, 0, n + 1
        for first, path in _segments(self._directory):
            if first <= n + 1 or self._path is None:
                self._path, self._next = path, first
        if self._next > n + 1:
            self.damage = f"Reports {n + 1} to {self._next - 1} are missing."

    def _read_segment(self, found: list[tuple[int, Report]], n: int) -> None:
        assert self._path is not None
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            self._path = None
            return
        lines = data.split(b"\n")[:-1]
        for place, line in enumerate(lines):
            try:
                number, report = decode_line(line)
                if number < self._next:
                    self._pass_over(number, line, n)
                    continue
                if number != self._next:
                    raise ValueError(f"report {self._next} is missing, found {number}")
            except ValueError as err:
                # A torn line has no end, unless the machine lost power; only with others behind it something is lost.
                if place < len(lines) - 1:
                    self.damage = f"Report {self._next} cannot be read: {err}."
                return
            self._offset += len(line) + 1
            self._next += 1
            self._remember(number, line)
            if number > n:
                found.append((number, report))

    def _pass_over(self, number: int, line: bytes, n: int) -> None:
        """A report whose number was there before: the first one counts."""
        self._offset += len(line) + 1
        if number >= n and self._sums.get(number) != zlib.crc32(line):  # older ones were told when they were new
            self._contradiction = f"The worker's reports hold number {number} twice, with different contents; the first counts."

    def _remember(self, number: int, line: bytes) -> None:
        self._sums[number] = zlib.crc32(line)
        if len(self._sums) > _REMEMBERED:
            del self._sums[next(iter(self._sums))]
