"""The small parts around Tiled, without a server: batch gate, write guard, activity, embedded server's life."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from jupyter_queueserver.documents.embedded import INFO_NAME, Server, ServerInfo, ServerNotStarted, read_server, stop_server
from jupyter_queueserver.documents.run_index import RunIndex
from jupyter_queueserver.documents.tiled_saver import FlushGate
from jupyter_queueserver.documents.tiled_server import Activity
from jupyter_queueserver.documents.write_guard import WriteFailed, WriteGuard
from jupyter_queueserver.instance import identity_of


def test_the_gate_is_a_batch_size_that_is_reached_when_we_say_so() -> None:
    gate = FlushGate(10)
    rows = 3
    assert not rows >= gate  # as TiledWriter asks
    assert gate <= 10
    gate.open = True
    assert rows >= gate
    assert gate <= 1


def client_of(answer: Any) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://tiled")


def test_no_second_write_after_a_write_without_answer() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if request.method == "PATCH":
            raise httpx.ReadTimeout("no answer", request=request)
        return httpx.Response(200)

    with client_of(answer) as client:
        WriteGuard(client)
        client.post("/")
        client.put("/")
        with pytest.raises(httpx.ReadTimeout):
            client.patch("/")
        with pytest.raises(WriteFailed) as caught:
            client.patch("/")
        assert caught.value.status is None
        client.get("/")  # reading is allowed
    assert asked == ["POST", "PUT", "PATCH", "GET"]


def test_no_second_write_after_a_server_error_but_after_a_refusal() -> None:
    statuses = iter([409, 500])
    with client_of(lambda request: httpx.Response(next(statuses))) as client:
        WriteGuard(client)
        assert client.post("/").status_code == 409
        assert client.post("/").status_code == 500
        with pytest.raises(WriteFailed) as caught:
            client.post("/")
        assert caught.value.status == 500


def test_activity_counts_requests_under_way_and_past() -> None:
    now = 100.0
    seen: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal now
        now += 50.0
        seen.append(activity.idle_seconds())

    activity = Activity(app, clock=lambda: now)
    now += 7.0
    assert activity.idle_seconds() == 7.0
    asyncio.run(activity({"type": "http"}, None, None))
    assert seen == [0.0]
    now += 3.0
    assert activity.idle_seconds() == 3.0
    asyncio.run(activity({"type": "lifespan"}, None, None))
    assert seen[1] == 53.0  # the life cycle is no use


def test_a_server_of_a_dead_process_is_no_server(tmp_path: Path) -> None:
    alive = ServerInfo("http://127.0.0.1:1", "key", identity_of())
    (tmp_path / INFO_NAME).write_bytes(msgspec.json.encode(alive))
    assert read_server(tmp_path) == alive
    dead = msgspec.structs.replace(alive, identity=msgspec.structs.replace(identity_of(), started=1))
    (tmp_path / INFO_NAME).write_bytes(msgspec.json.encode(dead))
    assert read_server(tmp_path) is None
    assert not stop_server(tmp_path)


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ServerNotStarted, match="ended at its start"):
        Server(tmp_path / "databroker").ensure(timeout=10)
    assert os.listdir(tmp_path / "databroker") == ["server.log"]


def test_giving_up_ends_the_wait_and_starts_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path / "databroker")
    server.end()
    with pytest.raises(ServerNotStarted, match="given up"):
        server.ensure()
    assert not (tmp_path / "databroker").exists()


def test_documents_find_their_run() -> None:
    index = RunIndex()
    assert index.run_of("start", {"uid": "r"}) == "r"
    assert index.run_of("descriptor", {"uid": "d", "run_start": "r"}) == "r"
    assert index.run_of("resource", {"uid": "f", "run_start": "r"}) == "r"
    assert index.run_of("event", {"descriptor": "d"}) == "r"
    assert index.run_of("datum", {"resource": "f"}) == "r"
    assert index.run_of("stop", {"run_start": "r"}) == "r"
    index.drop("r")
    assert index.run_of("event", {"descriptor": "d"}) is None
