"""Looks whether `qserver` and `start-re-manager` of the command line are ours: other packages of the field install programs of
the same names into the same environment, and the last install wins.

Looks into files and notes what was said; runs none of them.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import msgspec

from ..instance import Instance, write_private

NAMES = ("qserver", "start-re-manager")
#: Bytes in which the script of an entry point has named its package.
_HEAD = 4096


def find_foreign() -> dict[str, str]:
    """Return those of the names that a shell would take for somebody else's program, each with its path."""
    found = {name: shutil.which(name) for name in NAMES}
    return {name: path for name, path in found.items() if path is not None and not _is_ours(Path(path))}


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"jupyter_queueserver" in file.read(_HEAD)
    except OSError:
        return True  # it cannot be looked into, so nothing is said about it


def notice(instance: Instance) -> str | None:
    """Return what is to be said about foreign programs; None if there are none, or it was said for this data directory."""
    foreign = find_foreign()
    noted = instance.data_dir / "foreign-programs.json"
    try:
        known = msgspec.json.decode(noted.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        known = {}
    if not foreign or foreign.items() <= known.items():
        return None
    with contextlib.suppress(OSError):  # then it is said again
        instance.prepare_data()
        write_private(noted, msgspec.json.encode({**known, **foreign}))
    lines = [
        f"The program '{name}' that a shell finds first, {path}, is not the one of this package."
        for name, path in foreign.items()
    ]
    names = " or ".join(f"`jupyter queueserver {name}`" for name in foreign)
    return "\n".join([*lines, f"Use {names} (or `python -m jupyter_queueserver <program>`) for ours."])
