"""The list of conversations: each is a function of a `line.Line`, written once and held over every way in."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Talk = Callable[[Any], None]

#: Modules with conversations.
THEMES = ("talks_editing", "talks_environment", "talks_guard", "talks_lists", "talks_retries", "talks_running", "talks_tasks")

_talks: dict[str, Talk] = {}


def talk(function: Talk) -> Talk:
    """Add a conversation to the list, under its name."""
    assert function.__name__ not in _talks, f"two conversations are called {function.__name__}"
    _talks[function.__name__] = function
    return function


def talks() -> dict[str, Talk]:
    """Return all conversations by name."""
    for theme in THEMES:
        importlib.import_module(theme)
    return _talks


def plan(name: str = "quick", **more: object) -> dict[str, object]:
    """A plan item."""
    return {"item_type": "plan", "name": name} | more


STOP: dict[str, object] = {"item_type": "instruction", "name": "queue_stop"}
#: A uid that nothing has.
NOBODY = "ffffffff-ffff-4fff-8fff-ffffffffffff"
