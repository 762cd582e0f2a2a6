"""What every store promises, and what it raises.

No store is imported here; the manager and the contract suite are written against this alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..core.changes import AnyChange
from ..core.errors import ServiceError
from ..core.state import State
from ..instance import Identity


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The manager that holds a store.

    Attributes
    ----------
    host
        Name of its machine.
    identity
        Its process.
    address
        Where its control socket is, for people; may be empty.
    since
        When it took the store, seconds since the epoch.
    """

    host: str
    identity: Identity
    address: str
    since: float


class StoreOwned(ServiceError):
    """Another manager holds the store; nothing was written.

    Attributes
    ----------
    owner
        Who; None if it has only just begun and has not said its name.
    """

    code = "store_owned"
    hint = "Use the manager that runs, stop it first, or choose another data directory (--data-dir)."

    def __init__(self, owner: Owner | None) -> None:
        self.owner = owner
        who = "another manager that is just starting"
        if owner is not None:
            at = f", address {owner.address}" if owner.address else ""
            who = f"the manager with process id {owner.identity.pid} on host '{owner.host}'{at}"
        super().__init__(f"The store is owned by {who}.")


class StoreBroken(ServiceError):
    """The store's contents cannot be read; they are left as they are."""

    code = "store_broken"
    hint = (
        "Nothing was written. With the manager stopped, `jupyter queueserver recover` makes a new store of what can be read, and"
        " `jupyter queueserver restore --replace FILE` one of a backup."
    )


class SchemaTooNew(StoreBroken):
    """The store was written by a newer version of this program; it is left as it is."""

    code = "store_too_new"
    hint = "Nothing was written. Start the newer version, or choose another data directory (--data-dir)."


class FenceLost(ServiceError):
    """Another manager has taken the store over; this one must neither write nor command any more."""

    code = "fence_lost"
    hint = "Nothing was changed. Another manager serves this queue now: connect to that one."


class Store(Protocol):
    """Where the state of one queue server is kept.

    A store is used by one thread at a time; it may be another one than the one that made it.  Only `history` and
    `history_number` may be called from any thread at any time, also while another one commits.
    """

    def acquire(self, owner: Owner, at_least: int = 1) -> int:
        """Take the store and return the fence number, greater than every one before.

        Parameters
        ----------
        at_least
            The fence is no smaller than this: numbers below were used by managers of which the store knows nothing any more.

        Raises
        ------
        StoreOwned
            Another manager holds it; nothing was written, not even a time stamp.
        StoreBroken
            The contents are damaged, or not a store of ours.
        SchemaTooNew
            A newer version wrote it.
        StoreUnavailable
            It cannot be opened or written.
        """
        ...

    def load(self) -> State | None:
        """Return the state of the last commit, None if there never was one; raises `StoreBroken`.

        Counting begins anew: ``seq``, ``time`` and ``versions`` are those of a new `State`.  Of the history nothing is read
        but the numbers of its ends and the newest entries, as many as a `jupyter_queueserver.core.history.History` holds.
        """
        ...

    def commit(self, changes: Sequence[AnyChange], after: State) -> None:
        """Keep the changes in one transaction; when it returns they survive everything.

        Parameters
        ----------
        changes
            In order.  Without any, nothing is written.
        after
            The state that follows from them.  The first commit of an empty store keeps all of it; entries of the history that
            it does not hold any more must then be in the changes.

        Raises
        ------
        FenceLost
            Another manager has acquired the store; nothing was kept.
        StoreUnavailable
            It could not be written; nothing was kept, and it may be tried again.
        """
        ...

    def history(self, begin: int, end: int) -> list[bytes]:
        """Return the texts of the entries with the numbers from `begin` to before `end`, oldest first, from any thread.

        Entries that were trimmed, or are not committed yet, are left out.  Raises `StoreUnavailable` or `StoreBroken`.
        """
        ...

    def history_number(self, uid: str) -> int | None:
        """Return the number of the newest entry with that ``item_uid``, None if there is none; from any thread.

        Found by an index, not by reading entries.  Raises `StoreUnavailable` or `StoreBroken`.
        """
        ...

    def request_reply(self, request_id: str) -> bytes | None:
        """Return the reply of a recorded request as it was given, None if there is none; by the thread that commits.

        `load` gives the records, whose replies are nowhere but here: a commit with ``RequestRecorded`` keeps both, one with
        ``RequestsForgotten`` drops both.  Raises `StoreUnavailable` or `StoreBroken`.
        """
        ...

    def tidy(self) -> bool:
        """Do a slice (some 10 ms) of clearing away what commits have only marked as gone; True: there is more to do.

        Called by the thread that commits, between commits, so that trimming a million entries holds up nobody.  What is left
        undone at the end of a life is found by the next one.  Raises what `commit` raises.
        """
        ...

    def last_owner(self) -> Owner | None:
        """Return who acquired the store last, also before `acquire`; None if nobody ever did."""
        ...

    def close(self) -> None:
        """Release the store; may be called more than once."""
        ...
