"""The watchdog's ear: the Unix datagram socket on which it hears heartbeats.

Only the watchdog on duty makes one, so it may replace what a dead one left.  No threads, no asyncio.
"""

from __future__ import annotations

import os
import socket

from ..instance.paths import Instance
from .beat import Beat, decode_beat


class Bell:
    """The bound socket."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._path = instance.watchdog_bell
        self._socket = self._bind()

    def _bind(self) -> socket.socket:
        self._path.unlink(missing_ok=True)
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            bell.setblocking(False)
            bell.bind(str(self._path))
            self._path.chmod(0o600)
            self._inode = os.stat(self._path).st_ino
        except OSError:
            bell.close()
            raise
        return bell

    def fileno(self) -> int:
        """Descriptor that is readable when there is a datagram."""
        return self._socket.fileno()

    def hear(self) -> list[Beat]:
        """Take all datagrams that wait; what is not ours is dropped."""
        beats: list[Beat] = []
        while True:
            try:
                beat = decode_beat(self._socket.recv(16384))
            except BlockingIOError:
                return beats
            if beat is not None:
                beats.append(beat)

    def is_intact(self) -> bool:
        """Whether senders still find it: somebody may have cleaned up the directory of temporary files."""
        try:
            return self._path == self._instance.watchdog_bell and os.stat(self._path).st_ino == self._inode
        except OSError:
            return False

    def repair(self, *, anew: bool = False) -> None:
        """Make it again, with its directory.  Raises ``OSError`` if that is impossible; then nobody is heard.

        Parameters
        ----------
        anew
            Whether another directory may be chosen: if no manager lives.
        """
        if anew:
            self._instance.prepare_anew()
        else:
            self._instance.prepare()
        self._path = self._instance.watchdog_bell
        bell, self._socket = self._socket, self._bind()
        bell.close()

    def close(self) -> None:
        """Close and remove it."""
        if self.is_intact():
            self._path.unlink(missing_ok=True)
        self._socket.close()
