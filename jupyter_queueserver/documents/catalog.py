"""Read runs back through Databroker, from any process, also while they are written.

Importing this module is light; calling :func:`databroker_catalog` imports databroker (seconds).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_queueserver.documents.cursors import load_cursor
from jupyter_queueserver.documents.embedded import Server, missing_modules
from jupyter_queueserver.documents.reader import end_of
from jupyter_queueserver.documents.run_search import find_run
from jupyter_queueserver.documents.status import read_status
from jupyter_queueserver.instance import find_instance

if TYPE_CHECKING:
    from databroker import Broker

__all__ = ["NotDelivered", "databroker_catalog", "tiled_client", "wait_delivered"]


class NotDelivered(TimeoutError):
    """A run is not (wholly) in the catalog within the time given; the message says what hinders it."""


def databroker_catalog(data_dir: str | os.PathLike[str] | None = None) -> Broker:
    """The Databroker of an instance: ``databroker_catalog()[uid].table()``.

    Starts the embedded server if it is not running (about 10 s, it ends after 10 minutes without use); takes the
    documents as they are now (see :func:`wait_delivered`).

    Parameters
    ----------
    data_dir
        Data directory of the instance; None: the one that is found as everywhere (environment variable, else the
        user's default).

    Raises
    ------
    ModuleNotFoundError
        The extra ``[data]`` is not installed; ``run_table`` reads from the journal without it.
    ServerNotStarted
        The embedded server did not come up.
    """
    client = tiled_client(data_dir)  # first: its missing modules give the better message
    from databroker import Broker

    return Broker(client)  # pyright: ignore[reportCallIssue]  # the class as databroker 2 makes it takes the client alone


def tiled_client(data_dir: str | os.PathLike[str] | None = None) -> Any:
    """The same catalog as a ``tiled.client`` container; parameters and errors as of :func:`databroker_catalog`."""
    missing = missing_modules()
    if missing:
        raise ModuleNotFoundError(
            f"the embedded Databroker needs {', '.join(missing)}: pip install 'jupyter_queueserver[data]'; "
            "jupyter_queueserver.documents.table.run_table reads runs from the journal without it"
        )
    from tiled.client import from_uri

    info = Server(find_instance(data_dir).data_dir / "databroker").ensure()
    return from_uri(info.address, api_key=info.api_key, trust_env=False)


def wait_delivered(
    data_dir: str | os.PathLike[str] | None, run_uid: str, timeout: float, *, consumer: str = "databroker"
) -> None:
    """Return when every document of a run that is in the journal, its stop document too, has been delivered.

    Parameters
    ----------
    data_dir
        As for :func:`databroker_catalog`.
    run_uid
        uid of the run's start document.
    timeout
        Seconds.

    Raises
    ------
    NotDelivered
        Not within *timeout*.
    """
    instance = find_instance(data_dir)
    deadline = time.monotonic() + timeout
    place = None
    while place is None or not _delivered(instance.journal, consumer, *place):
        if time.monotonic() > deadline:
            raise NotDelivered(f"run {run_uid} is not delivered to {consumer}: {_hindrance(instance.journal, consumer)}")
        if place is None:
            found = find_run(instance.journal, run_uid)
            place = (found.environment_id, found.stop_seq) if found and found.stop_seq is not None else None
        time.sleep(0.05 if place is not None else 0.2)  # looking for an open run reads the journal


def _delivered(journal: Path, consumer: str, environment_id: str, seq: int) -> bool:
    """Whether the consumer's saved cursor has passed a document (an environment that is trimmed away was passed)."""
    cursor = load_cursor(journal, consumer)
    if cursor is not None and cursor.reached.get(environment_id, 0) >= seq:
        return True
    return end_of(journal, environment_id) is None


def _hindrance(journal: Path, consumer: str) -> str:
    status = read_status(journal)
    if status is None or not status.running:
        return "no relay is running"
    for state in status.consumers:
        if state.name == consumer:
            return f"{state.state}, backlog {state.backlog}, last error: {state.last_error}"
    return "the relay has no such consumer"
