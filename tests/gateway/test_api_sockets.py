"""The websockets of existing clients: what they carry, who may open them, and what a slow client costs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq.asyncio
from console_printer import LIMIT, Printer, printer
from gateway_manager import STOP, FakeManager
from jupyter_server.auth import Authorizer
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_queueserver.gateway import feed
from jupyter_queueserver.gateway.feed import Listener
from jupyter_queueserver.gateway.refusals import Refusal, no_answer

__all__ = ["printer"]
SOCKETS = ("console_output/ws", "status/ws", "info/ws")


@pytest.fixture
def connect(jp_serverapp: Any, jp_base_url: str, http_server_client: Any) -> Iterator[Any]:
    """``await connect("status/ws", key="...")``: as existing clients do, with the key in the header."""
    opened: list[Any] = []

    async def connected(path: str, key: str | None = "", headers: dict[str, str] | None = None, **options: Any) -> Any:
        prefix = options.pop("prefix", "queueserver/api/")
        sent = {} if key is None else {"Authorization": f"ApiKey {key or jp_serverapp.identity_provider.token}"}
        url = f"ws://127.0.0.1:{jp_serverapp.port}{jp_base_url}{prefix}{path}"
        opened.append(await websocket_connect(HTTPRequest(url, headers=sent | (headers or {})), **options))
        return opened[-1]

    yield connected
    for socket in opened:
        socket.close()


async def message_of(socket: Any) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT):
        text = await socket.read_message()
    assert isinstance(text, str), "text frames are wanted"
    message = json.loads(text)
    assert message.keys() == {"time", "msg"}
    assert isinstance(message["time"], float)
    return message


async def test_console_socket_sends_what_is_new(connect: Any, printer: Printer) -> None:
    printer.say("before\n")
    sockets = [await connect("console_output/ws") for _ in range(3)]
    extension_heard = await connect("status/ws")
    await message_of(extension_heard)  # what was said before has arrived, too: one stream brings both
    for socket in sockets:
        socket.close()
    sockets = [await connect("console_output/ws") for _ in range(3)]
    printer.say("one \N{GREEK SMALL LETTER MU}\n")
    for socket in sockets:
        assert await message_of(socket) == {"time": 5.5, "msg": "one \N{GREEK SMALL LETTER MU}\n"}
        socket.close()
    extension_heard.close()


async def test_status_comes_at_each_change_and_once_a_second(
    connect: Any, manager: FakeManager, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("status/ws", "info/ws"):
        monkeypatch.setattr(feed, "REPEAT_AFTER", 3600.0)
        socket = await connect(path)
        before = len(manager.state.queue)
        await api("POST", "/queue/item/add", {"item": STOP})
        message = await message_of(socket)
        while message["msg"]["status"]["items_in_queue"] == before:  # the first snapshot, perhaps
            message = await message_of(socket)
        assert message["msg"].keys() == {"status"}
        assert message["msg"]["status"]["items_in_queue"] == before + 1
        assert abs(message["time"] - time.time()) < 60
    monkeypatch.setattr(feed, "REPEAT_AFTER", 0.01)
    socket = await connect("status/ws")
    repeated = [await message_of(socket) for _ in range(3)]
    assert repeated[0]["msg"]["status"]["manager_state"] == "idle"
    assert repeated[0]["time"] < repeated[1]["time"] < repeated[2]["time"]
    socket.close()


async def test_of_a_silent_manager_there_is_no_status_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "REPEAT_AFTER", 0.01)
    answers = iter([no_answer(2.0, ""), no_answer(2.0, ""), b'{"manager_state":"idle"}'])

    async def ask() -> bytes:
        answer = next(answers)
        if isinstance(answer, Refusal):
            raise answer
        return answer

    seen: list[bytes] = []
    context = zmq.asyncio.Context()
    hearing = feed.Feed(context, None, ask, on_status=seen.append, on_goodbye=seen.clear)
    with hearing.listen("status") as listener:
        running = asyncio.create_task(hearing.run())
        async with asyncio.timeout(LIMIT):
            text = await listener.next()
        assert text is not None
        assert json.loads(text)["msg"] == {"status": {"manager_state": "idle"}}
        assert seen == [b'{"manager_state":"idle"}']
        running.cancel()
        assert await listener.next() is None
    await asyncio.wait([running])
    context.destroy(linger=0)


async def test_who_may_connect(connect: Any, jp_serverapp: Any) -> None:
    token = jp_serverapp.identity_provider.token
    refused = [
        {"key": None},
        {"key": "wrong"},
        {"key": None, "headers": {"Authorization": f"Basic {token}"}},
        {"key": None, "query": "?scopes="},
        {"key": None, "query": "?api_key=wrong"},
    ]
    accepted = [
        {"key": None, "headers": {"Authorization": f"Bearer {token}"}},
        {"key": None, "headers": {"Authorization": f"token {token}"}},
        {"key": None, "query": f"?api_key={token}"},
        {"key": None, "query": f"?token={token}"},
        {},
    ]
    for path in SOCKETS:
        for given in refused:
            options = dict(given)
            with pytest.raises(HTTPClientError, match="403"):
                await connect(path + options.pop("query", ""), **options)
        for given in accepted:
            options = dict(given)
            (await connect(path + options.pop("query", ""), **options)).close()


async def test_a_browser_connects_by_its_cookie_but_no_foreign_page(
    connect: Any, http_server_client: Any, jp_base_url: str, jp_serverapp: Any
) -> None:
    token = jp_serverapp.identity_provider.token
    reply = await http_server_client.fetch(f"{jp_base_url}api/status?token={token}")
    cookie = reply.headers["Set-Cookie"].partition(";")[0]
    own = f"http://127.0.0.1:{jp_serverapp.port}"
    for path in SOCKETS:
        (await connect(path, key=None, headers={"Cookie": cookie, "Origin": own})).close()
        with pytest.raises(HTTPClientError, match="403"):
            await connect(path, key=None, headers={"Cookie": cookie, "Origin": "http://elsewhere.example"})
        with pytest.raises(HTTPClientError, match="403"):  # a wrong key is not made up for by a cookie
            await connect(path, key="wrong", headers={"Cookie": cookie, "Origin": own})


async def test_doubled_slashes_and_compression(connect: Any, manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "REPEAT_AFTER", 0.01)
    for prefix, path in (("queueserver//api/", "info/ws"), ("queueserver/api/", "info//ws/"), ("queueserver/api//", "info/ws/")):
        socket = await connect(path, prefix=prefix, compression_options={})
        assert "permessage-deflate" in socket.headers["Sec-Websocket-Extensions"]
        assert "status" in (await message_of(socket))["msg"]


async def test_without_the_upgrade_there_is_nothing(api: Any) -> None:
    for path in SOCKETS:
        reply = await api("GET", f"/{path}")
        assert reply.code == 404
        assert json.loads(reply.body)["detail"] == "Not Found"


class Nobody(Authorizer):
    """Forbids everything."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return False


@pytest.mark.parametrize("extra_config", [{"ServerApp": {"authorizer_class": Nobody}}])
async def test_respects_the_authorizer(connect: Any) -> None:
    for path in SOCKETS:
        with pytest.raises(HTTPClientError, match="403"):
            await connect(path)


async def test_of_a_slow_client_the_oldest_messages_go() -> None:
    listener = Listener(max_messages=3, max_bytes=100)
    for number in range(5):
        listener.put(b"%d" % number)
    assert [await listener.next() for _ in range(3)] == [b"2", b"3", b"4"]
    listener.put(b"x" * 90)
    listener.put(b"y" * 90)
    assert await listener.next() == b"y" * 90
    listener.put(b"z" * 500)  # one is always kept
    listener.end()
    assert await listener.next() == b"z" * 500
    assert await listener.next() is None
