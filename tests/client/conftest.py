"""A mini manager in a thread: it speaks the wire of a manager, decides with the real declarations, and can misbehave."""

from __future__ import annotations

import itertools
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from jupyter_queueserver.api import Call, Context, decide, parse_request, read_call, refuse
from jupyter_queueserver.api.dispatch import prepare, refuse_envelope
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.decision import Step
from jupyter_queueserver.core.errors import QueueServerError
from jupyter_queueserver.core.mirror import public, snapshot
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.state import State
from jupyter_queueserver.core.status import status
from jupyter_queueserver.instance import Instance

LIMIT = 60.0


class MiniManager:
    """Answers requests and publishes changes; what tests ask of it runs in its thread by `do`."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.state = State(catalogue=Catalogue({}, {}, Permissions.default()))
        self.epoch = "life-1"
        self.silent = False
        self.deaf_to_subscribers = False
        self.lose_changes = False
        self.requests: list[dict[str, Any]] = []
        self.subscriptions: queue.Queue[dict[str, Any]] = queue.Queue()
        self.unanswered: queue.Queue[bytes] = queue.Queue()
        self.peers: set[bytes] = set()
        self.log: list[tuple[int, Any]] = []
        self._uids = (f"uid-{number}" for number in itertools.count(1))
        self._work: queue.Queue[Callable[[], Any] | None] = queue.Queue()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._wake_in = self._context.socket(zmq.PAIR)
        self._wake_in.bind("inproc://wake")
        self._wake_out = self._context.socket(zmq.PAIR)
        self._wake_out.connect("inproc://wake")
        self._open()
        self._thread = threading.Thread(target=self._run, name="mini manager")
        self._thread.start()

    def do(self, work: Callable[[], Any]) -> Any:
        """Run it in the manager's thread and return what it returns."""
        done: queue.Queue[Any] = queue.Queue()
        self._work.put(lambda: done.put(work()))
        self._wake_out.send(b"")
        return done.get(timeout=LIMIT)

    def restart(self) -> None:
        """End without a word; another life begins at the same addresses with the same queue."""
        self.do(self._restart)

    def stop_listening(self) -> None:
        """Unbind: as if the process were gone."""
        self.do(self._close_sockets)

    def listen_again(self) -> None:
        """Bind again, as the same life."""
        self.do(self._open)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to all subscribers."""
        self.do(lambda: self._broadcast(message))

    def close(self) -> None:
        """End the thread and all sockets."""
        self._work.put(None)
        self._wake_out.send(b"")
        self._thread.join(LIMIT)
        self._context.destroy(linger=0)

    def _open(self) -> None:
        self.instance.prepare()
        self._control = self._context.socket(zmq.ROUTER)
        self._control.bind(self.instance.control_address)
        self._events = self._context.socket(zmq.ROUTER)
        self._events.bind(self.instance.events_address)
        self._sockets = (self._wake_in, self._control, self._events)

    def _close_sockets(self) -> None:
        self._control.close(0)
        self._events.close(0)
        self._sockets = (self._wake_in,)
        self.peers.clear()

    def _restart(self) -> None:
        self._close_sockets()
        self.epoch = f"life-{int(self.epoch[5:]) + 1}"
        self.log.clear()
        self._open()

    def _run(self) -> None:
        while True:
            poller = zmq.Poller()
            for socket in self._sockets:
                poller.register(socket, zmq.POLLIN)
            ready = dict(poller.poll(int(LIMIT * 1000)))
            if self._wake_in in ready:
                self._wake_in.recv()
                work = self._work.get()
                if work is None:
                    return
                work()
            elif self._control in ready:
                peer, empty, body = self._control.recv_multipart()
                if self.silent:
                    self.unanswered.put(body)
                else:
                    self._control.send_multipart([peer, empty, self._answer(body)])
            elif self._events in ready:
                self._hear(*self._events.recv_multipart())

    def _answer(self, body: bytes) -> bytes:
        request = codec.from_json(body)
        self.requests.append(request)
        try:
            call = parse_request(request)
        except QueueServerError as err:
            return codec.to_json(refuse_envelope(err))
        if call.method.kind == "read":
            return codec.to_json(read_call(call, self.state, self._about()))
        return codec.to_json(self._decide(call))

    def _decide(self, call: Call) -> dict[str, Any]:
        step = Step(self.state, time.time(), lambda: next(self._uids))
        try:
            prepared = _finish(prepare(call, self.state, step.new_uid))
            reply = decide(call, step, prepared)
        except QueueServerError as err:
            return refuse(call, err, self.state)
        first = self.state.seq + 1
        self.state = step.state
        entries = [(first + place, codec.to_plain(public(change))) for place, change in enumerate(step.changes)]
        self.log += entries
        if entries and not self.lose_changes:
            self._broadcast(self._changes(entries))
        return reply

    def _about(self) -> Context:
        return Context(epoch=self.epoch, version="0", local_time=str)

    def _status(self) -> dict[str, Any]:
        return status(self.state, epoch=self.epoch, time_text="", version="0", kernel="shown")

    def _changes(self, entries: list[tuple[int, Any]]) -> dict[str, Any]:
        return {
            "kind": "changes",
            "epoch": self.epoch,
            "seq": entries[-1][0] if entries else self.state.seq,
            "time": self.state.time,
            "changes": entries,
            "status": self._status(),
        }

    def _hear(self, peer: bytes, body: bytes) -> None:
        wanted = codec.from_json(body)["subscribe"]
        self.subscriptions.put(wanted)
        if self.deaf_to_subscribers:
            return
        is_new = peer not in self.peers
        self.peers.add(peer)
        if wanted["epoch"] != self.epoch:
            message = {
                "kind": "snapshot",
                "epoch": self.epoch,
                "seq": self.state.seq,
                "time": self.state.time,
                "snapshot": snapshot(self.state, wanted["history"]),
                "status": self._status(),
            }
        elif is_new:
            message = self._changes([entry for entry in self.log if entry[0] > wanted["since"]])
        else:
            message = {"kind": "alive", "epoch": self.epoch, "seq": self.state.seq}
        self._events.send_multipart([peer, codec.to_json(message)])

    def _broadcast(self, message: dict[str, Any]) -> None:
        for peer in self.peers:
            self._events.send_multipart([peer, codec.to_json(message)])


def _finish(slices: Any) -> Any:
    while True:
        try:
            next(slices)
        except StopIteration as stop:
            return stop.value


STOP_ITEM = {"item_type": "instruction", "name": "queue_stop"}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """An instance of its own with short paths, and no address variables."""
    for name in ("QSERVER_ZMQ_CONTROL_ADDRESS", "QSERVER_ZMQ_PUBLIC_KEY", "JUPYTER_QUEUESERVER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    directory = Path(tempfile.mkdtemp(prefix="jqs-c-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    yield Instance(directory / "data")
    shutil.rmtree(directory)


@pytest.fixture
def manager(place: Instance) -> Iterator[MiniManager]:
    """A mini manager that answers at the private addresses of `place`."""
    running = MiniManager(place)
    yield running
    running.close()
