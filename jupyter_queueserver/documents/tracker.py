"""The relay's own look at the journal: how far it reaches, which runs are open, what has to go to the disk.

It finishes runs of dead workers by appending a stop document to the journal; nothing else here writes documents.
Documents are decoded only as far as needed (no arrays).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from jupyter_queueserver.documents.deaths import DeathMark, read_death, stop_uid
from jupyter_queueserver.documents.journal import JournalWriter
from jupyter_queueserver.documents.reader import Position, Spot, read_environment
from jupyter_queueserver.documents.segments import JournalIndex, read_header, segment_path
from jupyter_queueserver.instance import boot_id, write_private

__all__ = ["OpenRun", "Tracker", "stop_document"]

log = logging.getLogger(__name__)

_STATE_NAME: Final = "relay.json"


class OpenRun(msgspec.Struct):
    """A run without stop document: streams by descriptor uid, number of events by stream."""

    uid: str
    streams: dict[str, str] = msgspec.field(default_factory=dict)
    num_events: dict[str, int] = msgspec.field(default_factory=dict)


class TrackedEnvironment(msgspec.Struct):
    """What the tracker knows of one environment; *ended*: its worker is dead and its runs are finished."""

    spot: Spot | None = None
    first_seq: int = 1
    runs: dict[str, OpenRun] = msgspec.field(default_factory=dict)
    ended: bool = False


class _Start(msgspec.Struct):
    uid: str


class _Descriptor(msgspec.Struct):
    uid: str
    run_start: str
    name: str = "primary"


class _Event(msgspec.Struct):
    descriptor: str
    seq_num: int | list[int]


class _Stop(msgspec.Struct):
    run_start: str


_outer = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw])
_inner: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(kind)
    for name, kind in (
        ("start", _Start),
        ("descriptor", _Descriptor),
        ("event", _Event),
        ("event_page", _Event),
        ("stop", _Stop),
    )
}


def stop_document(run: OpenRun, death: DeathMark) -> dict[str, Any]:
    """The stop document of a run whose worker died; always the same for the same run (its uid too)."""
    return {
        "uid": stop_uid(run.uid),
        "time": death.time,
        "run_start": run.uid,
        "exit_status": "fail",
        "reason": death.reason,
        "num_events": dict(run.num_events),
    }


class Tracker:
    """Follows all environments of a journal.

    Parameters
    ----------
    journal_dir
        The journal folder.
    boot
        Identifier of this boot; None: ask the system.
    """

    def __init__(self, journal_dir: Path, *, boot: str | None = None) -> None:
        self._dir = journal_dir
        self._boot = boot_id() if boot is None else boot
        self._path = journal_dir / "cursors" / _STATE_NAME
        self._environments = self._load()
        self._unsynced: set[tuple[str, int]] = set()
        self._index = JournalIndex(journal_dir)
        self._stop_seen = False
        self._dirty = False

    def advance(self) -> bool:
        """Read what is new, finish the runs of the dead; True if the journal has grown or a run was finished."""
        self._list()
        grown = False
        for environment_id, tracked in list(self._environments.items()):
            if tracked.ended:
                continue
            grown |= self._read(environment_id, tracked)
            death = self._death(environment_id)
            if death is not None:
                self._read(environment_id, tracked)  # what came between the reading and the mark
                grown |= self._finish(environment_id, tracked, death)
        return grown

    def sync(self) -> None:
        """After the end of a run: force its segments to the disk and remember the place. Raises ``OSError``."""
        if not self._stop_seen:
            return
        for environment_id, number in sorted(self._unsynced):
            _sync(segment_path(self._dir, environment_id, number))
            _sync(self._dir / environment_id)
        self._unsynced.clear()
        self._stop_seen = False
        self.save()

    def save(self) -> None:
        """Remember what is known, for the next relay. Raises ``OSError``."""
        if self._dirty:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._path, msgspec.json.encode(self._environments), sync=True)
            self._dirty = False

    def heads(self) -> dict[str, int]:
        """Last sequence number of each environment."""
        return {env: tracked.spot.seq for env, tracked in self._environments.items() if tracked.spot is not None}

    def firsts(self) -> dict[str, int]:
        """First sequence number of each environment that is still in the journal."""
        return {env: tracked.first_seq for env, tracked in self._environments.items()}

    def position(self) -> Position:
        """How far the tracker has read."""
        return Position({env: t.spot for env, t in self._environments.items() if t.spot is not None})

    def ended(self) -> set[str]:
        """Environments whose worker is dead and whose runs are all finished."""
        return {env for env, tracked in self._environments.items() if tracked.ended}

    def open_runs(self) -> set[str]:
        """uids of all runs without stop document."""
        return {uid for tracked in self._environments.values() for uid in tracked.runs}

    def _list(self) -> None:
        present = self._index.environments()
        for gone in set(self._environments) - set(present):
            del self._environments[gone]
        for name in present:
            if name not in self._environments:
                self._environments[name] = TrackedEnvironment()
            numbers = self._index.segments(name)
            self._environments[name].first_seq = numbers[0] if numbers else 1

    def _read(self, environment_id: str, tracked: TrackedEnvironment) -> bool:
        grown = False
        while True:
            found, end = read_environment(self._index, environment_id, tracked.spot, 1024, 64 << 20)
            if end is None or end == tracked.spot:
                return grown
            for item in found:
                self._unsynced.add((environment_id, item.after.segment))
                self._follow(tracked, item.record.payload)
            tracked.spot = end
            self._dirty = True
            grown = grown or bool(found)

    def _follow(self, tracked: TrackedEnvironment, payload: bytes) -> None:
        try:
            name, raw = _outer.decode(payload)
            decoder = _inner.get(name)
            doc = decoder.decode(raw) if decoder is not None else None
        except msgspec.MsgspecError as error:
            log.warning("a record of the journal is not a document: %s", error)
            return
        match doc:
            case _Start():
                tracked.runs[doc.uid] = OpenRun(doc.uid)
            case _Descriptor() if doc.run_start in tracked.runs:
                tracked.runs[doc.run_start].streams[doc.uid] = doc.name
                tracked.runs[doc.run_start].num_events.setdefault(doc.name, 0)
            case _Event():
                _count(tracked, doc)
            case _Stop():
                tracked.runs.pop(doc.run_start, None)
                self._stop_seen = True
            case _:
                pass

    def _death(self, environment_id: str) -> DeathMark | None:
        mark = read_death(self._dir, environment_id)
        if mark is not None:
            return mark
        numbers = self._index.segments(environment_id)
        if not numbers:
            return None
        first = segment_path(self._dir, environment_id, numbers[0])
        header = read_header(first)
        if header is None or not header.boot_id or not self._boot or header.boot_id == self._boot:
            return None
        last = segment_path(self._dir, environment_id, numbers[-1])
        return DeathMark("the machine was restarted while the run was open", last.stat().st_mtime)

    def _finish(self, environment_id: str, tracked: TrackedEnvironment, death: DeathMark) -> bool:
        """Write the missing stop documents; they are delivered like all others, so each consumer sees them once."""
        runs = list(tracked.runs.values())
        if runs:
            writer = JournalWriter(self._dir, environment_id)
            for run in reversed(runs):  # inner runs first
                writer.append("stop", stop_document(run, death))
            writer.close()
            self._read(environment_id, tracked)
            log.warning("%d run(s) of %s finished as failed: %s", len(runs), environment_id, death.reason)
        tracked.ended = not tracked.runs
        self._dirty = True
        return bool(runs)

    def _load(self) -> dict[str, TrackedEnvironment]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, TrackedEnvironment])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            log.error("%s is damaged (%s): reading the journal from its start", self._path.name, error)
            return {}


def _count(tracked: TrackedEnvironment, event: _Event) -> None:
    """A stream has as many events as its highest seq_num says (a repeated point has the same number)."""
    highest = event.seq_num if isinstance(event.seq_num, int) else max(event.seq_num, default=0)
    for run in tracked.runs.values():
        stream = run.streams.get(event.descriptor)
        if stream is not None:
            run.num_events[stream] = max(run.num_events.get(stream, 0), highest)


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
