"""One line in the log for each thing that people want to read there: environment, items, who locked what.

The log is also part of the console text that existing clients show.  Nothing depends on it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from ..core import changes as ch
from ..core.state import State

_log = logging.getLogger("jupyter_queueserver.queue")

_ENVIRONMENT = {
    "opening": "The environment is being opened.",
    "open": "The environment is open.",
    "closing": "The environment is being closed.",
    "destroying": "The environment is being destroyed.",
    "closed": "The environment is closed.",
}


class Diary:
    """Keeps the log of one manager.

    Parameters
    ----------
    confirm_returned
        Whether the queue waits for a confirmation of items that came back to it.
    """

    def __init__(self, state: State, *, confirm_returned: bool = False) -> None:
        self._environment = state.environment.state
        self._waits = "; the queue does not start before somebody confirms it" if confirm_returned else ""

    def note(self, changes: Sequence[ch.AnyChange]) -> None:
        """Write down what was committed."""
        for change in changes:
            if isinstance(change, ch.EnvironmentSet):
                self._note_environment(change)
            elif isinstance(change, ch.QueueInserted):
                self._note_returned(change)
            else:
                _note(change)

    def _note_returned(self, change: ch.QueueInserted) -> None:
        for item in change.items:
            if item.is_unconfirmed:
                _log.info("Plan '%s' came back to the queue (item %s)%s.", item.name, item.item_uid, self._waits)

    def _note_environment(self, change: ch.EnvironmentSet) -> None:
        environment = change.environment
        if environment.state != self._environment:
            self._environment = environment.state
            _log.info(_ENVIRONMENT[environment.state])
            if environment.state == "closed" and environment.failure is not None:
                _log.error("It failed: %s", environment.failure.msg)


@singledispatch
def _note(change: Any) -> None:
    """Most changes are not worth a line."""


@_note.register
def _(change: ch.RunningSet) -> None:
    if change.item is not None:
        _log.info("Plan '%s' is started (item %s).", change.item.name, change.item.item_uid)


@_note.register
def _(change: ch.HistoryAppended) -> None:
    for item in change.items:
        result = item.fields.get("result", {})
        text = f": {result['msg']}" if result.get("msg") else "."
        _log.info("Plan '%s' has ended, %s (item %s)%s", item.name, result.get("ending"), item.item_uid, text[:2000])


@_note.register
def _(change: ch.LockSet) -> None:
    lock = change.lock
    if lock.is_locked:
        what = " and ".join(name for name, locked in (("environment", lock.environment), ("queue", lock.queue)) if locked)
        _log.info("%s has locked %s.", lock.user, what)
    else:
        _log.info("Nothing is locked.")


@_note.register
def _(change: ch.AutostartSet) -> None:
    _log.info("Autostart is %s.", "on" if change.enabled else "off")
