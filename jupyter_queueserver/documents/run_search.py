"""Find the documents of one run in the journal, without any consumer.

Reads only; newest environments first, because one mostly asks for a recent run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from jupyter_queueserver.documents import encoding
from jupyter_queueserver.documents.reader import Spot, read_environment
from jupyter_queueserver.documents.run_index import RunIndex
from jupyter_queueserver.documents.segments import JournalIndex

__all__ = ["FoundRun", "find_run", "run_documents"]


class FoundRun(msgspec.Struct, frozen=True):
    """Where a run is in the journal: spot before its start document; seq of its stop document (None: still open)."""

    environment_id: str
    before_start: Spot
    stop_seq: int | None


def find_run(journal_dir: Path, run_uid: str) -> FoundRun | None:
    """Look for a run by its uid; None if its start document is not in the journal."""
    index = JournalIndex(journal_dir)
    mark = run_uid.encode()
    for environment_id in reversed(index.environments()):
        start: Spot | None = None
        for before, seq, payload in _payloads(index, environment_id, None):
            if mark not in payload:
                continue
            name, doc = encoding.decode_light(payload)
            if name == "start" and doc.get("uid") == run_uid:
                start = before
            elif name == "stop" and doc.get("run_start") == run_uid and start is not None:
                return FoundRun(environment_id, start, seq)
        if start is not None:
            return FoundRun(environment_id, start, None)
    return None


def run_documents(journal_dir: Path, run_uid: str, *, arrays: bool = True) -> Iterator[tuple[str, dict[str, Any]]]:
    """The documents of one run as ``(name, doc)``, in the order in which the RunEngine made them.

    ``arrays``: numpy arrays (needs numpy), else ``msgspec.msgpack.Ext``. Nothing comes for a run that is not there.
    """
    found = find_run(journal_dir, run_uid)
    if found is None:
        return
    runs = RunIndex()
    decode = encoding.decode if arrays else encoding.decode_light
    for _, _, payload in _payloads(JournalIndex(journal_dir), found.environment_id, found.before_start):
        name, doc = decode(payload)
        if runs.run_of(name, doc) == run_uid:
            yield name, doc
            if name == "stop":
                return


def _payloads(index: JournalIndex, environment_id: str, spot: Spot | None) -> Iterator[tuple[Spot, int, bytes]]:
    while True:
        found, end = read_environment(index, environment_id, spot, 1024, 64 << 20)
        for item in found:
            yield item.before, item.record.seq, item.record.payload
        if end is None or end == spot:
            return
        spot = end
