"""One consumer's way through the journal: read, deliver, remember, try again, put aside. One thread per consumer.

:meth:`Delivery.step` does one round and returns how long to wait, so that tests need no thread. It must not know what
a consumer does with documents.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from jupyter_queueserver.documents.consumers import Consumer, NotInstalled, Rejected, Unavailable
from jupyter_queueserver.documents.cursors import Cursor, load_cursor, save_cursor
from jupyter_queueserver.documents.dead_letters import put_aside, refused
from jupyter_queueserver.documents.progress import Progress
from jupyter_queueserver.documents.reader import Entry, JournalReader, Position, end_of
from jupyter_queueserver.documents.segments import environments
from jupyter_queueserver.documents.status import ConsumerState, ConsumerStatus

__all__ = ["Delivery", "DeliverySettings"]

log = logging.getLogger(__name__)

_SAVE_EVERY: Final = 1000


class DeliverySettings(msgspec.Struct, frozen=True):
    """Times in seconds; *tries*: refusals after which a document is put aside; *batch*: documents at once at most."""

    tries: int = 3
    first_wait: float = 0.25
    longest_wait: float = 30.0
    not_installed_wait: float = 60.0
    save_gap: float = 0.5
    save_latest: float = 5.0
    batch: int = 512


class Delivery:
    """Delivers the journal to one consumer.

    Parameters
    ----------
    journal_dir
        The journal folder.
    consumer
        Called from the thread that calls :meth:`step` only.
    on_change
        Called (from that thread) when the status changed; None: nobody wants to know.
    timer
        Seconds on a clock that nobody sets.
    """

    def __init__(
        self,
        journal_dir: Path,
        consumer: Consumer,
        settings: DeliverySettings | None = None,
        *,
        on_change: Callable[[], None] | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.consumer = consumer
        self.settings = settings or DeliverySettings()
        self._dir = journal_dir
        self._timer = timer
        self._on_change = on_change
        cursor = (load_cursor(journal_dir, consumer.name) or Cursor()) if consumer.durable else _at_end(journal_dir)
        self._cursor = cursor
        self._progress = Progress(cursor.resume, dict(cursor.reached), whole_runs=consumer.whole_runs)
        self._reader = JournalReader(journal_dir, cursor.resume, arrays=consumer.arrays)
        self._buffer: list[Entry] = []
        self._refused = refused(journal_dir, consumer.name)
        self._refusals: dict[tuple[str, int], int] = {}
        self._wait = self.settings.first_wait
        self._state: ConsumerState = "waiting"
        self._last_error: str | None = None
        self._unsaved = 0
        self._stop_unsaved = False
        self._saved_at = timer()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._version = 0
        self._stopping = False

    # -- from other threads ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Deliver in a thread of its own until :meth:`stop`."""
        self._thread = threading.Thread(target=self._run, name=f"deliver-{self.consumer.name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that the journal has grown."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def request_stop(self) -> None:
        """Ask the thread to end after the delivery under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.consumer.abort()

    def stop(self, timeout: float) -> bool:
        """End the thread after the delivery under way; False if it does not end within *timeout* seconds."""
        self.request_stop()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def status(self, heads: dict[str, int], firsts: dict[str, int]) -> ConsumerStatus:
        """The status, given the last and the first sequence number of each environment in the journal."""
        reached = self._progress.reached.copy()
        backlog = sum(max(0, head - reached.get(env, firsts.get(env, 1) - 1)) for env, head in heads.items())
        return ConsumerStatus(
            name=self.consumer.name,
            state=self._state,
            backlog=backlog,
            delivered=self._cursor.delivered,
            dead_letters=len(self._refused),
            last_error=self._last_error,
            last_success=self._cursor.last_success,
        )

    def saved_position(self) -> Position:
        """The position of the cursor on disk: nothing before it is needed any more."""
        return self._cursor.resume.copy()

    # -- the consumer's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (seen := self._next_version()) is not None:
            wait, patient = self._guarded_step()
            self._sleep(wait, None if patient else seen)
        self.finish()

    def _next_version(self) -> int | None:
        """Which state of the journal the next round sees; None: it is time to end."""
        with self._changed:
            return None if self._stopping else self._version

    def _sleep(self, wait: float | None, seen: int | None) -> None:
        """Wait at most *wait* seconds (None: for ever), for the end, or for a newer state than *seen* (None: not for that)."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or (seen is not None and self._version != seen), wait)

    def _guarded_step(self) -> tuple[float | None, bool]:
        try:
            return self.step()
        except Exception as error:
            log.exception("delivery to %s failed in an unforeseen way", self.consumer.name)
            return self._fail(repr(error)), True

    def step(self) -> tuple[float | None, bool]:
        """One round: at most one batch.

        Returns
        -------
        wait, patient
            Seconds to wait before the next round (None: until woken; 0: at once), and whether new documents shall
            *not* shorten that (after a failure).
        """
        entries = self._next_batch()
        fresh = [entry for entry in entries if (entry.environment_id, entry.seq) not in self._refused]
        if fresh:
            self._set(state="delivering")
            failed = self._deliver(fresh, entries)
            if failed is not None:
                return failed, True
        elif entries:
            self._passed(entries, delivered=0)
        if entries:
            self._save_if_due(idle=False)
            return 0, False
        return self._idle(), False

    def _next_batch(self) -> list[Entry]:
        """What to deliver next; for a consumer of whole runs at most up to the end of a run, so that progress shows."""
        entries = self._buffer or self._reader.read(self.settings.batch)
        cut = len(entries)
        if self.consumer.whole_runs:
            cut = next((at + 1 for at, entry in enumerate(entries) if entry.name == "stop"), cut)
        self._buffer = entries[cut:]
        return entries[:cut]

    def _deliver(self, fresh: Sequence[Entry], entries: Sequence[Entry]) -> float | None:
        """None if all was delivered, else the seconds to wait."""
        try:
            self.consumer.deliver(fresh)
        except Rejected as refusal:
            return self._refuse(fresh, refusal)
        except Unavailable as error:
            return self._fail(str(error))
        except NotInstalled as error:
            self._rewind()
            self._set(state="not installed", error=str(error))
            return self.settings.not_installed_wait
        except Exception as error:
            log.exception("consumer %s failed", self.consumer.name)
            return self._fail(repr(error))
        self._passed(entries, delivered=len(fresh))
        self._wait = self.settings.first_wait
        self._cursor.last_success = time.time()
        self._last_error = None
        return None

    def _refuse(self, batch: Sequence[Entry], refusal: Rejected) -> float:
        entry = batch[refusal.index]
        key = (entry.environment_id, entry.seq)
        self._passed(batch[: refusal.index], delivered=refusal.index)
        self._refusals[key] = self._refusals.get(key, 0) + 1
        if not refusal.final and self._refusals[key] < self.settings.tries:
            return self._fail(refusal.reason)
        try:
            put_aside(self._dir, self.consumer.name, entry, refusal.reason, time.time())
        except OSError as error:
            return self._fail(f"{refusal.reason}; and it cannot be put aside: {error}")
        log.warning("%s refuses document %s of %s: %s", self.consumer.name, entry.seq, key[0], refusal.reason)
        self._refused.add(key)
        self._refusals.pop(key, None)
        self._rewind()
        self._set(state="delivering", error=refusal.reason)
        return 0

    def _fail(self, reason: str) -> float:
        self._rewind()
        self._set(state="failing", error=reason)
        wait, self._wait = self._wait, min(self._wait * 2, self.settings.longest_wait)
        return wait

    def _rewind(self) -> None:
        self._buffer = []
        self._reader.position = self._progress.rewind()

    def _passed(self, entries: Sequence[Entry], *, delivered: int) -> None:
        new = self._progress.passed(entries)
        self._cursor.delivered += min(new, delivered)
        self._unsaved += len(entries)
        self._stop_unsaved = self._stop_unsaved or any(entry.name == "stop" for entry in entries)
        if self._on_change is not None:
            self._on_change()

    def _idle(self) -> float | None:
        if self._state == "delivering":
            self._set(state="waiting")
        self._save_if_due(idle=True)
        waits = [wait for wait in (self.consumer.idle(), self._save_wait()) if wait is not None]
        return min(waits) if waits else None

    def _save_wait(self) -> float | None:
        if not self._unsaved or not self.consumer.durable:
            return None
        return max(0.05, self._saved_at + self.settings.save_latest - self._timer())

    def _save_if_due(self, *, idle: bool) -> None:
        if not self._unsaved or not self.consumer.durable:
            return
        age = self._timer() - self._saved_at
        wanted = self._stop_unsaved or self._unsaved >= _SAVE_EVERY
        if (wanted and (idle or age >= self.settings.save_gap)) or age >= self.settings.save_latest:
            self._save()

    def _save(self) -> None:
        cursor = msgspec.structs.replace(self._cursor, resume=self._progress.resume(), reached=self._progress.reached.copy())
        for gone in [env for env in cursor.resume.environments if not (self._dir / env).is_dir()]:
            cursor.resume.environments.pop(gone)
            cursor.reached.pop(gone, None)
        self._saved_at = self._timer()
        try:
            save_cursor(self._dir, self.consumer.name, cursor)
        except OSError as error:
            log.error("the cursor of %s cannot be saved: %s", self.consumer.name, error)
            self._last_error = f"the cursor cannot be saved: {error}"
            return
        self._cursor = cursor
        self._unsaved = 0
        self._stop_unsaved = False

    def finish(self) -> None:
        """Save the cursor and close the consumer."""
        if self.consumer.durable and self._unsaved:
            self._save()
        try:
            self.consumer.close()
        except Exception:
            log.exception("consumer %s did not close", self.consumer.name)

    def _set(self, *, state: ConsumerState, error: Any = None) -> None:
        if error is not None:
            if error != self._last_error:
                log.warning("%s: %s: %s", self.consumer.name, state, error)
            self._last_error = error
        elif state == self._state:
            return
        self._state = state
        if self._on_change is not None:
            self._on_change()


def _at_end(journal_dir: Path) -> Cursor:
    """Where a consumer begins that only wants what comes from now on."""
    ends = {env: spot for env in environments(journal_dir) if (spot := end_of(journal_dir, env)) is not None}
    return Cursor(resume=Position(ends), reached={env: spot.seq for env, spot in ends.items()})
