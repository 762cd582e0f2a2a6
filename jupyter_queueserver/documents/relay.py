"""The relay: waits for its bell, follows the journal, keeps one delivery thread per consumer, reports, tidies, ends.

It never decodes a document for a consumer and never waits for one. Consumers are given to it; which ones there are is
decided in ``__main__``.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import math
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from jupyter_queueserver.documents.consumers import Consumer
from jupyter_queueserver.documents.delivery import Delivery, DeliverySettings
from jupyter_queueserver.documents.status import RelayStatus, write_status
from jupyter_queueserver.documents.tracker import Tracker
from jupyter_queueserver.documents.trimming import Retention, trim
from jupyter_queueserver.instance import check_private, identity_of
from jupyter_queueserver.instance.home import encode_at_home, home_of

__all__ = ["AlreadyRunning", "Relay", "RelaySettings"]

log = logging.getLogger(__name__)

_TRIM_EVERY: Final = 600.0
_STATUS_GAP: Final = 0.5
_PACE: Final = 0.005
_PATIENCE: Final = 2.5


class AlreadyRunning(Exception):
    """Another relay serves this journal."""


class RelaySettings(msgspec.Struct, frozen=True):
    """Times in seconds: *look* between slow checks, *linger* after which an idle relay without an instance ends."""

    look: float = 1.0
    linger: float = 10.0
    retention: Retention = msgspec.field(default_factory=Retention)
    delivery: DeliverySettings = msgspec.field(default_factory=DeliverySettings)


class Relay:
    """One journal's relay.

    Parameters
    ----------
    data_dir
        The instance's data directory; the journal is ``<data_dir>/journal``.
    socket_dir
        Private directory of the sockets; the bell is ``<socket_dir>/relay.bell``.

    Raises
    ------
    AlreadyRunning
        Another relay holds ``<journal>/relay.lock``.
    OSError
        A directory cannot be made or the bell cannot be bound.
    """

    def __init__(
        self,
        data_dir: Path,
        socket_dir: Path,
        consumers: Sequence[Consumer],
        settings: RelaySettings | None = None,
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or RelaySettings()
        self._data = data_dir
        self._journal = data_dir / "journal"
        self._timer = timer
        self._journal.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _take_lock(data_dir)
        self._bell_path = socket_dir / "relay.bell"
        self._bell = _hang_bell(self._bell_path)
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._tracker = Tracker(self._journal)
        self.deliveries = [
            Delivery(self._journal, consumer, self.settings.delivery, on_change=self._nudge, timer=timer)
            for consumer in consumers
        ]
        self._last_status: RelayStatus | None = None
        self._status_at = -math.inf
        self._trimmed_at = -math.inf
        self._lonely_since: float | None = None

    def stop(self) -> None:
        """End soon; may be called from a signal handler or another thread."""
        self._stopping = True
        self._nudge()

    def run(self) -> None:
        """Serve until :meth:`stop`, or until nobody needs the relay any more."""
        for delivery in self.deliveries:
            delivery.start()
        try:
            while not self._stopping:
                self.look()
                if self._is_over():
                    log.info("nothing pending and no instance: the relay ends")
                    break
                if not self._can_be_rung():
                    log.warning("the directory of the sockets was removed: the relay ends, the manager starts another")
                    break
                self._wait()
        finally:
            self._end()

    def _can_be_rung(self) -> bool:
        """Whether there is a bell; one whose file was removed is hung again, if its directory is still there."""
        if self._bell_path.exists():
            return True
        if not self._bell_path.parent.exists():
            return False
        try:
            bell, self._bell = self._bell, _hang_bell(self._bell_path)
        except OSError:
            return False
        bell.close()
        return True

    def look(self) -> None:
        """One round: what is new in the journal, the disk, the status, the tidying."""
        try:
            grown = self._tracker.advance()
            if grown:
                for delivery in self.deliveries:
                    delivery.wake()
            self._tracker.sync()
            self._tidy()
            self._report()
        except OSError as error:
            log.error("the journal cannot be followed: %s", error)

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        poll.register(self._wake_out, select.POLLIN)
        late = self._status_is_late()
        for descriptor, _ in poll.poll(1000 * (_STATUS_GAP if late else self.settings.look)):
            if descriptor == self._wake_out:
                _drain(lambda: os.read(self._wake_out, 4096))
            else:
                time.sleep(_PACE)  # take several rings as one
                _drain(lambda: self._bell.recv(64))

    def _status_is_late(self) -> bool:
        return self._timer() - self._status_at < _STATUS_GAP

    def _nudge(self) -> None:
        try:
            os.write(self._wake_in, b"!")
        except OSError:
            return  # the pipe is full: the main thread is being woken, or is gone

    def _status(self, *, running: bool = True) -> RelayStatus:
        heads, firsts = self._tracker.heads(), self._tracker.firsts()
        return RelayStatus(
            pid=os.getpid(),
            time=time.time(),
            running=running,
            consumers=[delivery.status(heads, firsts) for delivery in self.deliveries],
        )

    def _report(self) -> None:
        if self._status_is_late():
            return
        status = self._status()
        last = self._last_status
        if last is None or status.consumers != last.consumers or status.running != last.running:
            write_status(self._journal, status)
            self._last_status = status
            self._status_at = self._timer()

    def _tidy(self) -> None:
        now = self._timer()
        if now - self._trimmed_at < _TRIM_EVERY:
            return
        self._trimmed_at = now
        positions = [d.saved_position() for d in self.deliveries if d.consumer.durable]
        trim(
            self._journal,
            positions,
            self._tracker.position(),
            self._tracker.ended(),
            time.time(),
            self.settings.retention,
        )

    def _is_over(self) -> bool:
        instance_lives = (self._data / "runtime.json").exists() or (self._data / "environment.json").exists()
        heads, firsts = self._tracker.heads(), self._tracker.firsts()
        states = [d.status(heads, firsts) for d in self.deliveries if d.consumer.durable]
        pending = any(status.backlog and status.state != "not installed" for status in states)
        if instance_lives or pending:
            self._lonely_since = None
            return False
        now = self._timer()
        self._lonely_since = self._lonely_since if self._lonely_since is not None else now
        return now - self._lonely_since >= self.settings.linger

    def _end(self) -> None:
        for delivery in self.deliveries:
            delivery.request_stop()
        for delivery in self.deliveries:
            if not delivery.stop(timeout=_PATIENCE):
                log.warning("%s did not stop in time; its cursor stays where it was", delivery.consumer.name)
        try:
            self._tracker.save()
            write_status(self._journal, self._status(running=False))
        except OSError as error:
            log.error("the last state cannot be saved: %s", error)
        self._bell_path.unlink(missing_ok=True)
        self._bell.close()
        with contextlib.suppress(OSError):  # whoever leaves last takes the folder away
            self._bell_path.parent.rmdir()
        os.close(self._lock)


def _take_lock(data_dir: Path) -> int:
    path = data_dir / "journal" / "relay.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise AlreadyRunning(f"a relay serves {path.parent} already") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, encode_at_home(identity_of(), home_of(data_dir)), 0)  # for those who only want to know who it is
    return descriptor


def _hang_bell(path: Path) -> socket.socket:
    """Bind the bell; a stale socket file is replaced, which is safe because the lock is held."""
    path.parent.mkdir(mode=0o700, exist_ok=True)  # not its parents: a login session's directory is not ours to make
    check_private(path.parent)
    path.unlink(missing_ok=True)
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    bell.bind(os.fspath(path))
    path.chmod(0o600)
    return bell


def _drain(read: Callable[[], bytes]) -> None:
    try:
        while read():
            pass
    except BlockingIOError:
        return
