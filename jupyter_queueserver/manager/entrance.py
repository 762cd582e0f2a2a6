"""Where newcomers by TCP come in: the listening socket of one 0MQ address, at which they can be held off.

Unbinding would not do: 0MQ then ends the connections of those who are in, too.  So the kernel is told to drop what newcomers
send; they try again by themselves.  Nothing is read or accepted here.
"""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import struct
import sys

#: Options of Linux sockets that Python has no names for.
_ATTACH_FILTER, _DETACH_FILTER = 26, 27
#: A filter of one instruction, "keep 0 bytes": a packet of which nothing is kept is dropped.
_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)


class Entrance:
    """The entrance of one bound 0MQ socket.

    Parameters
    ----------
    address
        As 0MQ gives it after binding; those that are not TCP have no strangers, and nobody is held off there.
    """

    def __init__(self, address: str) -> None:
        self._listener = _listener(address.removeprefix("tcp://")) if address.startswith("tcp://") else None

    def admit(self, admit: bool) -> bool:
        """Take new connections, or none; those that are there stay.  Returns whether that could be done."""
        if self._listener is None:
            return admit
        try:
            if admit:
                self._listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
            else:
                program = ctypes.create_string_buffer(_NOTHING)
                self._listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of it; the address is free when 0MQ has, too."""
        if self._listener is not None:
            self._listener.close()


def _listener(address: str) -> socket.socket | None:
    """The socket of this process that listens there, as a second handle; None: the system does not tell."""
    if sys.platform != "linux":
        return None
    host, _, port = address.rpartition(":")
    for name in os.listdir("/proc/self/fd"):
        found = _socket_of(int(name))
        if found is None:
            continue
        if found.family in (socket.AF_INET, socket.AF_INET6) and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            place = found.getsockname()
            if place[1] == int(port) and place[0].partition("%")[0] == host.strip("[]").partition("%")[0]:
                return found
        found.close()
    return None


def _socket_of(handle: int) -> socket.socket | None:
    """A second handle of a socket; None: that is none, or it was closed meanwhile."""
    copy = None
    try:
        if not stat.S_ISSOCK(os.fstat(handle).st_mode):
            return None
        copy = os.dup(handle)
        return socket.socket(fileno=copy)
    except OSError:
        if copy is not None:
            os.close(copy)
        return None
