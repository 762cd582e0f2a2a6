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
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ..core.codec import python_json
from ..core.metadata_keys import permitted_metadata

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
        (directory / "metadata.sqlite").chmod(0o600)
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


class MetadataUnreadable(Exception):
    """The metadata cannot be told; the text says why.

    Parameters
    ----------
    code
        ``metadata_not_json`` or ``metadata_slow``.
    """

    def __init__(self, msg: str, *, code: str) -> None:
        super().__init__(msg)
        self.code = code


def read_metadata(run_engine: Any, keys: tuple[str, ...], limit: float) -> str:
    """Return the RunEngine's metadata as JSON text, as far as the keys permit; from any thread, also while a plan runs.

    Raises `MetadataUnreadable` after ``limit`` seconds, or when JSON cannot hold one of the values.
    """
    outcome: list[str | Exception] = []

    def read() -> None:
        try:
            outcome.append(python_json(_plain(permitted_metadata(_settled(run_engine), keys))).decode())
        except Exception as err:  # values and the mapping itself may be users' objects: the asker is told
            log.info("the RunEngine's metadata cannot be read", exc_info=True)
            outcome.append(err)

    reader = threading.Thread(target=read, name="metadata", daemon=True)
    reader.start()
    reader.join(limit)
    if not outcome:
        raise MetadataUnreadable(f"The metadata of the Run Engine cannot be read within {limit:g} s.", code="metadata_slow")
    if isinstance(outcome[0], Exception):
        raise MetadataUnreadable(f"Failed to serialize RE metadata with JSON: {outcome[0]}", code="metadata_not_json")
    return outcome[0]


def _settled(run_engine: Any, attempts: int = 20) -> dict[str, Any]:
    """A copy of the top level; a plan may add keys while it is made."""
    for _ in range(attempts - 1):
        try:
            return dict(run_engine.md)
        except RuntimeError:
            continue
    return dict(run_engine.md)


def _plain(value: Any) -> Any:
    """Mappings of other types as dictionaries, which is all that JSON takes."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
