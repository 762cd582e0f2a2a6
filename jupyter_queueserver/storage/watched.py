"""What a store on another machine promises beyond the contract: it says by itself when it goes, and when it is back.

A store in a file has nothing to say while nobody writes, and need not be one of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import msgspec

from ..core.errors import ServiceError, StoreUnavailable
from .contract import Store


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is.

    Attributes
    ----------
    failure
        Why it takes no changes just now; None if it does.
    stale
        It is reached again and does not hold what was committed: the next commit writes everything anew.
    lost
        Another manager has it.
    alarm
        What became of it when it came back with something else last, if that is not long ago; None: nothing.
    """

    failure: str | None = None
    stale: bool = False
    lost: bool = False
    alarm: str | None = None


class HistoryLost(StoreUnavailable):
    """Everything has to be written anew, and nobody knows the oldest entries of the history any more; nothing was kept.

    Parameters
    ----------
    first
        Number of the oldest entry that is known: a commit after which the history begins there is taken.
    count
        How many are lost.
    """

    def __init__(self, first: int, count: int) -> None:
        super().__init__(
            f"The store has lost the {count} oldest entries of the history.",
            hint="Nothing was changed. The manager writes the rest anew by itself: repeat in a moment.",
        )
        self.first = first
        self.count = count


class EnvironmentElsewhere(ServiceError):
    """The store says that an environment is open on another machine, or of another data directory; nothing was written."""

    code = "environment_elsewhere"
    hint = "Nothing was changed. Start the manager there and close it; if it has ended for certain, start with --take-over."

    def __init__(self, place: str) -> None:
        host, _, directory = place.partition(":")
        where = f" with the data directory {directory}" if directory else ""
        super().__init__(f"An environment of this queue is open on host '{host}'{where}, where a plan may be running.")
        self.host = host
        self.directory = directory


@runtime_checkable
class WatchedStore(Store, Protocol):
    """A store that may go and come back while nobody writes."""

    def watch(self, told: Callable[[Condition], None]) -> None:
        """Have a function called, at once and from any thread, whenever the condition changes.

        It is called again from time to time while the store is stale.
        """
        ...
