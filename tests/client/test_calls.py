"""Calls of both clients: answers, refusals, timeouts and what comes after them."""

from __future__ import annotations

import asyncio
import getpass
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jupyter_queueserver.client import AsyncClient, Client, ClientError, RequestFailed, RequestTimeout

STOP_ITEM = {"item_type": "instruction", "name": "queue_stop"}


def test_a_call_returns_the_reply(manager: Any, place: Any) -> None:
    with Client(instance=place) as client:
        assert client.call("status")["manager_state"] == "idle"
        reply = client.call("queue_item_add", item=STOP_ITEM)
        assert reply["success"]
        assert reply["qsize"] == 1
        assert client.queue_get()["items"] == [reply["item"]]


def test_identity_is_filled_in_only_where_a_method_wants_it(manager: Any, place: Any) -> None:
    with Client(instance=place) as client:
        client.call("queue_item_add", item=STOP_ITEM)
        client.call("queue_item_add", item=STOP_ITEM, user="ann", user_group="beamline")
        client.call("plans_allowed")
        client.call("queue_clear")
        client.call("status")
    sent = [request["params"] for request in manager.requests]
    ids = [params.pop("request_id", None) for params in sent]
    assert [request_id is not None for request_id in ids] == [True, True, False, True, False]
    assert len({*ids} - {None}) == 3
    assert sent[0] == {"item": STOP_ITEM, "user": getpass.getuser(), "user_group": "primary"}
    assert (sent[1]["user"], sent[1]["user_group"]) == ("ann", "beamline")
    assert sent[2:] == [{"user_group": "primary"}, {}, {}]


def test_raw_calls_send_exactly_what_is_given(manager: Any, place: Any) -> None:
    with Client(instance=place) as client:
        reply = client.call_raw("queue_item_add", {"item": STOP_ITEM})
    assert manager.requests[0]["params"] == {"item": STOP_ITEM}
    assert b'"success":false' in reply


def test_a_refusal_is_a_reply_of_call_and_an_error_of_request(manager: Any, place: Any) -> None:
    with Client(instance=place) as client:
        assert client.call("queue_item_get", pos=3)["success"] is False
        with pytest.raises(RequestFailed, match=r"Request failed: Failed to get an item: ") as caught:
            client.queue_item_get(pos=3)
    assert caught.value.code
    assert caught.value.hint
    assert caught.value.reply["item"] == {}


def test_unknown_methods_are_sent_and_refused_by_the_manager(manager: Any, place: Any) -> None:
    with Client(instance=place) as client:
        assert client.call("no_such_method") == {"success": False, "msg": "Unknown method 'no_such_method'"}


def test_not_a_number_survives_the_way_there_and_back(manager: Any, place: Any) -> None:
    item = STOP_ITEM | {"meta": {"offset": math.nan, "limit": math.inf}}
    with Client(instance=place) as client:
        meta = client.queue_item_add(item)["item"]["meta"]
    assert math.isnan(meta["offset"])
    assert meta["limit"] == math.inf


def test_a_timeout_says_what_was_tried_and_the_next_call_works(manager: Any, place: Any) -> None:
    with Client(instance=place, timeout=0.2) as client:
        client.status()
        manager.do(lambda: setattr(manager, "silent", True))
        with pytest.raises(RequestTimeout, match="timeout occurred") as caught:
            client.queue_clear()
        assert place.control_address in str(caught.value)
        assert "queue_clear" in str(caught.value)
        manager.do(lambda: setattr(manager, "silent", False))
        assert client.queue_get()["items"] == []


def test_nobody_there_is_a_timeout_and_a_manager_that_comes_later_is_found(place: Any, request: Any) -> None:
    with Client(instance=place, timeout=0.1) as client:
        with pytest.raises(TimeoutError):
            client.status()
        request.getfixturevalue("manager")
        client.timeout = 2.0
        assert client.status()["manager_state"] == "idle"


def test_one_blocking_client_serves_many_threads(manager: Any, place: Any) -> None:
    with Client(instance=place) as client, ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda k: client.queue_item_add(STOP_ITEM | {"meta": {"k": k}}), range(64)))
    assert [reply["item"]["meta"]["k"] for reply in replies] == list(range(64))
    assert len({reply["item"]["item_uid"] for reply in replies}) == 64


async def _many_at_once(place: Any) -> list[dict[str, Any]]:
    async with AsyncClient(instance=place) as client:
        return await asyncio.gather(*(client.queue_item_add(STOP_ITEM | {"meta": {"k": k}}) for k in range(40)))


def test_one_asynchronous_client_has_many_calls_in_flight(manager: Any, place: Any) -> None:
    replies = asyncio.run(_many_at_once(place))
    assert [reply["item"]["meta"]["k"] for reply in replies] == list(range(40))


async def _timeout_and_recovery(manager: Any, place: Any) -> None:
    async with AsyncClient(instance=place, timeout=0.2) as client:
        await client.status()
        await asyncio.to_thread(manager.do, lambda: setattr(manager, "silent", True))
        with pytest.raises(RequestTimeout, match="timeout occurred"):
            await client.status()
        await asyncio.to_thread(manager.do, lambda: setattr(manager, "silent", False))
        assert (await client.queue_get())["items"] == []
        with pytest.raises(RequestFailed):
            await client.queue_item_remove(pos=0)


def test_the_asynchronous_client_recovers_from_a_timeout(manager: Any, place: Any) -> None:
    asyncio.run(_timeout_and_recovery(manager, place))


async def _cancelled(manager: Any, place: Any) -> None:
    async with AsyncClient(instance=place) as client:
        await asyncio.to_thread(manager.do, lambda: setattr(manager, "silent", True))
        task = asyncio.create_task(client.call("history_get"))
        await asyncio.to_thread(manager.unanswered.get, timeout=30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(manager.do, lambda: setattr(manager, "silent", False))
        assert "manager_state" in await client.call("status")  # not the answer to the cancelled call


def test_a_cancelled_call_leaves_no_answer_for_the_next_one(manager: Any, place: Any) -> None:
    asyncio.run(_cancelled(manager, place))


async def _closed_meanwhile(manager: Any, place: Any) -> None:
    client = AsyncClient(instance=place)
    await asyncio.to_thread(manager.do, lambda: setattr(manager, "silent", True))
    waiting = asyncio.create_task(client.call("history_get"))
    await asyncio.to_thread(manager.unanswered.get, timeout=30)
    await client.aclose()
    with pytest.raises(ClientError, match="closed"):
        await waiting
    with pytest.raises(ClientError, match="closed"):
        await client.status()


def test_closing_the_asynchronous_client_ends_its_calls(manager: Any, place: Any) -> None:
    asyncio.run(_closed_meanwhile(manager, place))


def test_a_closed_client_says_so(place: Any) -> None:
    client = Client(instance=place)
    client.close()
    with pytest.raises(ClientError, match="closed"):
        client.status()


def test_the_private_address_always_speaks_json(manager: Any, place: Any) -> None:
    with Client(instance=place, encoding="msgpack") as client:
        assert client.queue_get()["items"] == []
