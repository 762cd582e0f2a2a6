"""A decision in the making: the changes and effects that a rule wants, and the state that would follow.

A rule works on a `Step`; if it raises, the step is thrown away and nothing has happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .changes import AnyChange, apply
from .config import Config
from .effects import AnyEffect
from .state import State


class Step:
    """One input being decided.

    Parameters
    ----------
    state
        The present state; never changed.
    now
        Time of the input, seconds since the epoch.
    new_uid
        Gives a fresh uid at each call (the shell's; fixed in tests).
    config
        What is settled by those who run the server.
    """

    def __init__(self, state: State, now: float, new_uid: Callable[[], str], config: Config | None = None) -> None:
        self.state = state
        self.now = now
        self.new_uid = new_uid
        self.config = config or Config()
        self.changes: list[AnyChange] = []
        self.effects: list[AnyEffect] = []
        self.reply: dict[str, Any] = {}

    def emit(self, change: AnyChange) -> None:
        """Make a change: later parts of the rule see the state with it."""
        self.state = apply(self.state, change, self.now)
        self.changes.append(change)

    def act(self, effect: AnyEffect) -> None:
        """Wish for an effect once the changes are committed."""
        self.effects.append(effect)
