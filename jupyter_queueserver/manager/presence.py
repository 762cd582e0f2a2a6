"""Sees that the manager can still be found: its socket files may be cleaned away under it, with the whole directory.

A socket without its file hears nobody.  It is not bound again here: the manager ends by that, and its successor binds all.
"""

from __future__ import annotations

import asyncio

from ..instance import Instance

#: Seconds between two looks.
LOOK = 1.0


class SocketsGone(Exception):
    """Nobody can reach this manager any more."""


async def watch_sockets(instance: Instance) -> None:
    """Look until cancelled; raises `SocketsGone` when a file that was bound is not there."""
    files = (*(instance.sockets / name for name in ("control", "events", "documents.ipc")), instance.manager_bell)
    missing = None
    while missing is None:
        await asyncio.sleep(LOOK)
        missing = next((path for path in files if not path.exists()), None)
    raise SocketsGone(f"The socket {missing} was removed by somebody.")
