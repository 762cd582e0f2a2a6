"""Ten clients edit, reorder and clear one queue while its items are taken off and run: the result is that of some order.

The event stream tells that order.  The changes are replayed on a plain list, and every answer that a client got must be right at
the place of its change in that order, which must lie between the client's question and its answer.  What was refused must have
changed nothing, and there must have been a moment, while the client waited, at which the refusal was right.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import zmq
import zmq.asyncio
from harness import Events, Server

from jupyter_queueserver.core.codec import from_json

CLIENTS = 10


class Operation(NamedTuple):
    """What one client asked, what it was answered, and when (``time.monotonic``)."""

    method: str
    params: dict[str, Any]
    reply: dict[str, Any]
    sent: float
    answered: float


class Client:
    """One user with a mind of his own."""

    def __init__(self, socket: zmq.asyncio.Socket, name: str, chance: random.Random, known: list[str], traces: Path) -> None:
        self._socket = socket
        self._name = name
        self._chance = chance
        self._known = known
        self._traces = traces
        self._count = itertools.count()
        self.done: list[Operation] = []

    async def work(self, operations: int) -> None:
        """Do so many things, one after the other."""
        for _ in range(operations):
            method, params = self._idea()
            sent = time.monotonic()
            await self._socket.send(json.dumps({"method": method, "params": params}).encode())
            reply = from_json(await asyncio.wait_for(self._socket.recv(), 30))
            self.done.append(Operation(method, params, reply, sent, time.monotonic()))
            self._known += [item["item_uid"] for item in added_by(method, reply)]

    def _idea(self) -> tuple[str, dict[str, Any]]:
        weights = {self._add: 35, self._batch: 10, self._move: 25, self._update: 15, self._remove: 14, self._clear: 1}
        return self._chance.choices(list(weights), list(weights.values()))[0]()

    def _item(self) -> dict[str, Any]:
        trace = self._traces / f"{self._name}-{next(self._count)}"
        return {"item_type": "plan", "name": "brief", "kwargs": {"trace": str(trace)}}

    def _some(self) -> str:
        """One that was known not long ago; it may be gone by now."""
        return self._chance.choice(self._known[-60:])

    def _place(self) -> dict[str, Any]:
        kind = self._chance.choice(["pos", "before_uid", "after_uid"])
        return {kind: self._chance.choice(["front", "back"]) if kind == "pos" else self._some()}

    def _add(self) -> tuple[str, dict[str, Any]]:
        return "queue_item_add", {"item": self._item(), "user": self._name, "user_group": "primary", **self._place()}

    def _batch(self) -> tuple[str, dict[str, Any]]:
        items = [self._item() for _ in range(5)]
        return "queue_item_add_batch", {"items": items, "user": self._name, "user_group": "primary", **self._place()}

    def _move(self) -> tuple[str, dict[str, Any]]:
        place = self._place()
        if "pos" in place:
            place = {"pos_dest": place["pos"]}
        return "queue_item_move", {"uid": self._some(), **place}

    def _update(self) -> tuple[str, dict[str, Any]]:
        item = self._item() | {"item_uid": self._some()}
        return "queue_item_update", {"item": item, "user": self._name, "user_group": "primary"}

    def _remove(self) -> tuple[str, dict[str, Any]]:
        return "queue_item_remove", {"uid": self._some()}

    def _clear(self) -> tuple[str, dict[str, Any]]:
        return "queue_clear", {}


def added_by(method: str, reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The items that a request has added."""
    if not reply["success"]:
        return []
    return {"queue_item_add": lambda: [reply["item"]], "queue_item_add_batch": lambda: reply["items"]}.get(method, list)()


class Moment(NamedTuple):
    """What there was after one change: the queue's uids in order, and the running item."""

    seq: int
    change: dict[str, Any]
    queue: list[str]
    running: str | None


def replay(log: list[dict[str, Any]]) -> list[Moment]:
    """Apply all changes to an empty list, in the order of their numbers; checks that each can be applied."""
    numbered = [entry for message in log if message["kind"] == "changes" for entry in message["changes"]]
    assert len({message["epoch"] for message in log if "epoch" in message}) == 1
    first = numbered[0][0]
    assert [seq for seq, _ in numbered] == list(range(first, first + len(numbered))), "no gap"
    queue: list[str] = []
    running: str | None = None
    moments = []
    for seq, change in numbered:
        queue = _applied(queue, change)
        if change["change"] == "running_set":
            running = change["item"]["item_uid"] if change.get("item") else None
        moments.append(Moment(seq, change, queue, running))
    return moments


def _applied(queue: list[str], change: dict[str, Any]) -> list[str]:
    kind = change["change"]
    if kind in ("queue_removed", "queue_moved"):
        assert set(change["uids"]) <= set(queue), change
        queue = [uid for uid in queue if uid not in change["uids"]]
    if kind == "queue_cleared":
        return []
    if kind == "queue_replaced":
        assert change["uid"] == change["item"]["item_uid"]
        assert change["uid"] in queue
    if kind in ("queue_inserted", "queue_moved"):
        uids = change["uids"] if kind == "queue_moved" else [item["item_uid"] for item in change["items"]]
        assert not set(uids) & set(queue)
        place = queue.index(change["before"]) if change.get("before") else len(queue)
        queue = [*queue[:place], *uids, *queue[place:]]
    return queue


class Judge:
    """Finds for each operation its place in the order, and checks the answer there."""

    def __init__(self, moments: list[Moment], operations: list[Operation]) -> None:
        self.moments = moments
        self._first = moments[0].seq
        self.operations = sorted(operations, key=lambda operation: operation.answered)
        self._by_key: dict[Any, list[int]] = {}
        for moment in moments:
            self._by_key.setdefault(_key_of_change(moment.change), []).append(moment.seq)
        self.places: dict[int, int] = {}

    def at(self, seq: int) -> Moment:
        return self.moments[seq - self._first]

    def find_places(self) -> None:
        """Every success has a change of its own; a move to where the item stands already needs none."""
        for number, operation in enumerate(self.operations):
            if not operation.reply["success"]:
                continue
            found = self._by_key.get(_key_of(operation), [])
            right = [seq for seq in found if self._is_right(operation, seq)]
            if not right:
                assert operation.method == "queue_item_move", f"no change for {operation}"
                continue
            found.remove(right[0])
            self.places[number] = right[0]

    def _is_right(self, operation: Operation, seq: int) -> bool:
        """Whether the answer fits the queue after that change."""
        moment = self.at(seq)
        queue = moment.queue
        if "qsize" in operation.reply and operation.reply["qsize"] != len(queue):
            return False
        params = operation.params
        if operation.method in ("queue_item_add", "queue_item_add_batch", "queue_item_move"):
            uids = [item["item_uid"] for item in added_by(operation.method, operation.reply)] or [params["uid"]]
            return _stands(moment, uids, params)
        return True

    def check_order(self) -> None:
        """What was answered before another question was asked stands before it."""
        asked = sorted(self.places, key=lambda number: self.operations[number].sent)
        latest, answered = -1, iter(sorted(self.places))
        following = next(answered, None)
        for number in asked:
            while following is not None and self.operations[following].answered < self.operations[number].sent:
                latest = max(latest, self.places[following])
                following = next(answered, None)
            assert self.places[number] > latest, f"{self.operations[number]} took effect before it was asked for"

    def refusals(self) -> Iterator[tuple[Operation, list[Moment]]]:
        """Each refusal, with the states that there may have been between question and answer."""
        by_answer = sorted(self.places, key=lambda number: self.operations[number].answered)
        answered = [self.operations[number].answered for number in by_answer]
        latest = list(itertools.accumulate((self.places[number] for number in by_answer), max))
        by_question = sorted(self.places, key=lambda number: self.operations[number].sent)
        sent = [self.operations[number].sent for number in by_question]
        earliest = list(itertools.accumulate((self.places[number] for number in reversed(by_question)), min))[::-1]
        for operation in self.operations:
            if not operation.reply["success"]:
                before = bisect.bisect_left(answered, operation.sent)
                after = bisect.bisect_right(sent, operation.answered)
                low = latest[before - 1] if before else self._first
                high = earliest[after] if after < len(sent) else self.moments[-1].seq + 1
                yield operation, self.moments[low - self._first : high - self._first]


def _stands(moment: Moment, uids: list[str], params: dict[str, Any]) -> bool:
    queue = moment.queue
    at = queue.index(uids[0])
    if queue[at : at + len(uids)] != uids:
        return False
    match params:
        case {"before_uid": uid}:
            return queue[at + len(uids) : at + len(uids) + 1] == [uid]
        case {"after_uid": uid}:
            return queue[at - 1] == uid if at else moment.running == uid  # after the running one: at the front
        case {"pos": place} | {"pos_dest": place}:
            return at == 0 if place == "front" else at + len(uids) == len(queue)
    raise AssertionError(params)


def _key_of_change(change: dict[str, Any]) -> Any:
    match change["change"]:
        case "queue_inserted":
            return "inserted", change["items"][0]["item_uid"]
        case "queue_replaced":
            return "replaced", change["item"]["kwargs"]["trace"]
        case "queue_removed" | "queue_moved" as kind:
            return kind, change["uids"][0]
        case kind:
            return kind


def _key_of(operation: Operation) -> Any:
    match operation.method:
        case "queue_item_update":
            return "replaced", operation.params["item"]["kwargs"]["trace"]
        case "queue_item_remove":
            return "queue_removed", operation.params["uid"]
        case "queue_item_move":
            return "queue_moved", operation.params["uid"]
        case "queue_clear":
            return "queue_cleared"
    return "inserted", added_by(operation.method, operation.reply)[0]["item_uid"]


def is_right_to_refuse(operation: Operation, queue: list[str]) -> bool:
    """Whether one of the items that the request names is not there."""
    params = operation.params
    named = [params.get(key) for key in ("uid", "before_uid", "after_uid")]
    named.append(params["item"].get("item_uid") if "item" in params else None)
    if operation.method == "queue_item_move" and params["uid"] in (params.get("before_uid"), params.get("after_uid")):
        return True  # beside itself
    return any(uid is not None and uid not in queue for uid in named)


async def edit(server: Server, seed: int, operations: int, traces: Path) -> list[Operation]:
    """Let the clients loose on a queue that is started again whenever it has run out."""
    context = zmq.asyncio.Context()
    known = [server.add("brief", trace=traces / f"first-{number}") for number in range(20)]
    sockets = [context.socket(zmq.REQ) for _ in range(CLIENTS + 1)]
    for socket in sockets:
        socket.set(zmq.LINGER, 0)
        socket.connect(server.instance.control_address)
    clients = [
        Client(socket, f"user{number}", random.Random(f"{seed}/{number}"), known, traces)
        for number, socket in enumerate(sockets[1:])
    ]

    async def keep_running() -> None:
        while True:  # each question is answered, so that this waits
            await sockets[0].send(b'{"method":"queue_start","params":{}}')
            await sockets[0].recv()
            await asyncio.sleep(0.01)

    running = asyncio.create_task(keep_running())
    await asyncio.gather(*(client.work(operations // CLIENTS) for client in clients))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    context.destroy(linger=0)
    return [operation for client in clients for operation in client.done]


class Recorder:
    """Records the event stream in a thread of its own."""

    def __init__(self, server: Server) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._events = Events(self._context, server.instance.events_address)
        self._events.wait(lambda message: message["kind"] == "snapshot", "the snapshot")
        self.log = self._events.log
        self._end = Event()
        self._thread = Thread(target=self._record)
        self._thread.start()

    def _record(self) -> None:
        while not self._end.is_set():
            self._events.next(time.monotonic() + 0.2)

    def finish(self, seq_reached: int) -> None:
        """Record until that change was told."""
        deadline = time.monotonic() + 60
        while not any(message.get("seq", 0) >= seq_reached for message in self.log[-50:]):
            assert time.monotonic() < deadline, f"change {seq_reached} was never told"
            self._end.wait(0.02)
        self.close()

    def close(self) -> None:
        """End it."""
        self._end.set()
        self._thread.join()
        self._events.close()
        self._context.destroy(linger=0)


def test_ten_clients_and_a_running_queue(server: Server, tmp_path: Path) -> None:
    operations = 10_000
    recorder = Recorder(server)
    try:
        done = asyncio.run(edit(server, 4, operations, tmp_path))
        server.call("queue_stop")
        server.wait_state("idle")
        with server.raw_events() as socket:
            socket.send(b'{"subscribe": {"topics": ["state"], "epoch": null, "since": 0, "console": null, "history": 0}}')
            assert socket.poll(10_000)
            end = from_json(socket.recv())
        recorder.finish(end["seq"])
    finally:
        recorder.close()
    assert len(done) == operations
    moments = replay(recorder.log)
    judge = Judge(moments, done)
    judge.find_places()
    judge.check_order()
    refused = 0
    for operation, states in judge.refusals():
        refused += 1
        assert any(is_right_to_refuse(operation, moment.queue) for moment in states), f"without reason: {operation}"
    assert refused > operations / 50, "there was contention"
    left = [item["item_uid"] for item in server.queue()]
    assert left == moments[-1].queue
    check_endings(server, moments, judge, left)
    server.ok("queue_clear")


def check_endings(server: Server, moments: list[Moment], judge: Judge, left: list[str]) -> None:
    """Every item that was ever added has one end: removed, cleared, run once, or it still waits."""
    ends: Counter[str] = Counter(left)
    taken_off = []
    for before, moment in itertools.pairwise(moments):
        gone = set(before.queue) - set(moment.queue)
        ends.update(gone)
        if moment.change["change"] == "queue_removed" and moment.seq not in judge.places.values():
            taken_off += moment.change["uids"]
    ever = {uid for moment in moments for uid in moment.queue}
    assert set(ends) == ever
    assert set(ends.values()) == {1}
    history = server.history()
    assert [item["item_uid"] for item in history] == taken_off, "in the order in which they were taken off, each once"
    assert {item["result"]["exit_status"] for item in history} == {"completed"}
    assert len(taken_off) > 20
    for item in history:
        assert Path(item["kwargs"]["trace"]).read_text() == "begin\nend\n", "the last edit is what ran, once"
    assert len(list(Path(history[0]["kwargs"]["trace"]).parent.iterdir())) == len(history), "and nothing else ran"
