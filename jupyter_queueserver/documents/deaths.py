"""Who is dead: the manager's mark in the journal, and the boot of the machine.

Only these two facts allow the relay to finish a run that its worker left open. This module imports nothing heavy, so
that the manager may use it.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

import msgspec

from jupyter_queueserver.instance import write_private

__all__ = ["DeathMark", "mark_dead", "read_death", "stop_uid"]

_NAME: Final = "dead.json"


class DeathMark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That the worker of an environment is dead: *reason* for people, *time* in seconds since the epoch."""

    reason: str
    time: float


def mark_dead(journal_dir: Path, environment_id: str, reason: str, time: float) -> None:
    """Write the death mark of an environment, once its worker is known to be dead (the last mark wins).

    Parameters
    ----------
    journal_dir
        The journal folder of the instance, ``<data-dir>/journal``; made if missing.
    time
        Seconds since the epoch.

    Raises
    ------
    OSError
        The disk refuses; nothing was marked, so try again.
    """
    folder = journal_dir / environment_id
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(folder / _NAME, msgspec.json.encode(DeathMark(reason, time)), sync=True)


def read_death(journal_dir: Path, environment_id: str) -> DeathMark | None:
    """The death mark of an environment; None if there is none (a damaged one counts, without its reason)."""
    path = journal_dir / environment_id / _NAME
    try:
        data = path.read_bytes()
        changed = path.stat().st_mtime
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=DeathMark)
    except msgspec.MsgspecError:
        return DeathMark("the worker died (its death mark cannot be read)", changed)


def stop_uid(run_uid: str) -> str:
    """The uid of the stop document with which the relay finishes a run whose worker died: always the same for the same run."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"jupyter_queueserver stop {run_uid}"))
