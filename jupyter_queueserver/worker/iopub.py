"""The thread that publishes to attached consoles, without the port by TCP that an ordinary kernel opens beside its channels.

That port takes what forked children print, from every user of the machine.  Here children print into the console file, which they
share with the worker, so that nothing is lost but their text in attached consoles.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ipykernel import kernelapp
from ipykernel.iostream import IOPubThread


class PrivateIOPubThread(IOPubThread):
    """Publishes what this process says; a forked child says nothing here."""

    def __init__(self, socket: Any, pipe: bool = False, session: Any = False) -> None:
        super().__init__(socket, pipe=False, session=session)

    def _really_send(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Send, but not with a socket that a child has inherited: that is the parent's."""
        if self._is_master_process():
            super()._really_send(msg, *args, **kwargs)


@contextlib.contextmanager
def without_port() -> Iterator[None]:
    """Have the kernel application use it: its class is no setting of ipykernel."""
    module: Any = kernelapp  # whose exported names do not include it
    before, module.IOPubThread = module.IOPubThread, PrivateIOPubThread
    try:
        yield
    finally:
        module.IOPubThread = before
