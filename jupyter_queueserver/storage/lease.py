"""The lease: a lock on a file, held as long as the process lives and freed by its death.

The file is opened without being cut, and written only by the one who holds the lock; who is refused leaves no
trace.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from ..core.errors import StoreUnavailable
from .contract import Owner, StoreOwned

#: longest description of an owner that is read, bytes
_OWNER_LIMIT = 65536


class Lease:
    """The right to write a store.

    Parameters
    ----------
    path
        The file to lock; it is made if there is none and never removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._handle is not None

    def take(self, owner: Owner) -> None:
        """Lock the file and write down who did; raises `StoreOwned` or `StoreUnavailable`."""
        try:
            handle = self._locked()
        except OSError as error:
            raise StoreUnavailable(f"The store cannot be locked: {error}.") from error
        try:
            text = msgspec.json.encode(owner)
            os.pwrite(handle, text, 0)
            os.ftruncate(handle, len(text))
        except OSError as error:
            os.close(handle)
            raise StoreUnavailable(f"The store's owner cannot be written down: {error}.") from error
        self._handle = handle

    def _locked(self) -> int:
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_same_file(handle, self.path):
                    return handle
            except BlockingIOError as error:
                os.close(handle)
                raise StoreOwned(self.owner()) from error
            except OSError:
                os.close(handle)
                raise
            os.close(handle)  # the file was removed between the two steps: lock the one that is there now

    def owner(self) -> Owner | None:
        """Return who took it last; None if nobody did, or has not written his name yet."""
        try:
            with self.path.open("rb") as file:
                return msgspec.json.decode(file.read(_OWNER_LIMIT), type=Owner)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def release(self) -> None:
        """Unlock; the name of the last owner stays."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
