"""`manager_kill` over every way in: no answer, and another manager that goes on where the first was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from line_real import ClientLine, HttpLine, RealLine, TalkServer, ZmqLine
from shown import Record, note_one

from jupyter_queueserver.client import RequestTimeout

pytestmark = [pytest.mark.long, pytest.mark.timeout(90)]


def kill_over_zmq(line: RealLine) -> None:
    assert isinstance(line, ZmqLine)
    assert line.send(line.encode({"method": "manager_kill"}), limit=1.0) is None


def kill_over_http(line: RealLine) -> None:
    reply = line.exchange("manager_kill", {})
    assert reply["http_status"] == 408
    assert reply["detail"].startswith("Request timeout: ")


def kill_by_client(line: RealLine) -> None:
    with pytest.raises(RequestTimeout):
        line.exchange("manager_kill", {})


WAYS: dict[str, tuple[Callable[[TalkServer], RealLine], Callable[[RealLine], None]]] = {
    "0MQ": (ZmqLine, kill_over_zmq),
    "REST": (lambda server: HttpLine(server, server.serve_http()), kill_over_http),
    "client": (ClientLine, kill_by_client),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_manager_is_replaced(way: str, record_property: Record) -> None:
    connect, kill = WAYS[way]
    server = TalkServer()
    try:
        server.start()
        line = connect(server)
        line.reset()
        uid, old, worker = line.add("quick"), server.manager, server.worker
        kill(line)
        server.wait_new_manager(old, 30.0)
        assert line.queue() == [uid]
        status = line.status()
        assert (status["manager_state"], status["worker_environment_exists"]) == ("idle", True)
        assert server.worker == worker
        line.ok("queue_start")
        line.idle()
        assert line.results() == [(uid, "completed")]
        note_one(record_property, line.way, "manager_kill", done=True)
        line.close()
    finally:
        server.end()
