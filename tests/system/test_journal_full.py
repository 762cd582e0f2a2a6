"""The disk of the document journal takes nothing more: the plan goes on, everybody is told, and by setting the queue stops.

A limit of the worker's process on the size of its files is the full disk: a write beyond it fails just so.  What is small (its
reports, its console) still fits, as on a disk of their own.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import closing

import pytest
from harness import STARTUP, Server

from jupyter_queueserver.documents.run_search import run_documents

#: Size that no file of the worker may exceed while the disk is full, bytes.
FULL = 64 << 10


@pytest.mark.parametrize("stop_on_alarm", [False, True], ids=["queue-goes-on", "queue-stops"])
def test_plan_goes_on_without_its_documents(new_server: Callable[..., Server], stop_on_alarm: bool) -> None:
    options = ["--stop-on-alarm", "ON"] if stop_on_alarm else []
    server = new_server("--startup-dir", str(STARTUP), "--saver", "none", *options)
    server.start()
    server.open()
    unlimited = resource.prlimit(server.worker, resource.RLIMIT_FSIZE, (FULL, resource.RLIM_INFINITY))
    server.add("weigh", size=2 * FULL)
    server.add("weigh", size=10)
    server.ok("queue_start")
    status = server.wait_state("idle")
    assert "event" in status["environment_alarm"], status["environment_alarm"]
    assert "File too large" in status["environment_alarm"]
    assert status["items_in_queue"] == (1 if stop_on_alarm else 0)

    resource.prlimit(server.worker, resource.RLIMIT_FSIZE, unlimited)
    if stop_on_alarm:
        server.ok("queue_start")
        server.wait_for(lambda status: status["manager_state"] == "idle" and not status["items_in_queue"], "the second plan")
    server.add("weigh", size=2 * FULL)
    server.ok("queue_start")
    server.wait_for(lambda status: status["items_in_history"] == 3 and status["manager_state"] == "idle", "the third plan")
    history = server.history()
    assert [item["result"]["exit_status"] for item in history] == ["completed"] * 3
    uids = [item["result"]["run_uids"][0] for item in history]
    assert names_of(server, uids[0]) == ["start", "descriptor", "stop"], "only what was too much is missing"
    for uid in uids[1:]:
        assert names_of(server, uid) == ["start", "descriptor", "event", "stop"]
    server.stop()


def names_of(server: Server, run_uid: str) -> list[str]:
    """What the journal holds of a run."""
    with closing(run_documents(server.instance.journal, run_uid)) as documents:
        return [name for name, _ in documents]
