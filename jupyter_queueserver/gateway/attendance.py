"""Which Jupyter servers are attached to the manager of an instance: each leaves a note in the data directory.

The last one to leave may end an idle manager; so nobody's open environment ends with somebody else's server.  It neither
starts nor ends anything.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from ..instance import Identity, Instance, identity_of, is_alive, write_private


class Attendance:
    """The notes of the Jupyter servers of one instance, and the one of this process.  Everything blocks, shortly."""

    def __init__(self, instance: Instance) -> None:
        self._folder = instance.data_dir / "gateways"

    def note(self) -> None:
        """Say that this process is there; raises ``OSError``."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_private(self._own, msgspec.json.encode(identity_of()))

    def withdraw(self) -> list[int]:
        """Take the own note back; returns the pids of the others that live, in order.

        It leaves before it looks: of two that leave at once one at least sees that nobody is left.
        """
        with contextlib.suppress(OSError):
            self._own.unlink(missing_ok=True)
        return sorted(pid for path in self._folder.glob("*.json") if (pid := _living(path)) is not None)

    @property
    def _own(self) -> Path:
        return self._folder / f"{os.getpid()}.json"


def _living(path: Path) -> int | None:
    """Return the pid of a note's process; None if it is dead, and the note is removed then."""
    try:
        identity = msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        identity = None
    if identity is not None and is_alive(identity):
        return identity.pid
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    return None
