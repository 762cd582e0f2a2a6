"""The manager dies between the commit of a request and its answer: a retry at the next one is answered, nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from harness import PATIENCE, Server, until, wait_dead

from jupyter_queueserver.client import Client
from jupyter_queueserver.instance import write_private
from jupyter_queueserver.manager.faultpoints import VARIABLE

ITEM = {"item_type": "instruction", "name": "queue_stop"}
BATCH = {"items": [ITEM] * 50, "user": "me", "user_group": "primary"}


@pytest.fixture
def doomed(new_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server whose managers die when they are told to by `strike`; it has no environment."""
    server = new_server()
    monkeypatch.setenv(VARIABLE, str(server.instance.data_dir / "faults.json"))
    server.start()
    return server


def strike(server: Server, point: str) -> int:
    """Let the manager die when it reaches that point with the record of a request; returns its pid."""
    fault = {"point": point, "about": "RequestRecorded", "action": "kill"}
    write_private(server.instance.data_dir / "faults.json", json.dumps([fault]).encode())
    return server.manager


def dies_at(server: Server, point: str, method: str, params: dict[str, Any]) -> None:
    """Send a request of which no answer comes, because the manager dies at that point; return when there is another manager."""
    manager = strike(server, point)
    request = json.dumps({"method": method, "params": params}).encode()
    with server.socket() as socket:
        socket.send(request)
        wait_dead(manager)
    until(lambda: server.manager != manager, "the next manager", 2 * PATIENCE)


@pytest.mark.parametrize(("point", "was_done"), [("commit", False), ("committed", True), ("published", True)])
def test_a_batch_is_added_once(doomed: Server, point: str, was_done: bool) -> None:
    params = BATCH | {"request_id": f"batch {point}"}
    dies_at(doomed, point, "queue_item_add_batch", params)
    before = doomed.ok("queue_get")["items"]
    assert len(before) == (50 if was_done else 0)
    first = doomed.ok("queue_item_add_batch", **params)
    assert doomed.ok("queue_item_add_batch", **params) == first
    after = doomed.ok("queue_get")["items"]
    assert after == first["items"]
    assert not was_done or after == before
    reused = doomed.refused("queue_item_add", item=ITEM, user="me", user_group="primary", request_id=f"batch {point}")
    assert reused["error"]["code"] == "request_id_reused"


def test_the_client_does_not_even_notice(doomed: Server) -> None:
    """It sends the request again by itself, to the manager that comes next."""
    manager = strike(doomed, "committed")
    with Client(instance=doomed.instance, timeout=2 * PATIENCE) as client:
        reply = client.queue_item_add_batch(BATCH["items"])  # type: ignore[arg-type]
    assert doomed.manager != manager
    assert doomed.ok("queue_get")["items"] == reply["items"]
    assert len(reply["items"]) == 50
