"""Whether the queue is at work, told to Jupyter and JupyterHub so that they do not end an idle-looking server under it.

Jupyter reads two things: `ExtensionApp.current_activity` at each look of ``shutdown_no_activity_timeout``, and every setting
of the web application whose name ends with ``_last_activity`` for the time that ``/api/status`` and JupyterHub report.
"""

from __future__ import annotations

import datetime
from collections.abc import MutableMapping
from typing import Any

import msgspec

SETTING = "jupyter_queueserver_last_activity"


class _Status(msgspec.Struct):
    manager_state: str = "idle"
    re_state: str | None = None
    worker_background_tasks: int = 0


class Activity:
    """What the manager does, from its last status.

    While the manager is silent the last status holds: its plan goes on without it.

    Parameters
    ----------
    settings
        Settings of the web application.
    """

    def __init__(self, settings: MutableMapping[str, Any]) -> None:
        self._settings = settings
        self._current: dict[str, str] | None = None

    @property
    def current(self) -> dict[str, str] | None:
        """What is going on, e.g. ``{"queue": "executing_queue"}``; None: nothing."""
        return self._current

    def see(self, status: bytes) -> None:
        """Take a status dictionary as JSON text; what cannot be read is ignored."""
        try:
            seen = msgspec.json.decode(status, type=_Status)
        except msgspec.MsgspecError:
            return
        busy = seen.manager_state != "idle" or seen.re_state not in (None, "idle")
        was_busy = self._current is not None
        if busy or seen.worker_background_tasks:
            self._current = {"queue": seen.manager_state if seen.manager_state != "idle" else "background tasks"}
        else:
            self._current = None
        if was_busy:
            self._mark()
        self.beat()

    def ended(self) -> None:
        """Take note that the manager ended in order: nothing goes on any more."""
        self._current = None

    def beat(self) -> None:
        """Move the time of the last activity on while something goes on; to be called every few seconds."""
        if self._current is not None:
            self._mark()

    def _mark(self) -> None:
        self._settings[SETTING] = datetime.datetime.now(datetime.UTC)
