"""The short form of what `test_foreign_api`, `test_foreign_qserver` show at length: existing clients work unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from foreign_stage import ForeignServer, OldQserver, converse, foreign_server


@pytest.fixture(scope="module")
def server() -> Iterator[ForeignServer]:
    """A manager with a Jupyter server."""
    with foreign_server() as started:
        started.serve_http()
        yield started


@pytest.mark.parametrize(("protocol", "style"), [("zmq", "blocking"), ("http", "asyncio")])
def test_api_package_opens_adds_runs_and_reads(server: ForeignServer, protocol: str, style: str) -> None:
    report = converse(server, protocol, style, 60.0, chapters=["core"])
    assert report["chapters"] == {"core": ""}, report["chapters"]["core"]


def test_old_command_reads_and_adds(server: ForeignServer) -> None:
    qserver = OldQserver(server)
    assert qserver("status")["manager_state"] == "idle"
    before = qserver("queue", "get")["items"]
    added = qserver("queue", "add", "plan", "{'name': 'count', 'args': [['det']]}")
    assert added["qsize"] == len(before) + 1
    assert added["item"]["user"] == "qserver-cli"
    assert qserver("queue", "item", "remove", added["item"]["item_uid"])["success"]
