"""The addresses by TCP at which existing clients find a manager: control socket, info socket, and the one of the first version.

A manager that is started by a user refuses to start if one of them is taken.  One that takes the place of a dead manager goes
on without it, because its queue must go on, and tries again until the address is free.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import zmq
import zmq.asyncio

from ..instance.secrecy import close_socket
from .control import ControlSocket
from .crowd import Crowd
from .publish import InfoSocket
from .replies import Answerer
from .settings import Settings

_log = logging.getLogger(__name__)

#: Seconds between two attempts at an address that is taken.
_RETRY = 1.0

Door = ControlSocket | InfoSocket


def _is_file(address: str) -> bool:
    """Whether the address is a socket file, which has an owner; others (TCP, names without file) have none."""
    return address.startswith("ipc://") and not address.startswith("ipc://@")


class Doors:
    """The sockets by TCP of one manager.

    Parameters
    ----------
    on_opened
        Called when an address that was taken could be used at last.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        settings: Settings,
        answerer: Answerer,
        on_opened: Callable[[], None],
    ) -> None:
        self._context = context
        self._settings = settings
        self._answerer = answerer
        self._on_opened = on_opened
        self._open: dict[str, Door] = {}
        self._taken: dict[str, str] = {}
        self._crowd = Crowd()

    def open(self, *, patient: bool) -> None:
        """Bind them all; raises ``OSError`` with address and advice if one cannot be bound, unless `patient`."""
        for name, address in self._wanted().items():
            try:
                self._open[name] = self._make(name, address)
            except zmq.ZMQError as err:
                if not patient:
                    raise OSError(
                        f"The address {address} cannot be used: {err.strerror}. Choose another address (--zmq-control-addr, "
                        "--zmq-info-addr, --legacy), or leave TCP out (--private)."
                    ) from err
                _log.error("The address %s cannot be used: %s. It is tried again until it is free.", address, err.strerror)
                self._taken[name] = address

    def _wanted(self) -> dict[str, str]:
        settings = self._settings
        wanted = {"control": settings.zmq_control_addr, "first_version": settings.zmq_legacy_addr}
        if settings.zmq_publish_console:
            wanted["info"] = settings.zmq_info_addr
        return {name: address for name, address in wanted.items() if address}

    def _make(self, name: str, address: str) -> Door:
        door = self._bind(name, address)
        if not self._settings.allow_remote:
            close_socket(door.address)
        if self._crowd.is_full:
            self._admit(door)
        return door

    def _bind(self, name: str, address: str) -> Door:
        settings = self._settings
        if name == "info":
            return InfoSocket(self._context, address, self._answerer.status, settings.zmq_encoding)
        return ControlSocket(
            self._context,
            address,
            self._answerer,
            encoding=settings.zmq_encoding if name == "control" else "json",
            private_key=settings.zmq_private_key,
            first_version=name == "first_version",
        )

    async def run(self) -> None:
        """Serve until cancelled; a socket that ends by itself ends this with its error."""
        async with asyncio.TaskGroup() as serving:
            for door in self._open.values():
                serving.create_task(door.run())
            serving.create_task(self._watch_crowd())
            while self._taken:
                await asyncio.sleep(_RETRY)
                for door in self._try_again():
                    serving.create_task(door.run())
            await asyncio.get_running_loop().create_future()

    def _try_again(self) -> list[Door]:
        opened = []
        for name, address in list(self._taken.items()):
            try:
                door = self._make(name, address)
            except zmq.ZMQError:
                continue
            _log.warning("The address %s is free again, and used.", address)
            del self._taken[name]
            self._open[name] = door
            opened.append(door)
        if opened:
            self._on_opened()
        return opened

    async def _watch_crowd(self) -> None:
        """Let nobody more in while there are so many connections that the manager's own work would suffer."""
        while True:
            await asyncio.sleep(self._crowd.pause)
            if self._crowd.look():
                if self._crowd.is_full:
                    _log.warning("There are too many connections: no new ones are taken by TCP until some of them are closed.")
                else:
                    _log.warning("There are fewer connections again: new ones are taken.")
                for door in self._open.values():
                    self._admit(door)

    def _admit(self, door: Door) -> None:
        """Take newcomers there, or none, as the crowd is."""
        if not door.admit(not self._crowd.is_full):
            _log.warning("This system cannot hold off new connections at %s.", door.address)

    @property
    def control_address(self) -> str | None:
        """Where requests are answered; None: not by TCP."""
        return self._address("control")

    @property
    def info_address(self) -> str | None:
        """Where status and console text are published; None: not by TCP."""
        return self._address("info")

    def _address(self, name: str) -> str | None:
        door = self._open.get(name)
        return None if door is None else door.address

    def describe(self) -> str:
        """Say who can reach this manager, for the line that `start-re-manager` prints."""
        addresses = [address for name in ("control", "first_version") if (address := self._address(name))]
        if not addresses:
            return "It is reached by this user's processes only."
        said = f"It answers at {' and '.join(addresses)}, to {self._who(addresses)} (--private: to this user's processes only)."
        info = self._address("info")
        return said if info is None else f"{said} {self._about_info(info)}"

    def _who(self, addresses: list[str]) -> str:
        """Say who can send requests."""
        if all(_is_file(address) for address in addresses) and not self._settings.allow_remote:
            return "this user's processes"
        if self._settings.zmq_private_key:
            return "whoever has the public key"
        return "everybody who can reach that address" if self._settings.allow_remote else "every user of this machine"

    def _about_info(self, address: str) -> str:
        """Say who can read status and console text, which are never encrypted."""
        if _is_file(address) and not self._settings.allow_remote:
            return f"Console text is published at {address}, to this user's processes."
        who = "everybody who can reach that address" if self._settings.allow_remote else "every user of this machine"
        return f"Console text is published at {address}, to {who}."

    def status_changed(self) -> None:
        """Publish the status soon."""
        if isinstance(info := self._open.get("info"), InfoSocket):
            info.status_changed()

    def console(self, text: str) -> None:
        """Publish console text."""
        if isinstance(info := self._open.get("info"), InfoSocket):
            info.console(text)

    async def close(self) -> None:
        """Close them; what is being answered is answered."""
        for door in self._open.values():
            if isinstance(door, InfoSocket):
                door.close()
            else:
                await door.close()
