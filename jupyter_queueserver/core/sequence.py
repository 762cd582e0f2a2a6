"""An ordered collection of items that never changes: an edit gives a new one that shares nearly everything.

Queue and history are kept in it.  Items lie in chunks of some hundred, each a dictionary by uid; so an edit, a look-up by
uid or by index costs microseconds at ten thousand items, and the state that readers hold stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from .items import Item

_CHUNK = 256


class _Chunk(dict[str, Item]):
    """Some items in order, by uid; never changed, and shared by many sequences."""

    __slots__ = ("_unconfirmed",)

    @property
    def unconfirmed(self) -> int:
        """How many of them are not confirmed; counted once."""
        try:
            return self._unconfirmed
        except AttributeError:
            self._unconfirmed: int = sum(item.is_unconfirmed for item in self.values())
            return self._unconfirmed


class ItemSequence:
    """Items in order, each uid once.

    Parameters
    ----------
    items
        Front first.  Raises ``ValueError`` if a uid occurs twice.
    """

    __slots__ = ("_chunks", "_size")

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._chunks: tuple[_Chunk, ...] = tuple(_chunked(items))
        self._size = sum(map(len, self._chunks))
        if len(self._chunks) > 1 and len({uid for chunk in self._chunks for uid in chunk}) != self._size:
            raise ValueError("an item_uid occurs more than once")

    @classmethod
    def _of(cls, chunks: tuple[_Chunk, ...], size: int) -> ItemSequence:
        new = cls.__new__(cls)
        new._chunks = chunks  # noqa: SLF001 - of its own class
        new._size = size  # noqa: SLF001 - of its own class
        return new

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Item]:
        return chain.from_iterable(chunk.values() for chunk in self._chunks)

    def __contains__(self, uid: str) -> bool:
        return any(uid in chunk for chunk in self._chunks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ItemSequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ItemSequence({list(self)!r})"

    @property
    def unconfirmed(self) -> int:
        """How many items came back and are not confirmed; after an edit only what it touched is counted again."""
        return sum(chunk.unconfirmed for chunk in self._chunks)

    def get(self, uid: str) -> Item | None:
        """Return the item of that uid, None if it is not there."""
        for chunk in self._chunks:
            if uid in chunk:
                return chunk[uid]
        return None

    def at(self, index: int) -> Item:
        """Return the item at an index, ``0 <= index < len``; raises ``IndexError``."""
        if index >= 0:
            for chunk in self._chunks:
                if index < len(chunk):
                    return next(islice(chunk.values(), index, None))
                index -= len(chunk)
        raise IndexError("index out of range")

    def index(self, uid: str) -> int:
        """Return the place of a uid, 0 is the front; raises ``KeyError``."""
        passed = 0
        for chunk in self._chunks:
            if uid in chunk:
                return passed + next(k for k, key in enumerate(chunk) if key == uid)
            passed += len(chunk)
        raise KeyError(uid)

    def after(self, uid: str) -> str | None:
        """Return the uid that follows, None at the back; raises ``KeyError``."""
        index = self.index(uid) + 1
        return self.at(index).item_uid if index < self._size else None

    def newest(self, count: int) -> tuple[Item, ...]:
        """Return the last ``count`` items in order."""
        return self.between(max(0, self._size - count), self._size)

    def between(self, start: int, stop: int) -> tuple[Item, ...]:
        """Return the items with the indices from ``start`` to before ``stop``; chunks before them are skipped whole."""
        found: list[Item] = []
        for chunk in self._chunks:
            if start < len(chunk) and stop > 0:
                found += islice(chunk.values(), max(0, start), stop)
            start -= len(chunk)
            stop -= len(chunk)
            if stop <= 0:
                break
        return tuple(found)

    def insert(self, items: Iterable[Item], before: str | None = None) -> ItemSequence:
        """Return a sequence with the items put before that uid; None: at the back."""
        new = list(items)
        if not new:
            return self
        if before is None:
            last = self._chunks[-1] if self._chunks else _Chunk()
            head = self._chunks[:-1]
            grown = [*last.values(), *new]
        else:
            place = self._chunk_of(before)
            head = self._chunks[:place]
            grown = []
            for item in self._chunks[place].values():
                if item.item_uid == before:
                    grown.extend(new)
                grown.append(item)
            return self._of((*head, *_chunked(grown), *self._chunks[place + 1 :]), self._size + len(new))
        return self._of((*head, *_chunked(grown)), self._size + len(new))

    def remove(self, uids: Iterable[str]) -> ItemSequence:
        """Return a sequence without these uids; those that are not there are ignored."""
        gone = set(uids)
        chunks = []
        for chunk in self._chunks:
            if gone.isdisjoint(chunk):
                chunks.append(chunk)
            elif rest := _Chunk({uid: item for uid, item in chunk.items() if uid not in gone}):
                chunks.append(rest)
        return self._of(tuple(_merged(chunks)), sum(map(len, chunks)))

    def replace(self, uid: str, item: Item) -> ItemSequence:
        """Return a sequence with another item in that uid's place; raises ``KeyError``."""
        place = self._chunk_of(uid)
        chunk = _Chunk((item.item_uid, item) if key == uid else (key, old) for key, old in self._chunks[place].items())
        return self._of((*self._chunks[:place], chunk, *self._chunks[place + 1 :]), self._size)

    def without_oldest(self, count: int) -> ItemSequence:
        """Return a sequence without its first ``count`` items."""
        return ItemSequence(islice(iter(self), count, None)) if count > 0 else self

    def _chunk_of(self, uid: str) -> int:
        for place, chunk in enumerate(self._chunks):
            if uid in chunk:
                return place
        raise KeyError(uid)


def _chunked(items: Iterable[Item]) -> Iterator[_Chunk]:
    """Cut into even chunks; up to two chunks' worth stays whole, so that edits do not leave splinters."""
    rest = list(items)
    count = 1 if len(rest) <= 2 * _CHUNK else -(-len(rest) // _CHUNK)
    size = max(1, -(-len(rest) // count))
    for start in range(0, len(rest), size):
        part = rest[start : start + size]
        chunk = _Chunk({item.item_uid: item for item in part})
        if len(chunk) != len(part):
            raise ValueError("an item_uid occurs more than once")
        yield chunk


def _merged(chunks: list[_Chunk]) -> Iterator[_Chunk]:
    """Join small neighbours, so that many removals do not leave a long tail of tiny chunks."""
    held = _Chunk()
    for chunk in chunks:
        if held and len(held) + len(chunk) > _CHUNK:
            yield held
            held = _Chunk()
        held = _Chunk({**held, **chunk}) if held else chunk
    if held:
        yield held
