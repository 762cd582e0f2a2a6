"""Which part of the RunEngine's metadata may be shown: paths with slashes, as the settings name them.

Pure; it neither reads metadata nor knows who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: A permitted path as its parts; the empty one permits everything.
Path = tuple[str, ...]


def permitted_metadata(metadata: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return the entries of metadata that are permitted, branches above them included.

    Parameters
    ----------
    metadata
        Mappings in mappings; not changed.
    keys
        Paths such as ``/`` (everything) or ``/sample/name``; slashes at the end do not count.  A path without the slash at the
        beginning, or of an entry that is not there, selects nothing.
    """
    paths = [tuple(key.rstrip("/").split("/")[1:]) for key in keys if key.startswith("/")]
    return _selected(metadata, paths)


def _selected(branch: Mapping[str, Any], paths: list[Path]) -> dict[str, Any]:
    if () in paths:
        return dict(branch)
    selected: dict[str, Any] = {}
    for key, value in branch.items():
        below = [path[1:] for path in paths if path[0] == key]
        if () in below:
            selected[key] = value
        elif below and isinstance(value, Mapping) and (inner := _selected(value, below)):
            selected[key] = inner
    return selected
