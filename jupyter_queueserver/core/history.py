"""The history as the state knows it: which entries exist, by number, and the newest of them.

The entries themselves are in the store; a state holds a bounded tail of them, so that a million entries cost as much memory
as two hundred.  Nothing here reads a store: who needs an older entry asks for it by its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from .items import Item
from .sequence import ItemSequence

#: entries that a state holds at most
TAIL_ENTRIES = 200
#: bytes of their texts at most, beyond the newest one, which is held in any case
TAIL_BYTES = 4 * 1024 * 1024


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries there are, and the newest of them.

    Entries have consecutive numbers that never change; trimming drops the lowest ones.  Iterating, ``in`` and `get` mean the
    entries that are held, not all of them.

    Attributes
    ----------
    first
        Number of the oldest entry that exists; `end` if there is none.
    end
        Number of the next entry.
    tail
        The newest entries, oldest first: as many as `TAIL_ENTRIES` and `TAIL_BYTES` allow.
    """

    first: int = 0
    end: int = 0
    tail: ItemSequence = msgspec.field(default_factory=ItemSequence)

    @property
    def size(self) -> int:
        """How many entries exist, held or not."""
        return self.end - self.first

    @property
    def held_from(self) -> int:
        """Number of the oldest entry that is held; `end` if none is."""
        return self.end - len(self.tail)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.tail)

    def __contains__(self, uid: str) -> bool:
        return uid in self.tail

    def get(self, uid: str) -> Item | None:
        """Return the held entry of that uid, None if it is not held."""
        return self.tail.get(uid)

    def number(self, uid: str) -> int | None:
        """Return the number of a held entry, None if it is not held."""
        return self.held_from + self.tail.index(uid) if uid in self.tail else None

    def between(self, begin: int, end: int) -> tuple[Item, ...]:
        """Return the held entries with the numbers from `begin` to before `end`."""
        start = self.held_from
        return self.tail.between(max(0, begin - start), max(0, end - start))

    def appended(self, items: Iterable[Item]) -> History:
        """Return the history with entries at its end."""
        new = tuple(items)
        if not new:
            return self
        return History(first=self.first, end=self.end + len(new), tail=newest(self.tail.insert(new)))

    def trimmed(self, count: int) -> History:
        """Return the history without its oldest `count` entries."""
        first = min(self.first + max(count, 0), self.end)
        return History(first=first, end=self.end, tail=self.tail.without_oldest(first - self.held_from))


def newest(items: ItemSequence) -> ItemSequence:
    """Return the longest end of a sequence that a state may hold."""
    return items.without_oldest(len(items) - tail_length(len(item.text) for item in reversed(tuple(items))))


def tail_length(sizes: Iterable[int]) -> int:
    """Return how many of the newest entries a state holds, given the sizes of their texts (bytes), newest first."""
    count = room = 0
    for size in sizes:
        if count:
            room += size
        if count == TAIL_ENTRIES or room > TAIL_BYTES:
            break
        count += 1
    return count
