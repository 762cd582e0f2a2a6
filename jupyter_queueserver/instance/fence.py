"""The highest fence with which a manager of this data directory has ever commanded a worker.

A store may be moved away, emptied, or put back to an older state, and its fence with it; a worker obeys nobody who comes with a
lower one than it has heard.  This number only raises the one that the store gives; between machines the store decides.
"""

from __future__ import annotations

from .paths import Instance, write_private


def read_fence(instance: Instance) -> int:
    """Return it; 0 if there is none, or the file cannot be read as one."""
    try:
        return max(0, int(instance.fence_file.read_text()))
    except (OSError, ValueError):
        return 0


def keep_fence(instance: Instance, fence: int) -> None:
    """Write it down before it is used, unless a higher one is there; raises ``OSError``."""
    if fence > read_fence(instance):
        write_private(instance.fence_file, f"{fence}\n".encode(), sync=True)
