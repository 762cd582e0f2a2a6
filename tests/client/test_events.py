"""The event stream and the live mirror against a mini manager: going on after breaks, snapshots after restarts and gaps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jupyter_queueserver.client import (
    AsyncClient,
    ByeEvent,
    ChangesEvent,
    Client,
    ClientError,
    ConsoleEvent,
    EventStream,
    EventsUnavailable,
    LostEvent,
    RequestTimeout,
    SnapshotEvent,
)
from jupyter_queueserver.client import (
    stream as stream_module,
)
from jupyter_queueserver.core.mirror import snapshot

STOP_ITEM = {"item_type": "instruction", "name": "queue_stop"}
LIMIT = 60.0


@asynccontextmanager
async def _subscribed(place: Any, *topics: str) -> AsyncIterator[tuple[AsyncClient, EventStream]]:
    async with AsyncClient(instance=place) as client, asyncio.timeout(LIMIT):
        stream = client.subscribe(topics or ("state",))
        yield client, stream


async def _do(manager: Any, name: str, *arguments: Any) -> None:
    await asyncio.to_thread(getattr(manager, name), *arguments)


async def _snapshot_then_changes(manager: Any, place: Any) -> None:
    async with _subscribed(place) as (client, stream):
        first = await anext(stream)
        assert isinstance(first, SnapshotEvent)
        assert first.status["manager_state"] == "idle"
        await client.queue_item_add(STOP_ITEM)
        event = await anext(stream)
        assert isinstance(event, ChangesEvent)
        assert event.changes[0][1]["change"] == "queue_inserted"
        assert event.status["items_in_queue"] == 1


def test_a_snapshot_comes_first_then_every_change_is_pushed(manager: Any, place: Any) -> None:
    asyncio.run(_snapshot_then_changes(manager, place))


async def _break_and_go_on(manager: Any, place: Any) -> None:
    async with _subscribed(place) as (client, stream):
        await anext(stream)
        await client.queue_item_add(STOP_ITEM)
        await anext(stream)
        await _do(manager, "stop_listening")
        await _do(manager, "listen_again")
        await client.queue_item_add(STOP_ITEM)
        event = await anext(stream)
        assert isinstance(event, ChangesEvent)  # no snapshot: it went on where it was
        assert [seq for seq, _ in event.changes] == [2]


def test_after_a_break_it_goes_on_where_it_was(manager: Any, place: Any) -> None:
    asyncio.run(_break_and_go_on(manager, place))


async def _restart(manager: Any, place: Any) -> None:
    async with _subscribed(place) as (client, stream):
        await anext(stream)
        await client.queue_item_add(STOP_ITEM)
        await anext(stream)
        await _do(manager, "restart")
        event = await anext(stream)
        assert isinstance(event, SnapshotEvent)
        assert event.epoch == "life-2"
        assert len(event.snapshot["queue"]) == 1


def test_a_restarted_manager_sends_a_snapshot(manager: Any, place: Any) -> None:
    asyncio.run(_restart(manager, place))


async def _gap(manager: Any, place: Any) -> None:
    async with _subscribed(place) as (client, stream):
        await anext(stream)
        manager.lose_changes = True
        await client.queue_item_add(STOP_ITEM)
        manager.lose_changes = False
        await client.queue_item_add(STOP_ITEM)
        event = await anext(stream)
        assert isinstance(event, SnapshotEvent)
        assert len(event.snapshot["queue"]) == 2


def test_lost_changes_are_noticed_and_a_snapshot_is_asked_for(manager: Any, place: Any) -> None:
    asyncio.run(_gap(manager, place))


async def _slow(manager: Any, place: Any) -> None:
    """A consumer that is away while the manager gives it up (as after 10 s of silence) catches up without a gap."""
    async with _subscribed(place) as (client, stream):
        await anext(stream)
        for _ in range(3):
            await client.queue_item_add(STOP_ITEM)
        await _do(manager, "do", manager.peers.clear)
        for _ in range(3):
            await client.queue_item_add(STOP_ITEM)
        numbers: list[int] = []
        while len(numbers) < 6:
            event = await anext(stream)
            assert isinstance(event, ChangesEvent)
            numbers += [seq for seq, _ in event.changes]
        assert numbers == [1, 2, 3, 4, 5, 6]


def test_a_slow_consumer_that_was_forgotten_misses_nothing(manager: Any, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE", 0.05)
    asyncio.run(_slow(manager, place))


async def _silence(manager: Any, place: Any) -> None:
    async with _subscribed(place) as (client, stream):
        await anext(stream)
        manager.deaf_to_subscribers = True
        event = await anext(stream)
        assert isinstance(event, LostEvent)
        await client.queue_item_add(STOP_ITEM)
        await _do(manager, "do", manager.peers.clear)
        manager.deaf_to_subscribers = False
        event = await anext(stream)
        assert isinstance(event, ChangesEvent)


def test_silence_is_told_once_and_ends_by_itself(manager: Any, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(stream_module, "SILENCE", 1.0)
    asyncio.run(_silence(manager, place))


async def _console_and_bye(manager: Any, place: Any) -> None:
    async with _subscribed(place, "state", "console") as (_, stream):
        await anext(stream)
        text = {"kind": "console", "environment_id": "e", "offset": 10, "text": "grün\n", "time": 2.0}
        await _do(manager, "tell", text)
        assert await anext(stream) == ConsoleEvent("e", 10, "grün\n", 2.0)
        await _do(manager, "tell", {"kind": "bye", "reason": "stopped"})
        assert await anext(stream) == ByeEvent("stopped")
        await _do(manager, "restart")
        assert isinstance(await anext(stream), SnapshotEvent)
        while (wanted := await asyncio.to_thread(manager.subscriptions.get, timeout=LIMIT))["console"] is None:
            pass
        assert wanted["console"] == 16


def test_console_text_is_continued_and_an_orderly_end_is_told(manager: Any, place: Any) -> None:
    asyncio.run(_console_and_bye(manager, place))


async def _ends_with_its_client(manager: Any, place: Any) -> None:
    client = AsyncClient(instance=place)
    stream = client.subscribe()
    await anext(stream)
    waiting = asyncio.create_task(anext(stream, None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    async with asyncio.timeout(LIMIT):
        await client.aclose()
        assert await waiting is None


def test_an_iteration_ends_when_the_client_is_closed(manager: Any, place: Any) -> None:
    asyncio.run(_ends_with_its_client(manager, place))


async def _no_events() -> None:
    async with AsyncClient("tcp://127.0.0.1:9") as client:
        with pytest.raises(EventsUnavailable, match=r"runtime\.json"):
            await anext(client.subscribe())


def test_an_address_without_known_events_says_so(place: Any) -> None:
    asyncio.run(_no_events())


async def _mirrored(manager: Any, place: Any) -> None:
    async with AsyncClient(instance=place) as client, client.mirror() as live:
        assert live.is_connected
        for _ in range(5):
            await client.queue_item_add(STOP_ITEM)
        await client.queue_item_move(pos="back", pos_dest="front")
        await live.wait_for(lambda live: len(live.state.queue) == 5, LIMIT)
        assert live.status["items_in_queue"] == 5
        await _do(manager, "restart")
        await live.wait_for(lambda live: live.epoch == "life-2", LIMIT)
        await client.queue_item_remove(pos="front")
        await live.wait_for(lambda live: True, LIMIT)  # catches up first
        assert snapshot(live.state) == snapshot(manager.state)
        with pytest.raises(RequestTimeout, match="timeout occurred"):
            await live.wait_for(lambda live: False, 0.05)


def test_the_mirror_is_the_managers_state_also_after_a_restart(manager: Any, place: Any) -> None:
    asyncio.run(_mirrored(manager, place))


async def _no_manager(place: Any) -> None:
    async with AsyncClient(instance=place, timeout=0.1) as client:
        live = client.mirror()
        with pytest.raises(RequestTimeout, match="no snapshot"):
            await live.__aenter__()
        with pytest.raises(ClientError, match="no snapshot"):
            _ = live.state


def test_a_mirror_of_nobody_is_a_timeout(place: Any) -> None:
    asyncio.run(_no_manager(place))


def test_the_blocking_client_has_events_too(manager: Any, place: Any) -> None:
    with Client(instance=place) as client, client.subscribe() as events:
        assert isinstance(events.next(LIMIT), SnapshotEvent)
        client.queue_item_add(STOP_ITEM)
        assert isinstance(next(events), ChangesEvent)
        with pytest.raises(RequestTimeout):
            events.next(0.05)
        client.queue_item_add(STOP_ITEM)
        assert isinstance(events.next(LIMIT), ChangesEvent)
    assert not [thread for thread in threading.enumerate() if thread.name == "queueserver events"]


def test_the_blocking_mirror_sees_what_a_call_did(manager: Any, place: Any) -> None:
    with Client(instance=place) as client, client.mirror() as live:
        for length in range(1, 20):
            client.queue_item_add(STOP_ITEM)
            live.wait_for(lambda live, length=length: len(live.state.queue) >= length, LIMIT)
            assert len(live.state.queue) == live.status["items_in_queue"] == length
        assert live.is_connected
        assert live.epoch == "life-1"


def test_events_and_mirror_may_be_closed_after_their_client(manager: Any, place: Any) -> None:
    client = Client(instance=place)
    events, live = client.subscribe(), client.mirror()
    with live:
        events.next(LIMIT)
        client.close()
    events.close()
    with pytest.raises(ClientError, match="closed"):
        next(events)


async def _closed_while_waiting(manager: Any, place: Any) -> None:
    client = AsyncClient(instance=place)
    async with client.mirror() as live, asyncio.timeout(LIMIT):
        waiting = asyncio.create_task(live.wait_for(lambda live: False))
        await live.wait_for(lambda live: True)
        await client.aclose()
        with pytest.raises(ClientError, match="closed"):
            await waiting


def test_who_waits_on_a_mirror_is_told_of_its_end(manager: Any, place: Any) -> None:
    asyncio.run(_closed_while_waiting(manager, place))
