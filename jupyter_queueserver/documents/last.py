"""What the end of an environment's journal tells about how its worker ended: the last document, and runs without an end.

What the relay has added after the worker's death, to finish its runs, tells nothing of that and is passed over.

Only the end is read, so that it costs the same whether the journal holds a thousand documents or a hundred million.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ..core.endings import LastDocument, OpenRun
from . import encoding, records
from .deaths import stop_uid
from .segments import segment_path, segments

#: Bytes at the end of the journal that are looked at.
_TAIL: Final = 4 << 20


class JournalEnd(NamedTuple):
    """The last document, None if there is none; runs that were begun in what was looked at and have no end, in order."""

    document: LastDocument | None
    open_runs: tuple[OpenRun, ...]


def journal_end(directory: Path, environment_id: str) -> JournalEnd:
    """Read the end of an environment's journal; raises ``OSError``.

    Parameters
    ----------
    directory
        The journal folder of the instance.
    """
    last: LastDocument | None = None
    runs: dict[str, OpenRun] = {}
    run_of: dict[str, str] = {}
    for name, doc in _documents(directory, environment_id):
        if not isinstance(doc, dict) or _is_of_relay(name, doc):
            continue
        run_uid = _note_run(name, doc, runs, run_of)
        last = LastDocument(name=name, run_uid=run_uid, seq_num=_number(doc), time=_seconds(doc.get("time")))
    if last is not None and last.run_uid is None and len(runs) == 1:
        last = msgspec.structs.replace(last, run_uid=next(iter(runs)))
    return JournalEnd(last, tuple(runs.values()))


def _is_of_relay(name: str, doc: dict[str, Any]) -> bool:
    return name == "stop" and doc.get("uid") == stop_uid(str(doc.get("run_start")))


def _note_run(name: str, doc: dict[str, Any], runs: dict[str, OpenRun], run_of: dict[str, str]) -> str | None:
    """Keep the books of open runs; returns the run of a document, None if it cannot be told."""
    uid = doc.get("uid")
    if name == "start" and isinstance(uid, str):
        scan_id = doc.get("scan_id")
        runs[uid] = OpenRun(uid=uid, scan_id=scan_id if type(scan_id) is int else None, time=_seconds(doc.get("time")) or 0.0)
        return uid
    run_uid = doc.get("run_start")
    if not isinstance(run_uid, str):
        return run_of.get(str(doc.get("descriptor")))
    if name == "descriptor" and isinstance(uid, str):
        run_of[uid] = run_uid
    if name == "stop":
        runs.pop(run_uid, None)
    return run_uid


def _number(doc: dict[str, Any]) -> int | None:
    number = doc.get("seq_num")
    if isinstance(number, (list, tuple)):  # a page of events
        number = number[-1] if number else None
    return number if type(number) is int else None


def _seconds(value: Any) -> float | None:
    if isinstance(value, (list, tuple)):
        value = value[-1] if value else None
    return float(value) if type(value) in (int, float) else None


def _documents(directory: Path, environment_id: str) -> Iterator[tuple[str, Any]]:
    for data in _tails(directory, environment_id):
        offset = records.find_next(data, 0)
        while offset is not None:
            head = records.parse_head(memoryview(data)[offset:])
            assert head is not None
            begin = offset + records.HEAD_SIZE
            payload = data[begin : begin + head.length]
            if head.kind == records.KIND_DOCUMENT:
                try:
                    name, doc = encoding.decode_light(payload)
                except (msgspec.MsgspecError, ValueError, TypeError):
                    name, doc = "", None
                yield str(name), doc
            offset = _next(data, begin + head.length)


def _next(data: bytes, offset: int) -> int | None:
    """The next whole record; what lies in between is damaged."""
    head = records.parse_head(memoryview(data)[offset:])
    begin = offset + records.HEAD_SIZE
    if head is not None and records.check(head, memoryview(data)[begin : begin + head.length]):
        return offset
    return records.find_next(data, offset)


def _tails(directory: Path, environment_id: str) -> list[bytes]:
    """The ends of the last segments: the worker may have begun one a moment before it died, and the relay one of its own."""
    found = []
    for number in segments(directory, environment_id)[-3:]:
        path = segment_path(directory, environment_id, number)
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            found.append(file.read(_TAIL))
    return found
