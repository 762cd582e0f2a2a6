"""Many clients at once: websockets that listen, loiter or sleep, and editors that add and move.

Everything runs in one asyncio loop of the measuring process, so that a server under load has few processes against it; only who
measures how long answers take is a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from .line import User, request
from .prober import Prober
from .servers import Gateway

#: Seconds between two messages that a slow client reads.
SLOW = 2.0


class Listener:
    """One websocket on the event stream.

    Parameters
    ----------
    pause
        Seconds after each message that it reads; None: it never reads.
    """

    def __init__(self, gateway: Gateway, pause: float | None) -> None:
        self.messages = 0
        self.gaps = 0
        self.snapshots = 0
        self._url = f"ws://127.0.0.1:{gateway.port}/queueserver/api/events"
        self._headers = {"Authorization": f"token {gateway.token}"}
        self._pause = pause
        self._connection: WebSocketClientConnection | None = None
        self._place: tuple[str, int] | None = None

    async def connect(self) -> None:
        """Open it."""
        self._connection = await websocket_connect(HTTPRequest(self._url, headers=self._headers), max_message_size=1 << 30)

    async def listen(self) -> None:
        """Read until the server closes or this is cancelled; an own connection that sleeps does nothing."""
        assert self._connection is not None
        if self._pause is None:
            return  # tornado reads one message ahead and then leaves the rest in the socket
        while (text := await self._connection.read_message()) is not None:
            self.messages += 1
            self._check(json.loads(text))
            if self._pause:
                await asyncio.sleep(self._pause)

    def _check(self, message: dict[str, Any]) -> None:
        """Count what was missed without a snapshot."""
        if message["kind"] == "snapshot":
            self.snapshots += 1
        elif message["kind"] == "changes" and message["changes"]:
            first = message["changes"][0][0]
            self.gaps += self._place is None or self._place[0] != message["epoch"] or first > self._place[1] + 1
        else:
            return
        self._place = message["epoch"], message["seq"]

    def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            self._connection.close()


class Wire:
    """One asynchronous 0MQ client."""

    def __init__(self, context: zmq.asyncio.Context, address: str) -> None:
        self._socket = context.socket(zmq.REQ)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(address)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method; raises if it is refused or not answered in 60 s."""
        await self._socket.send(request(method, **params))
        async with asyncio.timeout(60):
            reply = json.loads(await self._socket.recv())
        if reply.get("success") is False:
            raise RuntimeError(f"{method} was refused: {reply['msg']}")
        return reply

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class Editor:
    """One user who adds, moves and removes items of his own, so that the queue keeps its length.

    Parameters
    ----------
    reach
        How far from the back an item may be moved.
    """

    def __init__(self, wire: Wire, item: dict[str, Any], reach: int, chance: random.Random) -> None:
        self.operations = 0
        self._reach = reach
        self._wire = wire
        self._item = item
        self._chance = chance

    async def edit(self, pause: float) -> None:
        """Go on until cancelled."""
        while True:
            added = (await self._wire.call("queue_item_add", item=self._item, pos="back", **User))["item"]["item_uid"]
            await asyncio.sleep(pause)
            await self._wire.call("queue_item_move", uid=added, pos_dest=-self._chance.randrange(2, self._reach))
            await asyncio.sleep(pause)
            await self._wire.call("queue_item_remove", uid=added)
            await asyncio.sleep(pause)
            self.operations += 3


class Crowd:
    """Everybody together.

    Parameters
    ----------
    listeners, slow, asleep
        Numbers of websockets that read at once, one message in `SLOW` seconds, and never.
    item, reach
        What the editors add, and how far they move it.
    """

    def __init__(
        self,
        gateway: Gateway,
        address: str,
        *,
        listeners: int,
        slow: int,
        asleep: int,
        editors: int,
        item: dict[str, Any],
        reach: int,
    ) -> None:
        context = zmq.asyncio.Context.instance()
        self.awake = [Listener(gateway, 0.0) for _ in range(listeners)]
        self.slow = [Listener(gateway, SLOW) for _ in range(slow)]
        self.asleep = [Listener(gateway, None) for _ in range(asleep)]
        self._wires = [Wire(context, address) for _ in range(editors)]
        self.editors = [Editor(wire, item, reach, random.Random(number)) for number, wire in enumerate(self._wires)]
        self.prober = Prober(address)

    async def live(self, seconds: float, pause: float, each: Callable[[], None], period: float) -> None:
        """Let them live for so long; ``each`` is called every `period` seconds.  Who fails ends it with his exception."""
        everybody = [*self.awake, *self.slow, *self.asleep]
        await asyncio.gather(*(listener.connect() for listener in everybody))
        self.prober.start()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(listener.listen()) for listener in everybody]
                tasks += [group.create_task(editor.edit(pause)) for editor in self.editors]
                tasks.append(group.create_task(_every(period, each)))
                await asyncio.sleep(seconds)
                for task in tasks:
                    task.cancel()
        finally:
            await asyncio.to_thread(self.prober.stop)
            for listener in everybody:
                listener.close()
            for wire in self._wires:
                wire.close()


async def _every(period: float, each: Callable[[], None]) -> None:
    while True:
        each()
        await asyncio.sleep(period)
