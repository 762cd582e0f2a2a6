"""The document journal, written side: one append per document, in the RunEngine's thread.

Appends never raise, never wait for the disk (no fsync) and never wait for a reader. What happens to a document
afterwards (delivery, fsync, trimming) is the relay's business, not this module's. Must import without numpy.

Format: ``<directory>/<environment_id>/<first-seq>.jnl``, each file ``b"JQSJNL1\\n"`` and then records (module ``records``);
the first record is a header, the others are msgpack arrays ``[name, document]`` (module ``encoding``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from jupyter_queueserver.documents import encoding, records
from jupyter_queueserver.documents.reader import end_of
from jupyter_queueserver.documents.segments import SegmentHeader, segment_path
from jupyter_queueserver.instance import boot_id

__all__ = ["JournalWriter", "encode_document"]

log = logging.getLogger(__name__)

_LONGEST_RECORD: Final = 0xFFFF_FFFF


def encode_document(name: str, doc: Any) -> encoding.Encoded:
    """The payload of a document's record."""
    return encoding.encode([name, doc])


class JournalWriter:
    """Appends the documents of one environment to its journal.

    Give :meth:`append` to the RunEngine: ``RE.subscribe(writer.append)``. One writer per environment; appends may come
    from several threads.

    Parameters
    ----------
    directory
        The journal folder of the instance, ``<data-dir>/journal``.
    environment_id
        Name of the folder of this environment in it; an existing one is continued.
    bell
        Unix datagram socket of the relay, rung after each append without waiting; None: the relay looks by itself (1 s).
    on_alarm
        Called in the appending thread with a sentence when a document could not be stored, or only in part.
        What it raises is logged and swallowed. None: alarms are only logged and counted.
    segment_bytes
        Size in bytes from which a new segment file is begun.

    Attributes
    ----------
    appended, failed : int
        Documents stored, and documents lost (each with an alarm).
    """

    def __init__(
        self,
        directory: Path,
        environment_id: str,
        *,
        bell: Path | None = None,
        on_alarm: Callable[[str], None] | None = None,
        segment_bytes: int = 64 << 20,
    ) -> None:
        self.directory = directory
        self.environment_id = environment_id
        self.appended = 0
        self.failed = 0
        self._bell = os.fspath(bell) if bell is not None else None
        self._socket: socket.socket | None = None
        self._on_alarm = on_alarm
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._file: int | None = None
        self._size = 0
        self._closed = False
        self._seq = self._last_seq()

    def append(self, name: str, doc: Any) -> None:
        """Store one document. Never raises; a failure is counted and told to ``on_alarm``. A forked child stores nothing."""
        if os.getpid() != self._pid:
            return  # before the lock, which a thread that does not exist here may hold
        try:
            encoded = encode_document(name, doc)
            with self._lock:
                self._store(encoded.data)
            self.appended += 1
        except Exception as error:  # noqa: BLE001 - boundary to the RunEngine: an exception here would end the plan
            self.failed += 1
            self._alarm(f"a document ({name}) could not be stored in the journal: {error!r}")
            return
        self._ring()
        if encoded.replaced:
            what = "; ".join(encoded.replaced[:5])
            self._alarm(f"a document ({name}) was stored with {len(encoded.replaced)} value(s) replaced by text: {what}")

    def close(self) -> None:
        """Close the files; later appends fail with an alarm. May be called twice."""
        with self._lock:
            self._closed = True
            self._close_segment()
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _last_seq(self) -> int:
        try:
            spot = end_of(self.directory, self.environment_id)
        except OSError as error:
            self._alarm(f"the journal cannot be read: {error!r}")
            return 0
        return 0 if spot is None else spot.seq

    def _store(self, payload: bytes) -> None:
        """Write one record; after a failure once more in a new segment, because the old one may have a torn tail."""
        if self._closed:
            raise RuntimeError("the journal is closed")
        if len(payload) > _LONGEST_RECORD:
            raise ValueError(f"a document of {len(payload)} bytes is longer than a record may be")
        self._seq += 1  # a lost document leaves a gap that readers can see
        try:
            self._write(payload)
        except OSError as error:
            log.warning("journal write failed (%r), trying a new segment", error)
            self._close_segment()
            self._write(payload)

    def _write(self, payload: bytes) -> None:
        descriptor = self._file
        if descriptor is None or self._size >= self._segment_bytes:
            self._close_segment()
            descriptor = self._open_segment()
        try:
            self._size += _write_whole(descriptor, records.pack(self._seq, records.KIND_DOCUMENT, payload))
        except OSError:
            self._close_segment()
            raise

    def _open_segment(self) -> int:
        folder = self.directory / self.environment_id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = segment_path(self.directory, self.environment_id, self._seq)
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                descriptor = os.open(path, flags, 0o600)
                break
            except FileExistsError:
                self._seq += 1  # a segment whose first record failed
        try:
            self._size = _write_whole(descriptor, _first_pieces(self.environment_id, self._seq))
        except OSError:
            os.close(descriptor)
            raise
        self._file = descriptor
        return descriptor

    def _close_segment(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None

    def _ring(self) -> None:
        """One byte to the relay; a full queue means that it is already being woken, so nothing is lost by giving up."""
        if self._bell is None:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._socket.sendto(b"!", self._bell)
        except OSError:
            return  # nobody listens, or the queue is full: the relay looks by itself every second

    def _alarm(self, reason: str) -> None:
        log.error("journal alarm: %s", reason)
        if self._on_alarm is None:
            return
        try:
            self._on_alarm(reason)
        except Exception:
            log.exception("the alarm callback of the journal failed")


def _first_pieces(environment_id: str, first_seq: int) -> tuple[bytes, ...]:
    header = SegmentHeader(environment_id, first_seq, time.time(), boot_id(), os.getpid())
    return (records.SEGMENT_MAGIC, *records.pack(first_seq, records.KIND_HEADER, msgspec.msgpack.encode(header)))


def _write_whole(descriptor: int, pieces: tuple[bytes, ...]) -> int:
    """Write all of *pieces* at once; a short write is followed up (a full disk then says so). Raises ``OSError``."""
    wanted = sum(map(len, pieces))
    total = os.writev(descriptor, pieces)
    while total < wanted:
        total += os.write(descriptor, b"".join(pieces)[total:])
    return total
