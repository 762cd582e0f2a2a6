"""A store that lives as long as the process: for tests, and for trying things out.

Everything is kept as encoded bytes, so that nothing is shared with the state that it was made of.  It has no
lease, but the fence works as everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from ..core.changes import AnyChange, HistoryAppended, HistoryTrimmed, RequestRecorded, RequestsForgotten, apply, begin_life
from ..core.codec import convert, from_json, python_json, to_plain
from ..core.state import State
from .contract import FenceLost, Owner
from .texts import (
    PARTS,
    StoredHistory,
    entries_of_first_commit,
    part_texts,
    replies_in,
    request_text,
    requests_of,
    result_text,
    state_of,
)

#: changes kept one by one before they are folded into a new base
_LOG_LIMIT = 1000


@dataclass
class _Base:
    """A whole state as texts, without its history and without replies."""

    queue: list[bytes]
    results: list[bytes]
    requests: list[bytes]
    parts: dict[str, bytes]


@dataclass
class _Entries:
    """The history: number -> text, and the newest number of each uid."""

    first: int = 0
    end: int = 0
    texts: dict[int, bytes] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def append(self, uid: str, text: bytes) -> None:
        self.texts[self.end] = text
        self.numbers[uid] = self.end
        self.end += 1

    def trim(self, count: int) -> None:
        first = min(self.first + count, self.end)
        for number in range(self.first, first):
            del self.texts[number]
        self.first = first
        self.numbers = {uid: number for uid, number in self.numbers.items() if number >= first}


@dataclass
class MemoryDisk:
    """What a `MemoryStore` writes on; several may be opened on one, as several managers on one file."""

    base: _Base | None = None
    log: list[bytes] = field(default_factory=list)
    entries: _Entries = field(default_factory=_Entries)
    replies: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    fence: int = 0
    owner: Owner | None = None


class MemoryStore:
    """A `jupyter_queueserver.storage.Store` in memory.

    Parameters
    ----------
    disk
        Where it writes; None: on one of its own.
    """

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = MemoryDisk() if disk is None else disk
        self._fence = 0

    def acquire(self, owner: Owner, at_least: int = 1) -> int:
        """Raise the fence and return it; there is no lease, so nobody is refused."""
        self.disk.fence = max(self.disk.fence + 1, at_least)
        self.disk.owner = owner
        self._fence = self.disk.fence
        return self._fence

    def load(self) -> State | None:
        """Return the state of the last commit, None if there never was one."""
        base, entries = self.disk.base, self.disk.entries
        if base is None:
            return None
        backwards = (entries.texts[number] for number in reversed(range(entries.first, entries.end)))
        history = StoredHistory(entries.first, entries.end, backwards)
        state = replace(state_of(base.queue, history, base.results, base.parts), requests=requests_of(base.requests))
        for text in self.disk.log:
            for change in convert(from_json(text), list[AnyChange]):
                state = apply(state, change, 0.0)
        return begin_life(state)

    def commit(self, changes: Sequence[AnyChange], after: State) -> None:
        """Keep the changes; raises `FenceLost`."""
        if self._fence != self.disk.fence or not self._fence:
            raise FenceLost("Another manager has acquired this store.")
        if not changes:
            return
        is_first = self.disk.base is None
        entries = _first_entries(changes, after) if is_first else self.disk.entries
        if is_first or len(self.disk.log) >= _LOG_LIMIT:
            self.disk.base = _Base(
                [item.text for item in after.queue],
                [result_text(result) for result in after.task_results],
                [request_text(record) for record in after.requests],
                part_texts(after, PARTS),
            )
            self.disk.log = []
        else:
            others = [change for change in changes if not isinstance(change, HistoryAppended | HistoryTrimmed)]
            self.disk.log.append(python_json(to_plain(list(map(_without_reply, others)))))
        self._keep_replies(changes)
        with self.disk.lock:
            self.disk.entries = entries
            if not is_first:
                _write(entries, changes)

    def _keep_replies(self, changes: Sequence[AnyChange]) -> None:
        replies = self.disk.replies
        replies |= replies_in(changes)
        for change in changes:
            if isinstance(change, RequestsForgotten):
                for request_id in change.request_ids:
                    replies.pop(request_id, None)

    def request_reply(self, request_id: str) -> bytes | None:
        """Return the reply of a recorded request."""
        return self.disk.replies.get(request_id)

    def history(self, begin: int, end: int) -> list[bytes]:
        """Return the texts of those entries, oldest first."""
        with self.disk.lock:
            entries = self.disk.entries
            return [entries.texts[number] for number in range(max(begin, entries.first), min(end, entries.end))]

    def history_number(self, uid: str) -> int | None:
        """Return the number of the newest entry with that uid."""
        with self.disk.lock:
            return self.disk.entries.numbers.get(uid)

    def tidy(self) -> bool:
        """Nothing is left over here."""
        return False

    def last_owner(self) -> Owner | None:
        """Return who acquired it last."""
        return self.disk.owner

    def close(self) -> None:
        """Nothing is held."""


def _without_reply(change: AnyChange) -> AnyChange:
    return RequestRecorded(record=change.record) if isinstance(change, RequestRecorded) else change


def _first_entries(changes: Sequence[AnyChange], after: State) -> _Entries:
    made = _Entries(first=after.history.first, end=after.history.first)
    for _, item in entries_of_first_commit(changes, after):
        made.append(item.item_uid, item.text)
    return made


def _write(entries: _Entries, changes: Sequence[AnyChange]) -> None:
    for change in changes:
        if isinstance(change, HistoryAppended):
            for item in change.items:
                entries.append(item.item_uid, item.text)
        elif isinstance(change, HistoryTrimmed):
            entries.trim(change.count)
