"""Keeps the worker reachable when somebody cleans its socket files away: they are bound again under new names.

A socket without its file hears nobody new.  Directories are the manager's matter: nothing is made here but the sockets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import zmq

from ..instance import Instance, check_private, write_private
from ..link.wire import ConnectionInfo

log = logging.getLogger(__name__)

#: Seconds between two looks.
LOOK = 1.0


class KernelSockets:
    """The sockets of a kernel, as its connection file names them.

    Parameters
    ----------
    app
        The kernel application, with its sockets bound.
    instance
        Whose directory of sockets is used; it may be another one than at the start.
    connection_file
        Of this kernel; written anew when the sockets have other names.
    on_moved
        Called with the directory of the new sockets.
    """

    def __init__(self, app: Any, instance: Instance, connection_file: Path, on_moved: Callable[[Path], object]) -> None:
        self._app = app
        self._instance = instance
        self._file = connection_file
        self._on_moved = on_moved
        self._info = msgspec.json.decode(connection_file.read_bytes(), type=ConnectionInfo)
        self._name = Path(self._info.ip).name
        self._moves = 0
        self._trouble = ""

    def look(self) -> None:
        """Bind what is missing again; control thread."""
        if self._info.transport != "ipc" or Path(f"{self._info.ip}-{self._info.control_port}").exists():
            return  # shell and stdin may be late after a move, so that only this one says something
        directory = self._instance.sockets
        if not directory.is_dir():
            return  # the manager makes it, here or elsewhere
        try:
            check_private(directory)
            self._bind(directory)
        except OSError as err:  # also 0MQ's own
            if str(err) != self._trouble:
                log.warning("the sockets of the kernel are gone and cannot be bound again: %s", err)
            self._trouble = str(err)

    def _bind(self, directory: Path) -> None:
        # Never the old name: 0MQ takes a file of that name away when it closes the listener that has lost it.
        self._moves += 1
        moved = msgspec.structs.replace(self._info, ip=str(directory / f"{self._name}.{self._moves}"))
        self._app.control_socket.bind(moved.address(moved.control_port))
        write_private(self._file, msgspec.json.encode(moved))
        self._info = moved
        log.warning("the sockets of the kernel were removed by somebody; they are bound again in %s", directory)
        self._on_moved(directory)
        self._bind_for_consoles(moved)

    def _bind_for_consoles(self, info: ConnectionInfo) -> None:
        """The other sockets, each in its own thread; shell and stdin when the main thread is free."""
        from ipykernel.heartbeat import Heartbeat

        app = self._app

        def main() -> None:
            _bind_quietly(app.shell_socket, info.address(info.shell_port))
            _bind_quietly(app.stdin_socket, info.address(info.stdin_port))

        app.io_loop.add_callback(main)
        app.iopub_thread.schedule(lambda: _bind_quietly(app.iopub_thread.socket, info.address(info.iopub_port)))
        Heartbeat(app.heartbeat.context, (info.transport, info.ip, info.hb_port)).start()


def _bind_quietly(socket: Any, address: str) -> None:
    try:
        socket.bind(address)
    except zmq.ZMQError as err:
        log.warning("consoles cannot reach the kernel at %s: %s", address, err)
