"""The Databroker consumer: writes runs into the embedded Tiled catalog through ``bluesky_tiled_plugins.TiledWriter``.

Whatever is heavy is imported when the first document is there. A run that was left half-written (by a dead relay or
server) is removed and written again from its start, so that the catalog holds each event once.
"""

from __future__ import annotations

import copy
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from jupyter_queueserver.documents.consumers import NotInstalled, Rejected, Unavailable
from jupyter_queueserver.documents.embedded import Server, ServerNotStarted, missing_modules
from jupyter_queueserver.documents.reader import Entry
from jupyter_queueserver.documents.run_index import RunIndex
from jupyter_queueserver.documents.write_guard import WriteFailed, WriteGuard

__all__ = ["FlushGate", "TiledSaver"]

log = logging.getLogger(__name__)

_LARGEST_BATCH: Final = 10_000
_COME_BACK: Final = frozenset({401, 403, 404, 408, 409, 425, 429, 502, 503, 504})


class FlushGate(int):
    """A batch size for TiledWriter that is reached when we say so: at the last event of what we hand over.

    TiledWriter writes rows when ``len(rows) >= batch_size``; one write costs as much for 1 row as for 500. With a
    fixed size, either each live event would cost a write of 60 ms or a reader would see nothing before the end.
    """

    open: bool = False

    def __le__(self, rows: int) -> bool:
        """Whether *rows* rows shall be written now."""
        return self.open or rows >= int(self)

    def __ge__(self, other: int) -> bool:
        """Plain comparison."""
        return int(self) >= other


class TiledSaver:
    """Saves to the catalog in *directory* (``<data-dir>/databroker``), whose server is started when it is needed."""

    name = "databroker"
    durable = True
    whole_runs = True
    arrays = True

    def __init__(self, directory: Path, *, idle_minutes: float = 10.0) -> None:
        self._server = Server(directory, idle_minutes=idle_minutes)
        self._client: Any = None
        self._writer: Any = None
        self._gate = FlushGate(_LARGEST_BATCH)
        self._index = RunIndex()
        self._written: set[str] = set()
        self._skipped: set[str] = set()
        self._careful: set[str] = set()
        self._tried: set[str] = set()
        self._born = time.time()

    def deliver(self, batch: Sequence[Entry]) -> None:
        """Write a batch: all rows of a stream at once, unless a document of the run was refused before."""
        self._connect()
        last_of_stream = {entry.doc["descriptor"]: at for at, entry in enumerate(batch) if "descriptor" in entry.doc}
        flush_at = set(last_of_stream.values())
        for at, entry in enumerate(batch):
            run = self._index.run_of(entry.name, entry.doc)
            self._gate.open = at in flush_at or run in self._careful
            try:
                self._write(entry, run, at)
            except Rejected:
                self._forget()
                raise
            except Exception as error:  # the boundary to TiledWriter: told apart and raised again
                raise self._judge(error, entry, run, at) from error

    def idle(self) -> float | None:
        """Nothing to do."""
        return None

    def abort(self) -> None:
        """Do not wait for the server any longer."""
        self._server.give_up()

    def close(self) -> None:
        """Nothing is held back: every delivered document is in the catalog."""
        self._forget()

    def end_server(self) -> None:
        """End the server if this saver started it (call it last, from any thread)."""
        self._server.end()

    def _connect(self) -> None:
        if self._writer is not None:
            return
        missing = missing_modules()
        if missing:
            names = ", ".join(missing)
            raise NotInstalled(f"saver not installed ({names}): pip install 'jupyter_queueserver[data]'")
        os.environ["TILED_RETRY_ATTEMPTS"] = "1"  # read at the import below: trying again is the relay's business
        from bluesky_tiled_plugins.writing.tiled_writer import TiledWriter
        from tiled.client import from_uri

        try:
            info = self._server.ensure()
            self._client = from_uri(info.address, api_key=info.api_key, trust_env=False)
            WriteGuard(self._client.context.http_client)
            self._writer = TiledWriter(self._client, batch_size=self._gate)
        except ServerNotStarted as error:
            raise Unavailable(str(error)) from error
        except Exception as error:
            self._forget()
            raise Unavailable(f"the Tiled server does not answer: {error!r}") from error

    def _write(self, entry: Entry, run: str | None, at: int) -> None:
        if entry.name == "start" and run is not None:
            if self._may_exist(run, entry.doc) and self._is_complete(run):
                self._skipped.add(run)
            else:
                self._written.add(run)
        if run in self._skipped:
            pass
        elif run not in self._written:
            raise Rejected("its run has no start document in the catalog", index=at, final=True)
        else:
            large = entry.name in ("event", "event_page")  # these TiledWriter leaves as they are
            self._writer(entry.name, entry.doc if large else copy.deepcopy(entry.doc))
        if entry.name == "stop" and run is not None:
            self._index.drop(run)
            for known in (self._written, self._skipped, self._careful, self._tried):
                known.discard(run)

    def _may_exist(self, run: str, start: dict[str, Any]) -> bool:
        """False for a run that began after this saver and is met for the first time: saves two requests.

        A clock that jumped back does no harm: creating the run again is refused (409) and then it is looked up.
        """
        again = run in self._tried
        self._tried.add(run)
        return again or float(start.get("time", 0.0)) <= self._born

    def _is_complete(self, run: str) -> bool:
        """Whether the run is in the catalog with its stop document; a partial one is removed."""
        if run not in self._client:
            return False
        node = self._client[run]
        if node.metadata.get("stop"):
            return True
        log.info("run %s is in the catalog only in part: writing it again", run)
        node.delete(recursive=True, external_only=False)
        return False

    def _judge(self, error: Exception, entry: Entry, run: str | None, at: int) -> Exception:
        """What a failure means for the relay; the writer is given up, because it may be in any state."""
        careful = run in self._careful
        self._forget()
        import httpx

        reason = f"{entry.name}: {type(error).__name__}: {error}"[:1000]
        if _is_passing(error):
            return Unavailable(reason)
        if not careful and run is not None:
            self._careful.add(run)
            return Unavailable(f"{reason} (trying again, one document at a time)")
        own = not isinstance(error, (WriteFailed, httpx.HTTPError))  # the writer's own refusal will not change
        return Rejected(reason, index=at, final=own)

    def _forget(self) -> None:
        self._writer = None
        if self._client is not None:
            self._client.context.http_client.close()
            self._client = None
        self._index = RunIndex()
        self._written.clear()
        self._skipped.clear()


def _is_passing(error: Exception) -> bool:
    """Whether the same document may well be taken later (server away, overloaded, changed in between)."""
    import httpx

    if isinstance(error, WriteFailed):
        return error.status != 500
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _COME_BACK
    return isinstance(error, (httpx.HTTPError, OSError))
