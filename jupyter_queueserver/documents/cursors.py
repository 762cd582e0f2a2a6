"""Cursors of consumers on disk: how far each has got, so that a restarted relay goes on from there.

``<journal>/cursors/<name>.json``. A cursor never names a document as delivered that was not.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from jupyter_queueserver.documents.reader import Position
from jupyter_queueserver.instance import write_private

__all__ = ["Cursor", "cursor_path", "load_cursor", "save_cursor"]

log = logging.getLogger(__name__)


class Cursor(msgspec.Struct):
    """State of a consumer.

    Attributes
    ----------
    resume
        Where to read from after a restart.
    reached
        Last sequence number delivered or put aside, by environment; beyond ``resume`` while runs are open.
    delivered
        Documents delivered since the cursor exists.
    last_success
        Seconds since the epoch; None: never.
    """

    resume: Position = msgspec.field(default_factory=Position)
    reached: dict[str, int] = msgspec.field(default_factory=dict)
    delivered: int = 0
    last_success: float | None = None


def cursor_path(journal_dir: Path, name: str) -> Path:
    """The file of a consumer's cursor."""
    return journal_dir / "cursors" / f"{name}.json"


def load_cursor(journal_dir: Path, name: str) -> Cursor | None:
    """Read a cursor; None if there is none. A damaged one is moved away (then everything is delivered again)."""
    path = cursor_path(journal_dir, name)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cursor)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        log.error("cursor %s is damaged (%s): delivering from the start of the journal", path.name, error)
        path.rename(path.with_suffix(".damaged"))
        return None


def save_cursor(journal_dir: Path, name: str, cursor: Cursor) -> None:
    """Write a cursor, durably. Raises ``OSError``."""
    path = cursor_path(journal_dir, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, msgspec.json.encode(cursor), sync=True)
