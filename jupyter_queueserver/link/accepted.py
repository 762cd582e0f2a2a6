"""`accepted.log`: what a worker has written down about the items that it was asked to start, as its manager reads it.

The worker writes it (`jupyter_queueserver.worker.ledger`).  It tells after a worker's death whether a plan had begun, as long
as the machine itself did not go down: nothing forces the lines to the disk.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from .messages import ItemFate


class LedgerLine(msgspec.Struct, frozen=True):
    """One line of ``accepted.log``."""

    uid: str
    fate: ItemFate
    fence: int


def read_ledger(path: Path) -> dict[str, ItemFate]:
    """What became of each item of an environment, also after the worker's death; a torn last line is ignored."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return {}
    found: dict[str, ItemFate] = {}
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=LedgerLine)
        except msgspec.MsgspecError:
            continue
        found[entry.uid] = entry.fate
    return found


def proves_never_taken(path: Path, item_uid: str) -> bool:
    """Whether the ledger of a worker that is dead proves that the plan of an item had not begun.

    A worker takes an item only when the line that says so is written; a file that is not there, or damaged, proves nothing.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return False
    fate: ItemFate | None = None
    for line in filter(None, lines):
        try:
            entry = msgspec.json.decode(line, type=LedgerLine)
        except msgspec.MsgspecError:
            return False  # it may have been that very line
        if entry.uid == item_uid:
            fate = entry.fate
    return fate in (None, "accepted", "withdrawn")
