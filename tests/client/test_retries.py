"""Both clients repeat a request without answer under the same id, and get along with servers that take none."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from jupyter_queueserver.api import methods
from jupyter_queueserver.client import AsyncClient, Client, RequestFailed, RequestTimeout, retries
from jupyter_queueserver.client.retries import RequestIds, attempts
from jupyter_queueserver.core import codec

STOP_ITEM = {"item_type": "instruction", "name": "queue_stop"}
LIMIT = 60.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_ATTEMPT", 0.1)


def blocking(place: Any, method: str, **params: Any) -> dict[str, Any]:
    with Client(instance=place, timeout=LIMIT) as client:
        return client.request(method, **params)


def asynchronous(place: Any, method: str, **params: Any) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        async with AsyncClient(instance=place, timeout=LIMIT) as client:
            return await client.request(method, **params)

    return asyncio.run(main())


EITHER = pytest.mark.parametrize("ask", [blocking, asynchronous])
Ask = Callable[..., dict[str, Any]]


class Deaf:
    """Lets the first requests go unanswered, and keeps what they were."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self.heard: list[dict[str, Any]] = []
        manager.do(lambda: setattr(manager, "silent", True))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        self.heard.append(codec.from_json(self._manager.unanswered.get(timeout=LIMIT)))
        self._manager.do(lambda: setattr(self._manager, "silent", False))

    def join(self) -> None:
        self._thread.join(LIMIT)


@EITHER
def test_a_request_without_answer_comes_again_under_the_same_id(manager: Any, place: Any, ask: Ask) -> None:
    deaf = Deaf(manager)
    assert ask(place, "queue_item_add", item=STOP_ITEM)["qsize"] == 1
    deaf.join()
    assert deaf.heard[0] == manager.requests[-1]
    assert len(manager.requests[-1]["params"]["request_id"]) == 36


@EITHER
def test_a_reading_request_comes_again_without_id(manager: Any, place: Any, ask: Ask) -> None:
    deaf = Deaf(manager)
    assert ask(place, "queue_get")["items"] == []
    deaf.join()
    assert "request_id" not in manager.requests[-1]["params"]


def test_raw_calls_are_repeated_only_if_that_does_no_harm(manager: Any, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_ATTEMPT", 0.5)  # two attempts, with room for a machine that is busy
    manager.do(lambda: setattr(manager, "silent", True))
    with Client(instance=place, timeout=1.5) as client:
        for method, params in (("queue_clear", {}), ("no_such_method", {}), ("queue_clear", {"request_id": "r"})):
            with pytest.raises(RequestTimeout):
                client.call_raw(method, params)
    sent = [codec.from_json(manager.unanswered.get(timeout=LIMIT)) for _ in range(4)]
    assert [(each["method"], each["params"]) for each in sent] == [
        ("queue_clear", {}),
        ("no_such_method", {}),
        ("queue_clear", {"request_id": "r"}),
        ("queue_clear", {"request_id": "r"}),
    ]
    assert manager.unanswered.empty()


def test_a_timeout_names_the_id_with_which_the_request_is_safe_to_repeat(manager: Any, place: Any) -> None:
    manager.do(lambda: setattr(manager, "silent", True))
    with Client(instance=place, timeout=0.1) as client:
        with pytest.raises(RequestTimeout, match=r"request_id='.{36}' \(qserver: --request-id\)") as caught:
            client.queue_clear()
        with pytest.raises(RequestTimeout) as reading:
            client.status()
        assert reading.value.request_id is None
        assert "request_id" not in str(reading.value)
        manager.do(lambda: setattr(manager, "silent", False))
        client.timeout = LIMIT
        client.queue_clear(request_id=caught.value.request_id)
    assert manager.requests[-1]["params"] == {"request_id": caught.value.request_id}


def test_an_id_of_the_caller_is_used(manager: Any, place: Any) -> None:
    assert blocking(place, "queue_clear", request_id="mine")["success"]
    assert manager.requests[-1]["params"] == {"request_id": "mine"}


OLD = {
    "success": False,
    "msg": "Error: API request contains unsupported parameters: 'request_id'. Supported parameters: ['lock_key']",
}
FULL = {"success": False, "msg": "No room.", "error": {"code": "too_many_request_ids", "hint": "h", "path": "request_id"}}


@EITHER
@pytest.mark.parametrize("refusal", [OLD, FULL], ids=["older server", "no room"])
def test_a_server_that_takes_no_id_is_asked_without(
    manager: Any, place: Any, ask: Ask, refusal: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = manager._answer

    def refuse_ids(body: bytes) -> bytes:
        has_id = "request_id" in codec.from_json(body)["params"]
        return codec.to_json(refusal) if has_id else answer(body)

    monkeypatch.setattr(manager, "_answer", refuse_ids)
    assert ask(place, "queue_item_add", item=STOP_ITEM)["qsize"] == 1
    assert len(manager.requests) == 1
    with pytest.raises(RequestFailed):  # one that the caller gave is not taken away from him
        ask(place, "queue_item_add", item=STOP_ITEM, request_id="mine")


def test_that_there_is_no_room_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    ids = RequestIds()
    for refusal in (OLD, FULL, FULL):
        assert ids.are_refused(refusal)
    (line,) = caplog.records
    assert "No room." in line.getMessage()


@EITHER
def test_a_late_answer_to_the_first_sending_counts(ask: Ask) -> None:
    """A slow manager that answers the first of two after both have come is not taken for one that does not answer."""
    with tempfile.TemporaryDirectory(prefix="jqs-", dir="/tmp") as folder, zmq.Context() as context:
        address = f"ipc://{folder}/slow"

        def answer_the_first() -> None:
            with context.socket(zmq.ROUTER) as socket:
                socket.bind(address)
                peer, empty, request = socket.recv_multipart()
                assert socket.recv_multipart()[2] == request
                socket.send_multipart([peer, empty, b'{"success": true, "msg": "late"}'])
                socket.poll(int(LIMIT * 1000))  # until the test is over: who asked once more must not be answered

        thread = threading.Thread(target=answer_the_first, daemon=True)
        thread.start()
        if ask is blocking:
            with Client(address, timeout=LIMIT) as client:
                assert client.call("queue_get")["msg"] == "late"
        else:

            async def main() -> None:
                async with AsyncClient(address, timeout=LIMIT) as client:
                    assert (await client.call("queue_get"))["msg"] == "late"

            asyncio.run(main())
        with zmq.Context() as other, other.socket(zmq.DEALER) as last:
            last.connect(address)
            last.send(b"the test is over")
            thread.join(LIMIT)
        assert not thread.is_alive()


def test_ids_are_left_out_for_a_while_after_a_refusal() -> None:
    now = [0.0]
    ids = RequestIds(lambda: now[0])
    assert ids.fresh("queue_clear", {}) != ids.fresh("queue_clear", {})
    assert ids.fresh("queue_get", {}) == ids.fresh("no_such_method", {}) == ids.fresh("queue_clear", {"request_id": "r"}) == {}
    assert not ids.are_refused({"success": True, "msg": ""})
    assert not ids.are_refused({"success": False, "msg": "unsupported parameters: 'x'. Supported parameters: 'request_id'"})
    assert ids.fresh("queue_clear", {})
    assert ids.are_refused(FULL)
    now[0] = 59.0
    assert ids.fresh("queue_clear", {}) == {}
    now[0] = 61.0
    assert ids.fresh("queue_clear", {})


def test_every_writing_method_that_is_answered_gets_an_id() -> None:
    ids = RequestIds()
    got = {name for name in methods() if ids.fresh(name, {})}
    assert got == {name for name, method in methods().items() if method.kind == "write"} - {"manager_kill"}


@pytest.mark.parametrize("limit", [0.05, 0.14, 2.0, 60.0])
def test_all_attempts_together_take_the_time_that_was_given(limit: float) -> None:
    waits = list(attempts(limit, 1000, repeatable=True))
    assert sum(waits) == pytest.approx(limit)
    assert all(wait > 0 for wait in waits)
    assert len(waits) < 12
    assert list(attempts(limit, 1000, repeatable=False)) == [limit]
