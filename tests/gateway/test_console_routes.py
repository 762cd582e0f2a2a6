"""The routes of console output, fed by a fake manager."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from console_printer import LIMIT, Printer, printer

from jupyter_queueserver.gateway import subscription
from jupyter_queueserver.instance import Instance

__all__ = ["printer"]


async def updates(api: Any, uid: str) -> dict[str, Any]:
    reply = await api("GET", "/console_output_update", {"last_msg_uid": uid})
    assert reply.code == 200
    return json.loads(reply.body)


async def wait_for_text(api: Any, wanted: str, **params: Any) -> None:
    """Wait until the text of the console is that."""
    text = None
    try:
        async with asyncio.timeout(LIMIT):
            while text != wanted:
                text = json.loads((await api("GET", "/console_output", params)).body)["text"]
    except TimeoutError:
        pytest.fail(f"the text is {text!r}")


async def test_text_of_the_last_lines(api: Any, printer: Printer) -> None:
    reply = await api("GET", "/console_output")
    assert json.loads(reply.body) == {"success": True, "msg": "", "text": ""}
    printer.say("one\ntwo \N{GREEK SMALL LETTER MU}\n 5%\r10%\r")
    await wait_for_text(api, "one\ntwo \N{GREEK SMALL LETTER MU}\n10%")
    await wait_for_text(api, "10%", nlines=1)
    await wait_for_text(api, "", nlines=0)
    await wait_for_text(api, "10%", nlines=1.0, surplus="is ignored")
    for nlines in ("7", [], True, "all"):
        reply = await api("GET", "/console_output", {"nlines": nlines})
        assert reply.code == 400, nlines
        assert "nlines" in json.loads(reply.body)["detail"]


async def test_log_lines_of_the_manager_are_part_of_it(api: Any, printer: Printer) -> None:
    printer.say("of the worker\n")
    printer.log("of the manager\n")
    printer.say("of the worker again\n")
    await wait_for_text(api, "of the worker\nof the manager\nof the worker again")
    kept = (await updates(api, "ALL"))["console_output_msgs"]
    assert kept[1] == {"time": 6.5, "msg": "of the manager\n"}
    await wait_for_text(api, "", nlines=0, reload=None)
    for nlines in (10**400, 1e308):
        assert (await api("GET", "/console_output", {"nlines": nlines})).code == 200


async def test_the_uid_changes_with_the_text(api: Any, printer: Printer) -> None:
    async def uid() -> str:
        reply = json.loads((await api("GET", "/console_output/uid", "no JSON")).body)
        assert reply.keys() == {"success", "msg", "console_output_uid"}
        return reply["console_output_uid"]

    first = await uid()
    assert await uid() == first
    printer.say("x\n")
    await wait_for_text(api, "x")
    assert await uid() != first


async def test_updates_since_a_message(api: Any, printer: Printer) -> None:
    start = await updates(api, "")
    assert start["console_output_msgs"] == []
    printer.say("one\n")
    printer.say("two\n")
    await wait_for_text(api, "one\ntwo")
    new = await updates(api, start["last_msg_uid"])
    assert new["console_output_msgs"] == [{"time": 5.5, "msg": "one\n"}, {"time": 5.5, "msg": "two\n"}]
    assert (new["success"], new["msg"]) == (True, "")
    assert (await updates(api, new["last_msg_uid"]))["console_output_msgs"] == []
    assert (await updates(api, "ALL"))["console_output_msgs"] == new["console_output_msgs"]
    for unknown in ("elsewhere-1", None, 3, {}):
        reply = await updates(api, unknown)  # type: ignore[arg-type]
        assert (reply["console_output_msgs"], reply["last_msg_uid"]) == ([], new["last_msg_uid"])


async def test_updates_are_refused_by_form(api: Any, printer: Printer) -> None:
    for body, status in (({}, 400), ({"last_msg_uid": "", "x": 1}, 400), (None, 422), ("[]", 422), ("{", 422)):
        reply = await api("GET", "/console_output_update", body)
        assert reply.code == status, body
        assert json.loads(reply.body).keys() == {"detail", "error"}


async def test_what_comes_again_after_a_break_is_not_shown_twice(api: Any, printer: Printer) -> None:
    printer.say("one\nt")
    printer.say("one\ntwo\n", again=5)
    await wait_for_text(api, "one\ntwo")
    printer.say("two\n", again=4)
    printer.say("end\n")
    await wait_for_text(api, "one\ntwo\nend")
    other = Printer(printer.manager, "e2")
    other.say("new environment\n")
    await wait_for_text(api, "one\ntwo\nend\nnew environment")


async def test_goes_on_after_the_manager_was_restarted(
    api: Any, printer: Printer, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    printer.say("one\n")
    await wait_for_text(api, "one")
    monkeypatch.setattr(subscription, "KEEP_ALIVE", 0.05)
    manager = printer.manager
    await manager.stop()
    manager.peers.clear()
    while not manager.subscriptions.empty():
        manager.subscriptions.get_nowait()
    manager.epoch = "life-2"
    await manager.start()
    async with asyncio.timeout(LIMIT):
        wanted = await manager.subscriptions.get()
    assert wanted["console"] == 4
    printer.say("one\ntwo\n", again=4)
    await wait_for_text(api, "one\ntwo")


async def test_stream_sends_what_is_new(
    http_server_client: Any, jp_base_url: str, jp_auth_header: dict[str, str], api: Any, printer: Printer
) -> None:
    printer.say("before\n")
    await wait_for_text(api, "before")
    heads: list[str] = []
    received = bytearray()
    news = asyncio.Event()

    def take(chunk: bytes) -> None:
        received.extend(chunk)
        news.set()

    begun = asyncio.Event()

    def take_head(line: str) -> None:
        heads.append(line)
        if not line.strip():
            begun.set()

    url = f"{jp_base_url}queueserver/api/stream_console_output"
    reading = asyncio.ensure_future(
        http_server_client.fetch(
            url, headers=jp_auth_header, streaming_callback=take, header_callback=take_head, request_timeout=0, raise_error=False
        )
    )
    async with asyncio.timeout(LIMIT):
        await begun.wait()
        printer.say("one\n")
        printer.say("two {\n")
        while received.count(b"}") < 2:
            news.clear()
            await news.wait()
    assert any(line.lower().startswith("content-type: text/plain") for line in heads)
    decoder, text, found = json.JSONDecoder(), received.decode(), []
    while text:
        message, end = decoder.raw_decode(text)
        found.append(message)
        text = text[end:]
    assert found == [{"time": 5.5, "msg": "one\n"}, {"time": 5.5, "msg": "two {\n"}]
    reading.cancel()


async def test_a_client_that_goes_leaves_nothing(
    jp_serverapp: Any, jp_base_url: str, extension: Any, api: Any, printer: Printer, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_serverapp.port)
    head = f"GET {jp_base_url}queueserver/api/stream_console_output HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    writer.write(f"{head}Authorization: ApiKey {jp_serverapp.identity_provider.token}\r\n\r\n".encode())
    listeners = extension._feed._listeners["console"]
    async with asyncio.timeout(LIMIT):
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert len(listeners) == 1
        writer.close()
        await writer.wait_closed()
        while listeners:
            await api("GET", "/status")
    printer.say("nobody hears it\n")
    await wait_for_text(api, "nobody hears it")
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


@pytest.mark.parametrize("extra_config", [{"QueueServerExtension": {"events_address": ""}}])
async def test_without_an_event_stream_it_says_so(api: Any) -> None:
    for path, body, empty in (
        ("/console_output", None, {"text": ""}),
        ("/console_output_update", {"last_msg_uid": ""}, {"console_output_msgs": []}),
    ):
        reply = json.loads((await api("GET", path, body)).body)
        assert reply["success"] is False
        assert reply["error"]["code"] == "no_event_stream"
        assert reply.items() >= empty.items()
