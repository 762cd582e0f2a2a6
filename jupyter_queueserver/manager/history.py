"""Gets from the store what methods want of the history beyond the entries that the state holds.

It reads in threads, never in the loop, and decides nothing: what a page is, the rules say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import ReplyTooLarge, StoreUnavailable
from ..core.limits import HISTORY_REPLY_LIMIT
from ..core.rules.history import Fetched, check_page, span
from ..core.rules.restore import KnownEntries
from ..storage import Store
from .writer import Writer

#: Entries that are read at once: between two reads it is seen whether the reply becomes too large.
_BLOCK = 256
#: How often, and after how many seconds, is read again when a commit came between state and store.
_TRIES, _PAUSE = 100, 0.02


class HistoryFetcher:
    """Reads entries of the history, for one reply at a time.

    Parameters
    ----------
    writer
        Whose state says which entries there are.
    store
        The one that the writer commits to.
    """

    def __init__(self, writer: Writer, store: Store) -> None:
        self._writer = writer
        self._store = store
        self._reading = asyncio.Lock()
        self._too_large = range(0)  # entries that were found to be more than a reply may hold; they never change

    async def page(self, params: Mapping[str, Any]) -> Fetched:
        """Get a page for ``history_get``: entries and state that belong together.

        Raises `StoreUnavailable`, and `ReplyTooLarge` if the texts are more than a reply may hold.
        """
        limit, before_uid = params["limit"], params["before_uid"]
        check_page(limit, before_uid)
        for _ in range(_TRIES):
            state = self._writer.state
            number = None if before_uid is None else await self._number(before_uid)
            wanted = span(state.history, limit, before_uid, number)
            missing = range(wanted.start, max(wanted.start, min(wanted.stop, state.history.held_from)))
            texts = await self._texts(missing)
            if len(texts) == len(missing):
                return Fetched(state=state, number=number, texts=texts)
            await asyncio.sleep(_PAUSE)  # the store is ahead of the state, by entries that were dropped: take the next state
        raise StoreUnavailable("Older entries of the history cannot be read now.", hint="Look at the manager's log; try again.")

    async def number(self, params: Mapping[str, Any]) -> int | None:
        """Get the number of the entry that ``history_clear`` names."""
        uid = params["item_uid"]
        return await self._number(uid) if isinstance(uid, str) else None

    async def known(self, params: Mapping[str, Any]) -> KnownEntries:
        """Get those of the uids that ``queue_restore`` was sent which the history has."""
        end = self._writer.state.history.end
        sent = [item for name in ("items", "history") if isinstance(params[name], list) for item in params[name]]
        uids = [item.get("item_uid") for item in (*sent, params["running"]) if isinstance(item, dict)]
        return KnownEntries(end, await asyncio.to_thread(self._known, [uid for uid in uids if isinstance(uid, str)]))

    def _known(self, uids: Sequence[str]) -> frozenset[str]:
        return frozenset(uid for uid in uids if self._store.history_number(uid) is not None)

    async def _number(self, uid: str) -> int | None:
        held = self._writer.state.history.number(uid)
        return held if held is not None else await asyncio.to_thread(self._store.history_number, uid)

    async def _texts(self, numbers: range) -> list[bytes]:
        if not numbers:
            return []
        async with self._reading:
            known = self._too_large
            if known and numbers.start <= known.start and known.stop <= numbers.stop:
                raise _too_large(len(numbers))
            return await asyncio.to_thread(self._read, numbers)

    def _read(self, numbers: range) -> list[bytes]:
        """Read until the end, until something is missing, or until it is too much."""
        texts: list[bytes] = []
        size = 0
        for begin in range(numbers.start, numbers.stop, _BLOCK):
            end = min(begin + _BLOCK, numbers.stop)
            found = self._store.history(begin, end)
            texts += found
            size += sum(map(len, found))
            if size > HISTORY_REPLY_LIMIT:
                self._too_large = range(numbers.start, end)
                raise _too_large(len(numbers))
            if len(found) < end - begin:
                break
        return texts


def _too_large(count: int) -> ReplyTooLarge:
    return ReplyTooLarge(
        f"The {count} entries are larger than {HISTORY_REPLY_LIMIT // 1024**2} MiB, which is the most that one reply may hold",
        path="limit",
    )
