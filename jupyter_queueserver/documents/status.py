"""The state of the relay and its consumers as others see it: ``<journal>/status.json``.

Written by the relay only; read by manager and clients. Imports nothing heavy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from jupyter_queueserver.instance import write_private

__all__ = ["ConsumerState", "ConsumerStatus", "RelayStatus", "read_status", "write_status"]

_NAME: Final = "status.json"

ConsumerState = Literal["waiting", "delivering", "failing", "not installed"]


class ConsumerStatus(msgspec.Struct):
    """One consumer.

    Attributes
    ----------
    state
        ``waiting`` (nothing to do), ``delivering``, ``failing`` (tries again), ``not installed``.
    backlog
        Documents in the journal that it has not got yet.
    delivered
        Documents delivered since its cursor exists.
    dead_letters
        Documents put aside because it refused them.
    last_error
        A sentence; None: none since the last success.
    last_success
        Seconds since the epoch; None: never.
    """

    name: str
    state: ConsumerState = "waiting"
    backlog: int = 0
    delivered: int = 0
    dead_letters: int = 0
    last_error: str | None = None
    last_success: float | None = None


class RelayStatus(msgspec.Struct):
    """The relay: *pid*; *time* (seconds since the epoch) when this was written; True *running* until it ends cleanly."""

    pid: int
    time: float
    running: bool
    consumers: list[ConsumerStatus]


def read_status(journal_dir: Path) -> RelayStatus | None:
    """The last status that a relay wrote; None if there is none or it cannot be read."""
    try:
        return msgspec.json.decode((journal_dir / _NAME).read_bytes(), type=RelayStatus)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write_status(journal_dir: Path, status: RelayStatus) -> None:
    """Replace the status file (no fsync). Raises ``OSError``."""
    write_private(journal_dir / _NAME, msgspec.json.encode(status))
