"""How far a consumer has got, and from where it must read again after a restart.

Pure bookkeeping on journal entries: for a consumer of whole runs the place to resume is the start document of the
oldest run that is still open. No files, no threads.
"""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_queueserver.documents.reader import Entry, Position, Spot

__all__ = ["Progress"]


class Progress:
    """Tracks entries that a consumer has taken.

    Parameters
    ----------
    position
        Where the consumer's cursor stands.
    reached
        Last sequence number taken before, by environment; may lie beyond *position*.
    whole_runs
        True: resume at the start document of the oldest open run. False: resume behind the last entry.
    """

    def __init__(self, position: Position, reached: dict[str, int], *, whole_runs: bool) -> None:
        self.reached = reached
        self._place = position.copy()
        self._whole_runs = whole_runs
        self._open: dict[str, tuple[str, Spot]] = {}

    def passed(self, entries: Iterable[Entry]) -> int:
        """Note that these were taken (delivered or put aside); the number that had not been reached before."""
        new = 0
        for entry in entries:
            if entry.seq > self.reached.get(entry.environment_id, 0):
                self.reached[entry.environment_id] = entry.seq
                new += 1
            self._place.environments[entry.environment_id] = entry.after
            if self._whole_runs:
                self._follow(entry)
        return new

    def _follow(self, entry: Entry) -> None:
        if entry.name == "start":
            self._open[_text(entry.doc, "uid")] = (entry.environment_id, entry.before)
        elif entry.name == "stop":
            self._open.pop(_text(entry.doc, "run_start"), None)

    def resume(self) -> Position:
        """Where a restarted consumer has to read from."""
        position = self._place.copy()
        for environment_id, spot in self._open.values():
            here = position.environments[environment_id]
            if (spot.segment, spot.offset) < (here.segment, here.offset):
                position.environments[environment_id] = spot
        return position

    def rewind(self) -> Position:
        """Go back to :meth:`resume`, because everything from there will come again."""
        self._place = self.resume()
        self._open.clear()
        return self._place.copy()


def _text(doc: object, key: str) -> str:
    return str(doc.get(key, "")) if isinstance(doc, dict) else ""
