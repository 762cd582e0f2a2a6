"""Who is on duty as the watchdog of an instance: the lock, and the note in it that names the owner and his
manager.

The lock is freed by the owner's death and by nothing else.  Looking must not write: a second start that is
refused leaves the data directory exactly as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

import msgspec

from ..instance.home import decode_at_home, encode_at_home, home_of
from ..instance.paths import Instance
from ..instance.process import Identity, identity_of, is_alive

_NOTE_SIZE = 1024


class DutyNote(msgspec.Struct, frozen=True, kw_only=True):
    """Content of the lock file.

    Attributes
    ----------
    watchdog
        The process that holds the lock.
    since
        When it took the lock, seconds since the epoch.
    manager
        The manager that it watches; None before it has started one.
    stand_in
        Whether it was started by the manager because nobody was on duty: then it gives way to a user's start.
    """

    watchdog: Identity
    since: float
    manager: Identity | None = None
    stand_in: bool = False


class Occupied(Exception):
    """Another watchdog is on duty.

    Attributes
    ----------
    note
        What is known of it; None if it has not written its name yet.
    """

    def __init__(self, note: DutyNote | None) -> None:
        super().__init__("another watchdog is on duty")
        self.note = note


class Duty:
    """The lock, held by this process until `release` or its death; made by `take_duty`."""

    def __init__(self, instance: Instance, handle: int, manager: Identity | None, *, stand_in: bool) -> None:
        self._home = msgspec.structs.replace(home_of(instance.data_dir), path="")  # a long one would not fit into the note
        self._path = instance.watchdog_lock
        self._handle = handle
        self.note = DutyNote(watchdog=identity_of(), since=time.time(), manager=manager, stand_in=stand_in)
        self._write()

    def set_manager(self, manager: Identity | None) -> None:
        """Write down which manager is watched, so that a successor finds it even before it has published
        itself."""
        self.note = msgspec.structs.replace(self.note, manager=manager)
        self._write()

    def _write(self) -> None:
        # One write of fixed length: a reader sees the old note or the new one, never half of each.
        os.pwrite(self._handle, encode_at_home(self.note, self._home).ljust(_NOTE_SIZE), 0)

    def keep(self) -> bool:
        """Hold the lock also if somebody has removed its file; False if another process holds the lock of the new one."""
        if _is_at(self._handle, self._path):
            return True
        try:
            here = home_of(self._path.parent)
            if (here.device, here.inode) != (self._home.device, self._home.inode):
                return True  # the directory was moved away: what is there now is not ours
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return True  # the directory was deleted, or nothing can be opened now
        if not _lock(handle):
            os.close(handle)
            return False
        before, self._handle = self._handle, handle
        with contextlib.suppress(OSError):
            self._write()
        os.close(before)
        return True

    def release(self) -> None:
        """Give the duty up."""
        os.close(self._handle)


def read_duty(instance: Instance, *, living: bool = True) -> DutyNote | None:
    """Return the note; None if there is none, it is unreadable, came here with a copy of another data directory, or (with
    ``living``) that watchdog is dead.  Writes nothing."""
    try:
        note = decode_at_home(instance.watchdog_lock.read_bytes(), DutyNote, instance.data_dir)
    except (OSError, msgspec.MsgspecError):
        return None
    return note if note is not None and (not living or is_alive(note.watchdog)) else None


def take_duty(instance: Instance, *, patience: float = 0.0, stand_in: bool = False) -> Duty:
    """Take the lock; makes the instance's directories only if nobody has it.

    Parameters
    ----------
    patience
        Seconds to wait for another owner's end.
    stand_in
        Whether to give way to a user's start later.

    Raises
    ------
    Occupied
        Another watchdog holds it; nothing was written.
    PermissionError
        The directories belong to somebody else.
    """
    started = time.monotonic()
    while True:
        handle = _open(instance)
        if _lock(handle) and _is_at(handle, instance.watchdog_lock):
            before = read_duty(instance, living=False)
            return Duty(instance, handle, before.manager if before else None, stand_in=stand_in)
        os.close(handle)
        note = read_duty(instance)
        # The owner may have taken it a moment ago and not have written his name yet.
        if time.monotonic() - started >= (patience if note else max(patience, 0.5)):
            raise Occupied(note)
        time.sleep(0.02)


def _open(instance: Instance) -> int:
    try:
        return os.open(instance.watchdog_lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        instance.prepare_data()
        return os.open(instance.watchdog_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_at(handle: int, path: Path) -> bool:
    """Whether that is the file at this path: somebody may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
