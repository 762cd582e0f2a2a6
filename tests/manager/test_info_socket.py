"""The info socket with real sockets: two frames, both encodings, the status at each change and once a second, console text."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
import zmq.asyncio

from jupyter_queueserver.core.limits import Encoding
from jupyter_queueserver.manager import loglines, publish
from jupyter_queueserver.manager.loglines import LogLines
from jupyter_queueserver.manager.publish import InfoSocket

LIMIT = 60.0
DECODE: dict[str, Callable[[bytes], Any]] = {"json": msgspec.json.decode, "msgpack": msgspec.msgpack.decode}


class Listener:
    """A subscriber that counts what it hears."""

    def __init__(self, socket: zmq.asyncio.Socket, encoding: Encoding) -> None:
        self._socket = socket
        self._decode = DECODE[encoding]

    async def next(self, topic: bytes) -> dict[str, Any]:
        """The next message of a topic."""
        async with asyncio.timeout(LIMIT):
            while True:
                frames = await self._socket.recv_multipart()
                assert len(frames) == 2
                if frames[0] == topic:
                    return self._decode(frames[1])


@contextlib.asynccontextmanager
async def publishing(
    encoding: Encoding, status: Callable[[], dict[str, Any]], logs: tuple[Path, ...] = ()
) -> AsyncIterator[tuple[InfoSocket, Listener]]:
    context = zmq.asyncio.Context()
    info = InfoSocket(context, "tcp://127.0.0.1:*", status, encoding)
    lines = LogLines(logs, info.console)
    socket = context.socket(zmq.SUB)
    socket.connect(info.address)
    socket.subscribe(b"QS_")
    running = asyncio.gather(info.run(), lines.run())
    listener = Listener(socket, encoding)
    try:
        await listener.next(b"QS_Info")  # the subscription has come through
        yield info, listener
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        info.close()
        context.destroy(linger=0)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_status_at_each_change_and_once_a_period(encoding: Encoding, monkeypatch: pytest.MonkeyPatch) -> None:
    assert publish._PERIOD == 1.0
    monkeypatch.setattr(publish, "_PERIOD", 0.3)
    counts = iter(range(1000))

    async def main() -> None:
        async with publishing(encoding, lambda: {"n": next(counts), "manager_state": "idle"}) as (info, listener):
            before = await listener.next(b"QS_Info")
            after = await listener.next(b"QS_Info")
            assert after["time"] - before["time"] >= 0.29
            assert after["msg"]["status"]["n"] == before["msg"]["status"]["n"] + 1
            monkeypatch.setattr(publish, "_PERIOD", 3600.0)
            await listener.next(b"QS_Info")
            info.status_changed()
            changed = await listener.next(b"QS_Info")
            assert abs(changed["time"] - time.time()) < 60.0
            assert set(changed) == {"time", "msg"}
            assert set(changed["msg"]) == {"status"}

    run(main)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_console_text_of_worker_manager_and_watchdog(encoding: Encoding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loglines, "_PERIOD", 3600.0)  # the manager's own lines ring
    manager, watchdog = tmp_path / "manager.log", tmp_path / "watchdog.log"
    manager.write_text("of an earlier life\n")
    logger = logging.getLogger("test of the info socket")
    handler = logging.FileHandler(manager, encoding="utf-8")
    logger.addHandler(handler)

    async def main() -> None:
        async with publishing(encoding, dict, (manager, watchdog)) as (info, listener):
            info.console("worker: half a ")
            info.console("line µ\r")
            assert [(await listener.next(b"QS_Console"))["msg"] for _ in range(2)] == ["worker: half a ", "line µ\r"]
            logger.warning("of the manager")
            heard = await listener.next(b"QS_Console")
            assert heard["msg"] == "of the manager\n"
            monkeypatch.setattr(loglines, "_PERIOD", 0.05)
            logger.warning("one more")
            assert (await listener.next(b"QS_Console"))["msg"] == "one more\n"
            watchdog.write_text("of the watchdog\n")  # another process, which does not ring: it is looked at
            assert (await listener.next(b"QS_Console"))["msg"] == "of the watchdog\n"

    try:
        run(main)
    finally:
        logger.removeHandler(handler)
        handler.close()
    assert not [each for each in logging.getLogger().handlers if type(each).__module__.endswith("loglines")]
