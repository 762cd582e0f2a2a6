"""The RunEngine's metadata, kept on the disk from one environment to the next, so that ``scan_id`` goes on counting.

A dictionary in one SQLite file; values are JSON.  A value that JSON cannot hold stays in memory only and is logged: metadata must
never stop an experiment.
"""

from __future__ import annotations

import copy
import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class PersistentMetadata(MutableMapping[str, Any]):
    """A dictionary that is written through; usable from any thread.

    A change *inside* a value (``md["sample"]["color"] = "red"``) is written when the key is set again, not before.

    Parameters
    ----------
    directory
        Where the file ``metadata.sqlite`` is kept; made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(directory / "metadata.sqlite", isolation_level=None, check_same_thread=False)
        self._database.execute("pragma synchronous = normal")
        self._database.execute("create table if not exists metadata (key text primary key, value text not null)")
        rows = self._database.execute("select key, value from metadata").fetchall()
        self._values: dict[str, Any] = {key: json.loads(value) for key, value in rows}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        with self._lock:
            self._values[key] = value
            try:
                text = json.dumps(value)
                self._database.execute("insert or replace into metadata values (?, ?)", (key, text))
            except (TypeError, ValueError, sqlite3.Error) as err:
                log.warning("metadata %r is not kept beyond this environment: %s", key, err)

    def __delitem__(self, key: str) -> None:
        with self._lock:
            del self._values[key]
            try:
                self._database.execute("delete from metadata where key = ?", (key,))
            except sqlite3.Error as err:
                log.warning("metadata %r cannot be deleted on the disk: %s", key, err)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        """A plain dictionary: the RunEngine copies its metadata for every run."""
        return copy.deepcopy(self._values, memo)

    def __repr__(self) -> str:
        return f"PersistentMetadata({self._values!r})"

    def close(self) -> None:
        """Release the file."""
        self._database.close()
