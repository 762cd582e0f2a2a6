"""How many connections a manager can bear: a crowd at the door must not take the descriptors that the manager works with.

Each connection costs a descriptor, and one that cannot open the worker's reports any more is of no use to anybody.  Who fills the
room is not known here, and nobody who is in is sent away: newcomers are held off, see `jupyter_queueserver.manager.entrance`.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from pathlib import Path
from typing import Any

import zmq

#: Open files that a manager asks for, where the system lets it.
_WANTED = 8192
#: Seconds between two looks at the crowd, and when it is at half of what is borne.
_LOOK, _LOOK_CLOSELY = 0.1, 0.02
#: Milliseconds that a connection has to say who it is, before it is closed.
_HANDSHAKE = 5000

_OPEN_FILES = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")


def make_room() -> None:
    """Raise this process's limit of open files as far as is useful and permitted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def guard(socket: zmq.Socket[Any]) -> None:
    """Set what lets a socket, before it is bound, get rid of peers that say nothing or have gone without a word."""
    socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 60)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, 20)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 3)


def _count() -> int:
    try:
        return len(os.listdir(_OPEN_FILES))
    except OSError as err:
        if err.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        return sys.maxsize  # not even this one can be opened


class Crowd:
    """Says when nobody more may come in, and when again.

    Attributes
    ----------
    is_full
        Whether nobody more may come in, as of the last look.
    pause
        Seconds until the next look.
    """

    def __init__(self, limit: int | None = None) -> None:
        """Take the number of files that may be open; None: what the system says."""
        if limit is None:
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            limit = _WANTED if soft == resource.RLIM_INFINITY else min(soft, _WANTED)
        self._full_at, self._free_at = limit // 2, limit * 7 // 16
        self.is_full = False
        self.pause = _LOOK

    def look(self, count: int | None = None) -> bool:
        """Look how many files are open (``count``; None: of this process); returns whether `is_full` has changed."""
        if count is None:
            count = _count()
        before = self.is_full
        self.pause = _LOOK_CLOSELY if count >= self._full_at // 2 and not before else _LOOK
        self.is_full = count >= (self._free_at if before else self._full_at)
        return self.is_full is not before
