"""A manager on the wire, in the loop of the test: real declarations, no worker, and it can be silent."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Generator
from typing import Any

import zmq
import zmq.asyncio

from jupyter_queueserver.api import Context, decide, parse_request, read_call, refuse
from jupyter_queueserver.api.dispatch import prepare, refuse_envelope
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.decision import Step
from jupyter_queueserver.core.errors import QueueServerError, RequestError
from jupyter_queueserver.core.mirror import public, snapshot
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.state import State
from jupyter_queueserver.core.status import status
from jupyter_queueserver.instance import Instance

STOP = {"item_type": "instruction", "name": "queue_stop"}


class FakeManager:
    """Answers requests and publishes changes at the private addresses of an instance.

    Attributes
    ----------
    silent
        Whether requests are swallowed.
    state_shown
        Overrides of the published status.
    """

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.state = State(catalogue=Catalogue({}, {}, Permissions.default()))
        self.epoch = "life-1"
        self.silent = False
        self.state_shown: dict[str, Any] = {}
        self.requests: list[dict[str, Any]] = []
        self.replies: list[bytes] = []
        self.subscriptions: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.peers: dict[bytes, list[str]] = {}
        self.log: list[tuple[int, Any]] = []
        self._uids = (f"uid-{number}" for number in itertools.count(1))

    async def start(self) -> None:
        self.instance.prepare()
        self._context = zmq.asyncio.Context()
        self._control = self._context.socket(zmq.ROUTER)
        self._control.bind(self.instance.control_address)
        self._events = self._context.socket(zmq.ROUTER)
        self._events.setsockopt(zmq.SNDHWM, 0)
        self._events.bind(self.instance.events_address)
        self._tasks = [asyncio.create_task(self._answer_all()), asyncio.create_task(self._hear_all())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._context.destroy(linger=0)

    async def _answer_all(self) -> None:
        while True:
            peer, empty, body = await self._control.recv_multipart()
            request = codec.from_json(body)
            self.requests.append(request)
            if not self.silent:
                self.replies.append(self.answer(request))
                await self._control.send_multipart([peer, empty, self.replies[-1]])

    def answer(self, request: dict[str, Any]) -> bytes:
        try:
            call = parse_request(request)
        except QueueServerError as err:
            return codec.to_json(refuse_envelope(err))
        fetched = None if call.method.fetch is None else RequestError("Nothing can be fetched here", code="no_file", hint="")
        if call.method.kind == "read":
            context = Context(epoch=self.epoch, version="0", local_time=str)
            return codec.to_json(read_call(call, self.state, context, fetched))
        step = Step(self.state, time.time(), lambda: next(self._uids))
        try:
            reply = decide(call, step, _finish(prepare(call, self.state, step.new_uid)), fetched)
        except QueueServerError as err:
            return codec.to_json(refuse(call, err, self.state))
        self.publish(step)
        return codec.to_json(reply)

    def publish(self, step: Step) -> None:
        first = self.state.seq + 1
        self.state = step.state
        entries = [(first + place, codec.to_plain(public(change))) for place, change in enumerate(step.changes)]
        self.log += entries
        self.tell("state", self._changes(entries))

    def tell(self, topic: str, message: dict[str, Any]) -> None:
        """Send a message to all subscribers of a topic."""
        text = codec.python_json(codec.to_plain(message))
        for peer in [peer for peer, topics in self.peers.items() if topic in topics]:
            self._events.send_multipart([peer, text])

    def show(self, **shown: Any) -> None:
        """Publish another status."""
        self.state_shown = shown
        self.tell("state", self._changes([]))

    def _status(self) -> dict[str, Any]:
        real = status(self.state, epoch=self.epoch, time_text="", version="0", kernel="shown")
        return real | self.state_shown

    def _changes(self, entries: list[tuple[int, Any]]) -> dict[str, Any]:
        seq = entries[-1][0] if entries else self.state.seq
        return {
            "kind": "changes",
            "epoch": self.epoch,
            "seq": seq,
            "time": self.state.time,
            "changes": entries,
            "status": self._status(),
        }

    async def _hear_all(self) -> None:
        while True:
            peer, body = await self._events.recv_multipart()
            wanted = codec.from_json(body)["subscribe"]
            is_new = peer not in self.peers
            self.peers[peer] = wanted["topics"]
            await self._events.send_multipart([peer, codec.to_json(self._first_message(wanted, is_new))])
            self.subscriptions.put_nowait(wanted)

    def _first_message(self, wanted: dict[str, Any], is_new: bool) -> dict[str, Any]:
        if wanted["epoch"] != self.epoch:
            return {
                "kind": "snapshot",
                "epoch": self.epoch,
                "seq": self.state.seq,
                "time": self.state.time,
                "snapshot": snapshot(self.state, wanted["history"]),
                "status": self._status(),
            }
        if is_new:
            return self._changes([entry for entry in self.log if entry[0] > wanted["since"]])
        return {"kind": "alive", "epoch": self.epoch, "seq": self.state.seq}


def _finish(slices: Generator[None, None, Any]) -> Any:
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value
