"""The websocket of the event stream: who may open it, what it carries, how it goes on after a break."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import zmq.asyncio
from gateway_manager import STOP, FakeManager
from jupyter_server.auth import Authorizer
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_queueserver.core.mirror import Mirror
from jupyter_queueserver.gateway import follower, subscription
from jupyter_queueserver.instance import Instance

LIMIT = 60.0


async def next_of(socket: Any, *kinds: str) -> dict[str, Any]:
    """The next message of one of these kinds."""
    async with asyncio.timeout(LIMIT):
        while True:
            text = await socket.read_message()
            assert text is not None, "the stream was closed"
            message = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
            if message["kind"] in kinds:
                return message


@pytest.fixture
def connect(jp_ws_fetch: Any) -> Any:
    """``await connect(topics="state")``: open the event stream."""

    def opened(headers: dict[str, str] | None = None, **query: Any) -> Any:
        return jp_ws_fetch("queueserver", "api", "events", params=query, headers=headers)

    return opened


async def test_refuses_without_token(connect: Any) -> None:
    with pytest.raises(HTTPClientError, match="403"):
        await connect(headers={"Authorization": "token wrong"})


async def test_refuses_a_foreign_page_with_a_cookie(
    jp_serverapp: Any, http_server_client: Any, jp_base_url: str, manager: FakeManager
) -> None:
    token = jp_serverapp.identity_provider.token
    reply = await http_server_client.fetch(f"{jp_base_url}api/status?token={token}")
    cookie = reply.headers["Set-Cookie"].partition(";")[0]
    own = f"http://127.0.0.1:{jp_serverapp.port}"
    url = f"{own.replace('http', 'ws')}{jp_base_url}queueserver/api/events"
    with pytest.raises(HTTPClientError, match="403"):
        await websocket_connect(HTTPRequest(url, headers={"Cookie": cookie, "Origin": "http://elsewhere.example"}))
    socket = await websocket_connect(HTTPRequest(url, headers={"Cookie": cookie, "Origin": own}))
    await next_of(socket, "snapshot")
    socket.close()


class Nobody(Authorizer):
    """Forbids everything."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return False


@pytest.mark.parametrize("extra_config", [{"ServerApp": {"authorizer_class": Nobody}}])
async def test_respects_the_authorizer(connect: Any) -> None:
    with pytest.raises(HTTPClientError, match="403"):
        await connect()


async def test_refuses_queries_it_does_not_understand(connect: Any) -> None:
    for query in ({"topics": "gossip"}, {"since": "-1"}, {"console": "x"}):
        with pytest.raises(HTTPClientError, match="400"):
            await connect(**query)


async def test_begins_with_a_snapshot_and_pushes_changes(connect: Any, api: Any, manager: FakeManager) -> None:
    socket = await connect(topics="state")
    first = await next_of(socket, "snapshot")
    mirror = Mirror(first["snapshot"])
    await api("POST", "/queue/item/add", {"item": STOP})
    message = await next_of(socket, "changes")
    for seq, change in message["changes"]:
        mirror.apply(seq, change, message["time"])
    assert [item.name for item in mirror.state.queue] == ["queue_stop"]
    assert mirror.state.seq == manager.state.seq
    assert message["status"]["items_in_queue"] == 1
    socket.close()


async def test_goes_on_where_it_was(connect: Any, api: Any, manager: FakeManager) -> None:
    socket = await connect(topics="state")
    seen = await next_of(socket, "snapshot")
    socket.close()
    await api("POST", "/queue/item/add", {"item": STOP})
    again = await connect(topics="state", epoch=seen["epoch"], since=seen["seq"])
    message = await next_of(again, "changes", "snapshot")
    assert message["kind"] == "changes"
    assert [seq for seq, _ in message["changes"]] == [entry[0] for entry in manager.log]
    again.close()


async def test_another_life_of_the_manager_brings_a_snapshot(connect: Any, manager: FakeManager) -> None:
    socket = await connect(topics="state", epoch="life-0", since=500)
    assert (await next_of(socket, "changes", "snapshot"))["kind"] == "snapshot"
    socket.close()


async def test_a_gap_is_closed(connect: Any, api: Any, manager: FakeManager) -> None:
    socket = await connect(topics="state")
    mirror = Mirror((await next_of(socket, "snapshot"))["snapshot"])
    hidden, manager.peers = manager.peers, {}
    await api("POST", "/queue/item/add", {"item": STOP})
    manager.peers = hidden
    await api("POST", "/queue/item/add", {"item": STOP})
    while len(mirror.state.queue) < 2:
        message = await next_of(socket, "changes")
        for seq, change in message["changes"]:
            mirror.apply(seq, change, message["time"])  # raises at a gap
    assert mirror.state.seq == manager.state.seq
    socket.close()


async def test_numbers_that_json_does_not_know_become_null(connect: Any, manager: FakeManager) -> None:
    socket = await connect(topics="documents")
    await next_of(socket, "snapshot")
    document = {"data": {"det": float("nan"), "limits": [float("inf"), -float("inf"), 1.5]}}
    manager.tell("documents", {"kind": "document", "environment_id": "e", "seq": 7, "name": "event", "doc": document})
    message = await next_of(socket, "document")
    assert message["doc"] == {"data": {"det": None, "limits": [None, None, 1.5]}}
    socket.close()


async def test_half_a_surrogate_pair_blinds_nobody(connect: Any, api: Any, manager: FakeManager) -> None:
    socket = await connect(topics="state,documents")
    await next_of(socket, "snapshot")
    document = {"kind": "document", "environment_id": "e", "seq": 7, "name": "start", "doc": {"half\ud800": "\udc00 \U0001f600"}}
    manager.tell("documents", document)
    assert (await next_of(socket, "document"))["doc"] == {"half\ufffd": "\ufffd \U0001f600"}
    socket.close()


def test_numbers_beyond_all_floats_become_null_too() -> None:
    text, head = subscription.strict_json(b'{"kind":"document","doc":[NaN,1e999,-1e999,1.5]}')
    assert (json.loads(text)["doc"], head.kind) == ([None, None, None, 1.5], "document")


async def test_what_cannot_be_passed_on_is_logged_and_a_snapshot_follows(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscription, "KEEP_ALIVE", 0.05)
    instance.prepare()
    context = zmq.asyncio.Context()
    server = context.socket(zmq.ROUTER)
    server.bind(instance.events_address)
    listening = subscription.Subscription(context, instance.events_address, subscription.Position(topics=("state",)))
    messages = listening.messages()
    snapshot = b'{"kind":"snapshot","epoch":"life","seq":3}'
    async with asyncio.timeout(LIMIT):
        arrival = asyncio.ensure_future(anext(messages))
        peer, _ = await server.recv_multipart()
        await server.send_multipart([peer, snapshot])
        assert (await arrival).text == snapshot
        arrival = asyncio.ensure_future(anext(messages))
        await server.send_multipart([peer, b'{"kind":"changes","changes":"none"}'])
        wanted = {"epoch": "life"}
        while wanted["epoch"] is not None:
            peer, body = await server.recv_multipart()
            wanted = json.loads(body)["subscribe"]
        await server.send_multipart([peer, b"{broken"])  # this snapshot too: the next sign of life brings another
        assert (await server.recv_multipart())[0] == peer
        await server.send_multipart([peer, snapshot])
        assert (await arrival).text == snapshot
    assert [record.levelname for record in caplog.records if "cannot be passed on" in record.getMessage()] == ["ERROR"] * 2
    listening.close()
    context.destroy(linger=0)


async def test_without_the_upgrade_there_is_nothing(api: Any) -> None:
    reply = await api("GET", "/events")
    assert reply.code == 404
    assert json.loads(reply.body)["error"]["code"] == "not_found"


async def test_a_number_below_zero_is_named(api: Any) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA=="}
    reply = await api("GET", "/events", params={"since": "-5"}, headers=upgrade)
    assert reply.code == 400
    assert json.loads(reply.body)["detail"] == "'since' must be a whole number, 0 or more (at most 15 digits), not '-5'"


async def test_console_goes_on_at_its_offset(connect: Any, manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "KEEP_ALIVE", 0.05)
    while not manager.subscriptions.empty():
        manager.subscriptions.get_nowait()
    socket = await connect(topics="console", console=12)
    while (wanted := await asyncio.wait_for(manager.subscriptions.get(), LIMIT))["topics"] != ["console"]:
        pass
    assert wanted["console"] == 12
    await next_of(socket, "snapshot")  # from now on it is with all the others
    text = {"kind": "console", "environment_id": "e", "offset": 12, "text": "héllo\n", "time": 1.0}
    manager.tell("console", text)
    assert await next_of(socket, "console") == text
    while (wanted := await asyncio.wait_for(manager.subscriptions.get(), LIMIT))["console"] != 12 + 7:
        pass
    manager.tell("console", text | {"offset": 19, "end": 21, "text": "\ufffd\n"})  # a byte that is no UTF-8
    while (wanted := await asyncio.wait_for(manager.subscriptions.get(), LIMIT))["console"] != 21:
        pass
    socket.close()


class SlowBrowser:
    """A websocket client that reads only when it is told to: what it does not read stays with the server."""

    @classmethod
    async def open(cls, app: Any, query: str) -> SlowBrowser:
        self = cls()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", app.port, limit=65536)
        lines = [
            f"GET /a%40b/queueserver/api/events?{query} HTTP/1.1",
            f"Host: 127.0.0.1:{app.port}",
            f"Authorization: token {app.identity_provider.token}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        assert b" 101 " in await self.reader.readuntil(b"\r\n\r\n")
        return self

    async def read_message(self) -> str:
        _, length = await self.reader.readexactly(2)
        if length > 125:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
        return (await self.reader.readexactly(length)).decode()


async def test_a_slow_browser_gets_a_snapshot_instead(
    jp_serverapp: Any, http_server_client: Any, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it does not read, far more is published than is kept for it: all is dropped, a snapshot follows later."""
    boxes: list[follower.Outbox] = []

    class Observed(follower.Outbox):
        def __init__(self) -> None:
            super().__init__()
            boxes.append(self)

    monkeypatch.setattr(follower, "Outbox", Observed)
    monkeypatch.setattr(subscription, "KEEP_ALIVE", 0.05)
    browser = await SlowBrowser.open(jp_serverapp, "topics=state,documents")
    await next_of(browser, "snapshot")
    document = {"kind": "document", "environment_id": "e", "seq": 1, "name": "event", "doc": {"x": "x" * 400_000}}
    async with asyncio.timeout(LIMIT):
        while not boxes[0].overflowed:
            manager.tell("documents", document)
            await asyncio.sleep(0.001)
    assert len(boxes[0]) == 0
    assert (await next_of(browser, "snapshot"))["seq"] == manager.state.seq
    assert not boxes[0].overflowed
    browser.writer.close()
