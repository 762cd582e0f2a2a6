"""One subscriber of the event stream that lives through every fault, and what it has heard.

It keeps its own books and uses nothing of the package's client: a gap that the client would hide must be seen here.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import zmq

from jupyter_queueserver.core.codec import from_json
from jupyter_queueserver.core.mirror import Mirror

#: Seconds between two words to the manager, and of silence after which a new connection is made.
SPEAK, SILENCE = 0.5, 4.0
#: States that are kept for comparison with what was read over the control socket.
KEPT_VIEWS = 2000


@dataclass(frozen=True)
class View:
    """The state as the stream tells it."""

    queue: tuple[str, ...]
    running: str | None
    history_size: int


@dataclass
class Ending:
    """An item of the history, and the mode that held when it ended; None: it ended while nothing was heard."""

    item: dict[str, Any]
    loop: bool | None = None
    ignore_failures: bool | None = None


@dataclass
class Heard:
    """What has been heard.

    Attributes
    ----------
    endings
        By uid.
    gaps
        Sentences about changes that did not follow on each other, and were not followed by a snapshot.
    twice
        uids that were put into the history more than once.
    ran
        uids that were the running item at some time.
    """

    epochs: list[str] = field(default_factory=list)
    snapshots: int = 0
    changes: int = 0
    endings: dict[str, Ending] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    ran: set[str] = field(default_factory=set)


class Listener:
    """Hears the event stream in a thread of its own until `close`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._mirror: Mirror | None = None
        self._epoch: str | None = None
        self._views: dict[str, View] = {}
        self._failure: BaseException | None = None
        self._news = threading.Condition()
        self._closed = False
        self.heard = Heard()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def view(self, status_uid: str, limit: float) -> View | None:
        """The state of which the manager says that uid; None if it is not heard of within that many seconds."""
        deadline = time.monotonic() + limit
        with self._news:
            while status_uid not in self._views and (left := deadline - time.monotonic()) > 0:
                self._check()
                self._news.wait(left)
            return self._views.get(status_uid)

    def wait(self, predicate: Callable[[Heard], Any], limit: float) -> bool:
        """Wait until something holds of what was heard; False if it does not within that many seconds."""
        with self._news:
            self._check()
            return bool(self._news.wait_for(lambda: predicate(self.heard), limit))

    def ending(self, uid: str) -> Ending | None:
        """How that item ended, if it was heard."""
        with self._news:
            return self.heard.endings.get(uid)

    def close(self) -> None:
        """Stop hearing."""
        self._closed = True
        self._thread.join(10.0)
        self._context.destroy(linger=0)

    def _check(self) -> None:
        if self._failure is not None:
            raise RuntimeError("the listener cannot follow the event stream") from self._failure

    def _run(self) -> None:
        try:
            while not self._closed:
                with self._context.socket(zmq.DEALER) as socket:
                    socket.set(zmq.LINGER, 0)
                    socket.set(zmq.RCVHWM, 0)
                    socket.set(zmq.RECONNECT_IVL, 50)
                    socket.set(zmq.IMMEDIATE, 1)
                    socket.connect(self._address)
                    self._follow(socket)
        except BaseException as error:  # told to whoever waits, by `_check`
            with self._news:
                self._failure = error
                self._news.notify_all()
            raise

    def _follow(self, socket: zmq.Socket[bytes]) -> None:
        spoke, heard = 0.0, time.monotonic()
        while not self._closed:
            now = time.monotonic()
            if now - heard > SILENCE:
                return
            if now - spoke > SPEAK and socket.poll(0, zmq.POLLOUT):
                socket.send(self._wish())
                spoke = now
            if socket.poll(100):
                heard = time.monotonic()
                self._hear(socket, from_json(socket.recv()))

    def _wish(self) -> bytes:
        since = self._mirror.state.seq if self._mirror is not None else 0
        wish = {"topics": ["state"], "epoch": self._epoch, "since": since, "console": None, "history": 100_000}
        return json.dumps({"subscribe": wish}).encode()

    def _hear(self, socket: zmq.Socket[bytes], message: dict[str, Any]) -> None:
        with self._news:
            if message["kind"] == "snapshot":
                self._take_snapshot(message)
            elif message["kind"] == "changes":
                self._take_changes(message)
            elif message["kind"] == "alive":
                self._compare(message)
            if self._mirror is not None and "status" in message:
                self._keep_view(message["status"]["status_uid"])
            self._news.notify_all()

    def _take_snapshot(self, message: dict[str, Any]) -> None:
        if message["epoch"] != self._epoch:
            self.heard.epochs.append(message["epoch"])
        self.heard.snapshots += 1
        self._epoch = message["epoch"]
        self._mirror = Mirror(message["snapshot"])
        if self._mirror.state.running is not None:
            self.heard.ran.add(self._mirror.state.running.item_uid)
        for item in self._mirror.state.history:
            self.heard.endings.setdefault(item.item_uid, Ending(item.fields))

    def _take_changes(self, message: dict[str, Any]) -> None:
        if self._mirror is None or message["epoch"] != self._epoch:
            return  # a snapshot follows on the next word
        for seq, change in message["changes"]:
            known = self._mirror.state.seq
            if seq > known + 1:
                self.heard.gaps.append(f"change {seq} of epoch {self._epoch} came after {known}")
                self._epoch = None  # ask for a snapshot
                return
            mode = self._mirror.state.mode
            if not self._mirror.apply(seq, change, message["time"]):
                continue
            self.heard.changes += 1
            if self._mirror.state.running is not None:
                self.heard.ran.add(self._mirror.state.running.item_uid)
            for item in change["items"] if change["change"] == "history_appended" else ():
                self._note_ending(item, mode.loop, mode.ignore_failures)

    def _note_ending(self, item: dict[str, Any], loop: bool, ignore_failures: bool) -> None:
        if item["item_uid"] in self.heard.endings:
            self.heard.twice.append(item["item_uid"])
        self.heard.endings[item["item_uid"]] = Ending(item, loop, ignore_failures)

    def _compare(self, message: dict[str, Any]) -> None:
        """A manager that is alive and further than what was heard has told something to nobody."""
        if self._mirror is not None and message["epoch"] == self._epoch and message["seq"] > self._mirror.state.seq:
            self.heard.gaps.append(f"seq {message['seq']} of epoch {self._epoch}, heard until {self._mirror.state.seq}")
            self._epoch = None

    def _keep_view(self, status_uid: str) -> None:
        assert self._mirror is not None
        state = self._mirror.state
        running = state.running.item_uid if state.running is not None else None
        self._views[status_uid] = View(tuple(item.item_uid for item in state.queue), running, self._mirror.history_size)
        while len(self._views) > KEPT_VIEWS:
            del self._views[next(iter(self._views))]
