"""A store that lives as long as the process: for tests, and for trying things out.

Everything is kept as encoded bytes, so that nothing is shared with the state that it was made of.  It has no
lease, but the fence works as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..core.changes import AnyChange, apply, begin_life
from ..core.codec import convert, from_json, python_json, to_plain
from ..core.state import State
from .contract import FenceLost, Owner
from .texts import PARTS, part_texts, result_text, state_of

#: changes kept one by one before they are folded into a new base
_LOG_LIMIT = 1000


@dataclass
class _Base:
    """A whole state as texts."""

    queue: list[bytes]
    history: list[bytes]
    results: list[bytes]
    parts: dict[str, bytes]


@dataclass
class MemoryDisk:
    """What a `MemoryStore` writes on; several may be opened on one, as several managers on one file."""

    base: _Base | None = None
    log: list[bytes] = field(default_factory=list)
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

    def acquire(self, owner: Owner) -> int:
        """Raise the fence and return it; there is no lease, so nobody is refused."""
        self.disk.fence += 1
        self.disk.owner = owner
        self._fence = self.disk.fence
        return self._fence

    def load(self) -> State | None:
        """Return the state of the last commit, None if there never was one."""
        base = self.disk.base
        if base is None:
            return None
        state = state_of(base.queue, base.history, base.results, base.parts)
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
        if self.disk.base is None or len(self.disk.log) >= _LOG_LIMIT:
            self.disk.base = _Base(
                [item.text for item in after.queue],
                [item.text for item in after.history],
                [result_text(result) for result in after.task_results],
                part_texts(after, PARTS),
            )
            self.disk.log = []
        else:
            self.disk.log.append(python_json(to_plain(list(changes))))

    def last_owner(self) -> Owner | None:
        """Return who acquired it last."""
        return self.disk.owner

    def close(self) -> None:
        """Nothing is held."""
