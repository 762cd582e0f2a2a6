"""Bad input over the real socket: refused in the forms of the interface, nothing changed, nobody else is held up."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from harness import Server, until

from jupyter_queueserver.core.codec import from_json

MB = 1024 * 1024


def item(**fields: Any) -> dict[str, Any]:
    """Parameters that add a plan."""
    return {"item": {"item_type": "plan", "name": "brief", **fields}, "user": "tester", "user_group": "primary"}


def state_of(server: Server) -> list[Any]:
    """All that a refusal must leave as it is."""
    return [server.status(), server.call("queue_get"), server.call("history_get")]


@pytest.mark.parametrize(
    ("request_text", "words"),
    [
        (b'{"method": "status"', "Failed to decode the request"),
        (b"", "Failed to decode the request"),
        (b"\xff\xfe\x00", "Failed to decode the request"),
        (b'"status"', "Failed to decode the request"),
        (b"[" * 100_000, "Failed to decode the request"),
        (b"[1, 2]", "Incorrect request type: list. Dictionary is expected"),
        (b"null", "Incorrect request type: NoneType"),
        (b'{"params": {}}', "method is not specified"),
        (b'{"method": "status", "parameters": {}}', "unexpected keys ['parameters']"),
        (b'{"method": "open_sesame"}', "Unknown method 'open_sesame'"),
        (b'{"method": 7}', "Unknown method 7"),
        (b'{"method": ["status"]}', "Unknown method"),
    ],
)
def test_broken_envelopes(server: Server, request_text: bytes, words: str) -> None:
    before = state_of(server)
    reply = from_json(server.send(request_text))
    assert sorted(reply) == ["msg", "success"]
    assert reply["success"] is False
    assert words in reply["msg"]
    assert state_of(server) == before


def test_several_frames(server: Server) -> None:
    reply = from_json(server.send(b'{"method": "queue_clear"}', b'{"method": "status"}'))
    assert reply["success"] is False
    assert "several frames" in reply["msg"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("queue_item_add", {}),
        ("queue_item_add", item(name="no_such_plan")),
        ("queue_item_add", item(kwargs={"trace": "x", "surplus": 1})),
        ("queue_item_add", item(kwargs={})),
        ("queue_item_add", item(kwargs={"trace": 5})),
        ("queue_item_add", item(kwargs=[1])),
        ("queue_item_add", item(item_type="poem")),
        ("queue_item_add", item(kwargs={"trace": "x"}) | {"pos": "sideways"}),
        ("queue_item_add", item(kwargs={"trace": "x"}) | {"before_uid": "nobody"}),
        ("queue_item_add", item(kwargs={"trace": "x"}) | {"user_group": "strangers"}),
        ("queue_item_add", {"item": "brief", "user": "tester", "user_group": "primary"}),
        ("queue_item_add_batch", {"items": [item()["item"], 5], "user": "tester", "user_group": "primary"}),
        ("queue_item_get", {"pos": 3}),
        ("queue_item_get", {"uid": "nobody"}),
        ("queue_item_remove", {"uid": "nobody"}),
        ("queue_item_remove", {"pos": -100}),
        ("queue_item_move", {"pos": 0, "pos_dest": 5}),
        ("queue_item_move", {"uid": "nobody", "pos_dest": "front"}),
        ("queue_clear", {"surplus": 1}),
        ("queue_start", {"lock_key": 5}),
        ("re_pause", {"option": "now"}),
        ("re_runs", {"option": "lost"}),
        ("manager_stop", {"option": "gently"}),
        ("queue_start", None),
        ("queue_get", [1]),
    ],
)
def test_refused_requests(server: Server, method: str, params: Any) -> None:
    before = state_of(server)
    reply = from_json(server.send(json.dumps({"method": method, "params": params}).encode()))
    assert reply["success"] is False
    assert reply["msg"]
    assert reply["error"]["code"]
    assert reply["error"]["hint"]
    assert state_of(server) == before


@pytest.mark.parametrize(("position", "place"), [(10**30, -1), (-(10**30), 0)])
def test_absurd_positions_mean_the_nearest(server: Server, position: int, place: int) -> None:
    for _ in range(2):
        server.add("brief", trace="x")
    added = server.ok("queue_item_add", **item(kwargs={"trace": "x"}), pos=position)["item"]
    queue = server.queue()
    assert len(queue) == 3
    assert queue[place]["item_uid"] == added["item_uid"]


def test_silly_subscriptions_are_ignored(server: Server) -> None:
    """Who sends nonsense to the event stream gets nothing; the others go on."""
    with server.raw_events() as stranger:
        for nonsense in (b"", b"{", b"[" * 60_000, b'{"subscribe": {"since": "x"}}', b'{"subscribe": 5}'):
            stranger.send(nonsense)
        server.ok("history_clear")
        assert server.status()
        server.events.next(time.monotonic() + 5.0)
        stranger.send(b'{"subscribe": {"topics": ["state"]}}')
        assert stranger.poll(60_000)
        assert from_json(stranger.recv())["kind"] == "snapshot"


def test_half_a_surrogate_pair_in_words_for_people(server: Server) -> None:
    """A byte of another encoding in a shell, half of an emoji: in a lock, and as the user; snapshots and changes go out."""
    manager = server.manager
    half = "caf\udce9 \ud83d"
    with server.raw_events() as first:
        first.send(b'{"subscribe": {"topics": ["state"]}}')
        assert first.poll(15_000)
        before = from_json(first.recv())
        server.ok("lock", queue=True, lock_key="k", note=half, user=half)
        item = {"item_type": "instruction", "name": "queue_stop"}
        added = server.ok("queue_item_add", item=item, user=half, user_group="primary", lock_key="k")["item"]["item_uid"]
        while (message := from_json(first.recv()))["seq"] < before["seq"] + 2:
            assert first.poll(15_000)
        assert half in message["users"].values()
    with server.raw_events() as second:
        second.send(b'{"subscribe": {"topics": ["state"]}}')
        assert second.poll(15_000)
        shown = from_json(second.recv())
        assert shown["kind"] == "snapshot"
        assert "caf" in str(shown)  # the note of the lock
    with server.raw_events() as third:
        want = {"topics": ["state"], "epoch": before["epoch"], "since": before["seq"]}
        third.send(json.dumps({"subscribe": want}).encode())
        assert third.poll(15_000)
        missed = from_json(third.recv())
        assert missed["kind"] == "changes"
        assert half in missed["users"].values()
    server.ok("queue_item_remove", uid=added, lock_key="k")
    server.ok("unlock", lock_key="k")
    assert server.manager == manager


def test_a_hundred_megabytes(server: Server) -> None:
    """Refused by its size, without parsing; others are served meanwhile."""
    answers: list[bytes] = []
    body = b'{"method": "queue_item_add", "params": {"item": "' + b"x" * (100 * MB) + b'"}}'
    sender = threading.Thread(target=lambda: answers.append(server.send(body)))
    before = server.status()
    sender.start()
    while sender.is_alive():
        assert server.status() == before
    sender.join()
    reply = from_json(answers[0])
    assert reply["success"] is False
    assert reply["error"]["code"] == "too_large"


def test_beyond_the_limit_the_connection_is_closed(server: Server) -> None:
    """More than 256 MB: no answer, this connection is closed; manager, queue and other connections live on."""
    manager = server.manager
    with server.monitored_socket() as (socket, closed):
        socket.send(memoryview(bytearray(257 * MB)), copy=False)
        until(closed, "the connection to be closed")
        assert socket.poll(0) == 0
    assert server.status()["manager_state"] == "idle"
    assert server.manager == manager


@pytest.mark.parametrize(("size", "code"), [(63 * MB, "too_large"), (16 * MB - 1000, "too_large"), (299_000, "item_invalid")])
def test_a_request_of_empty_lists(server: Server, size: int, code: str) -> None:
    """Millions of containers are refused without parsing; as many as are read delay nobody; the manager stays the same."""
    manager = server.manager
    answers: list[bytes] = []
    lists = b"[]," * (size // 3)
    body = b'{"method": "queue_item_add", "params": {"item": {"item_type": "plan", "name": "brief", "kwargs": {"trace": ['
    body += lists + b'0]}}, "user": "tester", "user_group": "primary"}}'
    sender = threading.Thread(target=lambda: answers.append(server.send(body)))
    sender.start()
    while sender.is_alive():
        assert server.status()["manager_state"] == "idle"
    sender.join()
    assert from_json(answers[0])["error"]["code"] == code
    assert server.status()
    assert server.manager == manager
