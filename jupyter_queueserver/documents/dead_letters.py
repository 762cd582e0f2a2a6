"""Documents that a consumer refused for good, kept with the reason: ``<journal>/dead/<consumer>/<environment>-<seq>.json``.

They are set aside so that the rest goes on; nothing here ever deletes one by itself.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from jupyter_queueserver.documents import encoding
from jupyter_queueserver.documents.reader import Entry
from jupyter_queueserver.instance import write_private

__all__ = ["DeadLetter", "list_dead_letters", "put_aside", "refused"]


class DeadLetter(msgspec.Struct, frozen=True):
    """One refused document: where it is in the journal, its name, why (for people), when (seconds since the epoch).

    ``payload`` is the msgpack of ``[name, document]`` as the journal stores it (base64 in the file).
    """

    consumer: str
    environment_id: str
    seq: int
    name: str
    reason: str
    time: float
    payload: bytes


def put_aside(journal_dir: Path, consumer: str, entry: Entry, reason: str, time: float) -> None:
    """Keep a refused document (again: the newer reason wins). Raises ``OSError``; it then counts as not put aside."""
    folder = journal_dir / "dead" / consumer
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    payload = encoding.encode([entry.name, entry.doc]).data
    letter = DeadLetter(consumer, entry.environment_id, entry.seq, entry.name, reason, time, payload)
    write_private(folder / f"{entry.environment_id}-{entry.seq}.json", msgspec.json.encode(letter), sync=True)


def list_dead_letters(journal_dir: Path, consumer: str) -> list[DeadLetter]:
    """All refused documents of a consumer, by environment and sequence number."""
    folder = journal_dir / "dead" / consumer
    if not folder.is_dir():
        return []
    letters = [msgspec.json.decode(path.read_bytes(), type=DeadLetter) for path in folder.glob("*.json")]
    return sorted(letters, key=lambda letter: (letter.environment_id, letter.seq))


def refused(journal_dir: Path, consumer: str) -> set[tuple[str, int]]:
    """(environment_id, seq) of all refused documents of a consumer; they are not delivered again."""
    return {(letter.environment_id, letter.seq) for letter in list_dead_letters(journal_dir, consumer)}
