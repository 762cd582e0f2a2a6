"""To which data directory a record on the disk belongs, so that what a copy of the directory brought along is nobody's.

Every record that names a process carries the directory in which it was written.  It stays the same when the directory is moved
on its file system or reached by a symbolic link; a copy is another one.  Here nothing is concluded about processes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from .paths import Instance

T = TypeVar("T")


class Home(msgspec.Struct, frozen=True):
    """A data directory, unmistakably.

    Attributes
    ----------
    path
        Its real path; empty where only its number matters.
    device, inode
        Number of the file system, and of the directory on it.
    """

    path: str
    device: int
    inode: int


class _Mark(msgspec.Struct):
    """The part of a record that says where it was written; None: by a version that did not say it."""

    home: Home | None = None


def home_of(data_dir: Path) -> Home:
    """Describe a data directory; raises ``OSError`` if it is not there."""
    found = data_dir.stat()
    # A name that is no text must not make the record unwritable: the path is for people, and for a device with a new number.
    return Home(os.fsencode(os.path.realpath(data_dir)).decode(errors="replace"), found.st_dev, found.st_ino)


def encode_at_home(record: msgspec.Struct, home: Home) -> bytes:
    """The record as JSON, with the directory to which it belongs."""
    return msgspec.json.encode({**msgspec.to_builtins(record), "home": msgspec.to_builtins(home)})


def decode_at_home(data: bytes, kind: type[T], data_dir: Path) -> T | None:
    """Read such a record; None if it was written in another directory.  Raises ``msgspec.MsgspecError``.

    One without that word, as earlier versions wrote it, counts as ours.
    """
    return msgspec.json.decode(data, type=kind) if _strange_home(data, data_dir) is None else None


def copied_from(instance: Instance) -> Home | None:
    """The directory of which this one is a copy, if the records say that something ran there; None: this is no copy."""
    for file in (instance.environment_file, instance.runtime_file):
        if (home := strange_home(file, instance.data_dir)) is not None:
            return home
    return None


def strange_home(file: Path, data_dir: Path) -> Home | None:
    """The other directory to which the record in this file belongs; None if it is ours, or cannot be read."""
    try:
        return _strange_home(file.read_bytes(), data_dir)
    except (OSError, msgspec.MsgspecError):
        return None


def _strange_home(data: bytes, data_dir: Path) -> Home | None:
    home = msgspec.json.decode(data, type=_Mark).home
    if home is None:
        return None
    try:
        here = home_of(data_dir)
    except OSError:
        return None
    # A file system may have another number after the machine's next start.
    is_ours = home.inode == here.inode and (home.device == here.device or home.path == here.path)
    return None if is_ours else home
