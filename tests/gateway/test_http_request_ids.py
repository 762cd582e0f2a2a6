"""Ids of requests over HTTP: in the body or in the header, with the account of the server, sent again when no answer comes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from gateway_manager import STOP, FakeManager

from jupyter_queueserver.api import methods
from jupyter_queueserver.api.http_form import IGNORE_BODY, NOT_SERVED
from jupyter_queueserver.gateway import requests as requests_module
from jupyter_queueserver.gateway.bodies import Submitter, header_id, make_request

KEY = "Idempotency-Key"
ME = Submitter("me", "primary")


def sent(manager: FakeManager) -> dict[str, Any]:
    params = manager.requests[-1]["params"]
    return {name: params[name] for name in ("request_id", "request_user") if name in params}


async def test_the_id_in_the_body_and_in_the_header(api: Any, manager: FakeManager) -> None:
    for body, headers in (
        ({"request_id": "r 1"}, {}),
        ({}, {KEY: "r 1"}),
        ({}, {KEY: '"r 1"'}),
        ({"request_id": "r 1"}, {KEY: "r 1"}),
    ):
        assert (await api("POST", "/queue/item/add", {"item": STOP, **body}, headers=headers)).code == 200
        assert sent(manager)["request_id"] == "r 1"
        assert sent(manager)["request_user"]
    assert manager.requests[-1]["params"]["user"] == sent(manager)["request_user"]
    await api("POST", "/queue/start", {})
    assert "request_id" not in sent(manager)


async def test_two_different_ids_are_refused(api: Any, manager: FakeManager) -> None:
    before = len(manager.requests)
    reply = await api("POST", "/queue/start", {"request_id": "a"}, headers={KEY: "b"})
    assert reply.code == 400
    assert json.loads(reply.body)["error"]["code"] == "ambiguous_parameters"
    assert len(manager.requests) == before


async def test_nobody_says_who_asks(api: Any, manager: FakeManager) -> None:
    reply = await api("POST", "/queue/start", {"request_id": "a", "request_user": "somebody else"})
    assert reply.code == 400
    await api("POST", "/manager/stop", {"request_id": "a", "request_user": "somebody else"})
    assert sent(manager)["request_user"] != "somebody else"


async def test_reading_routes_ignore_it(api: Any, manager: FakeManager) -> None:
    assert (await api("GET", "/queue/get", {"request_id": "r"}, headers={KEY: "other"})).code == 200
    assert (await api("GET", "/status", headers={KEY: "other"})).code == 200


class Heard(list[dict[str, Any]]):
    """Requests, and an event for the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.something = asyncio.Event()

    def append(self, request: dict[str, Any]) -> None:
        super().append(request)
        self.something.set()


async def test_a_request_with_the_header_is_sent_again(api: Any, manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "FIRST_ATTEMPT", 0.1)
    monkeypatch.setattr(requests_module, "PATIENCE", 15.0)
    manager.silent = True
    manager.requests = heard = Heard()
    waiting = asyncio.ensure_future(api("POST", "/queue/item/add", {"item": STOP}, headers={KEY: "r"}))
    async with asyncio.timeout(15):
        await heard.something.wait()
    manager.silent = False
    assert json.loads((await waiting).body)["success"]
    assert heard[0] == heard[1]


def served() -> list[str]:
    return [name for name, method in methods().items() if method.kind == "write" and name not in NOT_SERVED]


@pytest.mark.parametrize("name", served())
def test_every_writing_route_takes_it(name: str) -> None:
    method = methods()[name]
    bodies = {
        "queue_autostart": {"enable": True},
        "queue_item_update": {"item": {}},
        "lock": {"lock_key": "k"},
        "unlock": {"lock_key": "k"},
    }
    body = bodies.get(name, {})
    by_header = json.loads(make_request(method, json.dumps(body).encode(), ME, request_id="r"))["params"]
    assert (by_header["request_id"], by_header["request_user"]) == ("r", "me")
    if name not in IGNORE_BODY:
        assert json.loads(make_request(method, json.dumps({**body, "request_id": "r"}).encode(), ME))["params"] == by_header


def test_the_mode_does_not_swallow_it() -> None:
    frame = json.loads(make_request(methods()["queue_mode_set"], b'{"loop": true, "request_id": "r"}', ME))
    assert frame["params"] == {"mode": {"loop": True}, "request_id": "r", "request_user": "me"}


@pytest.mark.parametrize(
    ("value", "found"), [(None, None), ("a", "a"), ('"a"', "a"), (" a ", "a"), ("", ""), ('"', '"'), ('""', "")]
)
def test_the_header(value: str | None, found: str | None) -> None:
    assert header_id(value) == found
