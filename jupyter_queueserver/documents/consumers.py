"""What a consumer of documents is: the seam behind which Databroker, the live view and later others stand.

A consumer knows nothing of journal, cursors and threads; the relay calls it from one thread of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jupyter_queueserver.documents.reader import Entry

__all__ = ["Consumer", "NotInstalled", "Rejected", "Unavailable"]


class Unavailable(Exception):
    """The target cannot be reached or asks to come back later; the documents are kept and tried again with back-off."""


class NotInstalled(Exception):
    """The software that the consumer needs is not installed; tried again every minute, the documents are kept."""


class Rejected(Exception):
    """The target refuses one document.

    Parameters
    ----------
    reason
        A sentence for people, kept with the document.
    index
        Which document of the batch; those before it count as delivered.
    final
        True: put it aside now. False: try it again, and put it aside after three refusals.
    """

    def __init__(self, reason: str, *, index: int, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index
        self.final = final


class Consumer(Protocol):
    """A receiver of documents with a cursor of its own.

    Attributes
    ----------
    name : str
        Name in status and in file names.
    durable : bool
        True: the cursor is kept on disk and begins at the start of the journal. False: begins at the journal's end.
    whole_runs : bool
        True: after a restart or a failure, runs that were not finished come again from their start document.
    arrays : bool
        True: arrays come as ``numpy.ndarray``; False: as ``msgspec.msgpack.Ext`` (no numpy needed).
    """

    name: str
    durable: bool
    whole_runs: bool
    arrays: bool

    def deliver(self, batch: Sequence[Entry]) -> None:
        """Take a batch, at least one document, in order; raise ``Rejected``, ``Unavailable`` or ``NotInstalled``.

        Documents may come again after a failure or a restart (the same environment_id and seq).
        """
        ...

    def idle(self) -> float | None:
        """Called when there is nothing to deliver; seconds until it wants to be called again, None if never."""
        ...

    def abort(self) -> None:
        """The relay ends: let a ``deliver`` that waits for something give up soon. Called from another thread."""
        ...

    def close(self) -> None:
        """Called once at the end, from the same thread."""
        ...
