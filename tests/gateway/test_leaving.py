"""The end of a Jupyter server: when it ends the manager, and for whom it leaves it alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_manager import FakeManager

from jupyter_queueserver.gateway import extension as extension_module
from jupyter_queueserver.gateway.attendance import Attendance
from jupyter_queueserver.gateway.extension import QueueServerExtension
from jupyter_queueserver.instance import Instance, Runtime, identity_of, write_runtime

LIMIT = 60.0


@pytest.fixture
def jp_server_config(manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A server that finds a manager in its data directory: this process."""
    monkeypatch.setattr(extension_module, "_END_LIMIT", 0.01)  # this process does not end
    place = manager.instance
    control, events = place.control_address, place.events_address
    runtime = Runtime(epoch="e", manager=identity_of(), version="0", started=0.0, control_address=control, events_address=events)
    write_runtime(place, runtime)
    return {
        "ServerApp": {"jpserver_extensions": {"jupyter_queueserver": True, "jupyter_server_terminals": False}},
        "QueueServerExtension": {"data_dir": str(place.data_dir), "end_manager": "always"},
    }


@pytest.fixture
def other() -> Iterator[int]:
    """Pid of a process that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def note_of(instance: Instance, pid: int) -> Path:
    path = instance.data_dir / "gateways" / f"{pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(identity_of(pid)))
    return path


def test_the_dead_and_the_unreadable_are_forgotten(instance: Instance, other: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = note_of(instance, process.pid)
    process.communicate()
    living, unreadable = note_of(instance, other), dead.with_name("7.json")
    unreadable.write_text("{")
    Attendance(instance).note()
    assert len(list(living.parent.iterdir())) == 4
    assert Attendance(instance).withdraw() == [other]
    assert list(living.parent.iterdir()) == [living]


async def attached(extension: QueueServerExtension) -> None:
    async with asyncio.timeout(LIMIT):
        while extension.keeper is None or extension.keeper.reason:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.005)


def stops(manager: FakeManager) -> list[str]:
    return [request["params"]["option"] for request in manager.requests if request["method"] == "manager_stop"]


async def test_the_manager_stays_for_another_server(extension: QueueServerExtension, manager: FakeManager, other: int) -> None:
    await attached(extension)
    path = note_of(manager.instance, other)
    assert len(list(path.parent.iterdir())) == 2
    await extension.stop_extension()
    assert stops(manager) == []
    assert list(path.parent.iterdir()) == [path]


async def test_the_last_server_ends_it(extension: QueueServerExtension, manager: FakeManager) -> None:
    await attached(extension)
    await extension.stop_extension()
    assert stops(manager) == ["safe_on"]


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        ({"manager_state": "creating_environment", "running_item_uid": None}, ["safe_on", "safe_off"]),
        ({"manager_state": "closing_environment", "running_item_uid": None}, ["safe_on", "safe_off"]),
        ({"manager_state": "creating_environment", "running_item_uid": "u"}, ["safe_on"]),
        ({"manager_state": "executing_queue", "running_item_uid": None}, ["safe_on"]),
        ({"manager_state": "executing_task", "running_item_uid": None}, ["safe_on"]),
    ],
)
async def test_an_environment_that_opens_or_closes_ends_too(
    extension: QueueServerExtension, manager: FakeManager, monkeypatch: pytest.MonkeyPatch, status: Any, asked: list[str]
) -> None:
    await attached(extension)

    def answer(request: dict[str, Any]) -> bytes:
        if request["method"] == "status":
            return json.dumps(status).encode()
        return json.dumps({"success": request["params"]["option"] == "safe_off", "msg": "not idle"}).encode()

    monkeypatch.setattr(manager, "answer", answer)
    await extension.stop_extension()
    assert stops(manager) == asked
