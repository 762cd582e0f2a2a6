"""The file with existing plans and devices, from which they are known before an environment was ever opened.

When it is read and when it is written; its form is the matter of `jupyter_queueserver.link.lists`.  The store keeps the same
lists: the file is read only if it is news, and that it cannot be written harms nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from ..core.changes import AnyChange, DevicesSet, PlansSet
from ..core.state import State
from ..instance import write_private
from ..link.lists import Lists, format_lists, load_lists, parse_lists, save_lists
from .settings import ListsUpdate, shipped_profile

__all__ = ["Lists", "ListsFile", "load_lists"]

_log = logging.getLogger(__name__)


class ListsFile:
    """The file of one manager.

    Parameters
    ----------
    path
        The file; None: there is none.
    mark
        Where the manager notes which content it knows, so that it reads the file only if somebody else wrote it.
    update
        When it is written.
    """

    def __init__(self, path: str | None, mark: Path, update: ListsUpdate) -> None:
        self._path = path
        self._mark = mark
        self._update: ListsUpdate = update
        if path is not None and Path(path).resolve().is_relative_to(shipped_profile().parent):
            self._update = "NEVER"  # the installed package is not ours to change
        self._environment = ""
        self._news = ""
        self._wanted: State | None = None
        self._task: asyncio.Task[None] | None = None

    def news(self, state: State) -> list[AnyChange]:
        """Read the file at the manager's start; returns the changes that it means for the state.

        With an environment the lists are those of its namespace.  A file that cannot be used is logged, and the lists stay.
        """
        self._environment = state.environment.state
        if self._path is None or state.environment.state != "closed":
            return []
        try:
            data = Path(self._path).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if (state.catalogue.plans or state.catalogue.devices) and digest == self._noted():
                return []
            plans, devices = parse_lists(data, self._path)
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as err:
            _log.error("%s; the lists before it stay.", err)
            return []
        self._news = digest
        changes: list[AnyChange] = []
        if plans != state.catalogue.plans:
            changes.append(PlansSet(plans=plans))
        if devices != state.catalogue.devices:
            changes.append(DevicesSet(devices=devices))
        return changes

    def taken_over(self) -> None:
        """What `news` told is in the store: the file need not be read again."""
        if self._news:
            self._note(self._news)

    def changed(self, changes: Sequence[AnyChange], state: State) -> None:
        """Something was committed: have the file written if it is time."""
        before, self._environment = self._environment, state.environment.state
        if self._path is None or self._update == "NEVER":
            return
        opened = before == "opening" and state.environment.state == "open"
        if opened or (self._update == "ALWAYS" and any(isinstance(change, PlansSet | DevicesSet) for change in changes)):
            self._wanted = state
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Wait until the file is written."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _write(self) -> None:
        while self._wanted is not None:
            state, self._wanted = self._wanted, None
            try:
                await asyncio.to_thread(self._save, state)
            except (OSError, ValueError, TypeError) as err:
                _log.warning("The file %s with existing plans and devices cannot be written: %s", self._path, err)

    def _save(self, state: State) -> None:
        assert self._path is not None
        data = format_lists(state.catalogue.plans, state.catalogue.devices)
        with contextlib.suppress(FileNotFoundError):
            if Path(self._path).read_bytes() == data:
                return
        save_lists(self._path, data)
        self._note(hashlib.sha256(data).hexdigest())

    def _noted(self) -> str:
        try:
            return self._mark.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def _note(self, digest: str) -> None:
        with contextlib.suppress(OSError):  # then the file is read once more than needed
            write_private(self._mark, digest.encode())
