"""`FakeWorker` has the surface of `WorkerLink` and keeps its promises."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from jupyter_queueserver.core.errors import WorkerRefused
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.reports import EnvironmentFailed, ItemEnded, ItemPaused, Report, TaskEnded
from jupyter_queueserver.core.tasks import Task
from jupyter_queueserver.link.errors import WorkerUnreachable
from jupyter_queueserver.link.messages import StartReply
from jupyter_queueserver.link.worker import WorkerLink
from jupyter_queueserver.testing import FakePlan, FakeTask, FakeWorker


def item(uid: str, name: str = "count") -> Item:
    return Item({"item_uid": uid, "item_type": "plan", "name": name})


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def endings(reports: list[Report]) -> list[tuple[str, str]]:
    return [(report.item_uid, report.ending) for report in reports if isinstance(report, ItemEnded)]


def test_the_fake_has_the_same_requests_as_the_link() -> None:
    made_otherwise = {"launch", "adopt"}
    methods = {name: method for name, method in inspect.getmembers(WorkerLink, inspect.isfunction) if not name.startswith("_")}
    assert {"start", "withdraw", "pause", "continue_", "ack", "close", "kill"} <= set(methods)
    for name, method in methods.items():
        if name in made_otherwise:
            continue
        fake = inspect.signature(getattr(FakeWorker, name))
        assert list(fake.parameters) == list(inspect.signature(method).parameters), name
    needs_a_process = {"connection_info"}
    found = {name for name, _ in inspect.getmembers(WorkerLink, lambda member: isinstance(member, property))}
    properties = found - needs_a_process

    async def scenario() -> None:
        worker = FakeWorker()
        assert [name for name in properties if not hasattr(worker, name)] == []

    asyncio.run(scenario())


def test_items_run_once_pause_and_end() -> None:
    async def scenario() -> None:
        worker = FakeWorker(script={"long": FakePlan(seconds=None), "bad": FakePlan(error="no beam")})
        await worker.hello(1)
        assert await worker.start(item("a"), 1) == StartReply(accepted=True, fate="accepted")
        await settle()
        assert await worker.start(item("a"), 1) == StartReply(accepted=False, fate="ended")
        await worker.start(item("b", "bad"), 1)
        await settle()
        await worker.start(item("c", "long"), 1)
        await settle()
        with pytest.raises(WorkerRefused, match="Another item"):
            await worker.start(item("d"), 1)
        await worker.pause(False, 1)
        await settle()
        assert isinstance(worker.reports[-1], ItemPaused)
        await worker.continue_("abort", 1)
        await settle()
        assert endings(worker.reports) == [("a", "completed"), ("b", "failed"), ("c", "aborted")]
        assert worker.started == ["a", "b", "c"]
        assert [n for n, _ in worker.reports_since(3)] == list(range(4, len(worker.reports) + 1))

    asyncio.run(scenario())


def test_it_dies_refuses_and_falls_silent_when_told() -> None:
    async def scenario() -> None:
        worker = FakeWorker()
        await worker.hello(5)
        worker.refuse("start", "Not now.", "busy")
        with pytest.raises(WorkerRefused) as caught:
            await worker.start(item("a"), 5)
        assert caught.value.code == "busy"
        with pytest.raises(WorkerRefused) as caught:
            await worker.start(item("a"), 4)
        assert caught.value.code == "older_fence"
        worker.set_unreachable()
        with pytest.raises(WorkerUnreachable):
            await worker.status()
        worker.set_unreachable(False)
        worker.hold_items = True
        await worker.start(item("a"), 5)
        await worker.withdraw("a", 5)
        worker.die()
        assert await worker.died == "The worker process was killed by signal 9 (SIGKILL)."
        with pytest.raises(WorkerUnreachable):
            await worker.status()
        assert worker.started == []

    asyncio.run(scenario())


def test_startup_code_that_fails_ends_the_fake() -> None:
    async def scenario() -> None:
        rings: list[Any] = []
        worker = FakeWorker(failure="no such motor", ring=lambda: rings.append(1))
        assert await worker.died == "The worker process ended with exit code 3."
        assert isinstance(worker.reports[0], EnvironmentFailed)
        assert rings == [1]

    asyncio.run(scenario())


def a_task(uid: str, background: bool = False, name: str = "") -> Task:
    if name:
        return Task(task_uid=uid, kind="function", background=background, time_start=1.0, payload=f'{{"name": "{name}"}}')
    return Task(task_uid=uid, kind="script", background=background, time_start=1.0, payload='{"script": ""}')


def test_fake_tasks_are_done_once_and_foreground_ones_hold_the_main_thread() -> None:
    async def scenario() -> None:
        worker = FakeWorker(tasks={"script": FakeTask(seconds=None), "gives": FakeTask(value=(1, 2))})
        await settle()
        assert (await worker.start_task(a_task("t1"), 1)).accepted
        assert not (await worker.start_task(a_task("t1"), 1)).accepted
        for refused in (worker.start(item("a"), 1), worker.start_task(a_task("t2"), 1), worker.close(1)):
            with pytest.raises(WorkerRefused) as refusal:
                await refused
            assert refusal.value.code == "busy"
        await worker.start_task(a_task("t3", background=True, name="gives"), 1)
        await settle()
        assert (await worker.status()).tasks == ("t1",)
        with pytest.raises(WorkerRefused):
            await worker.interrupt(1, plan=True, task=False)
        await worker.interrupt(1, plan=False, task=True)
        await settle()
        ended = [report for report in worker.reports if isinstance(report, TaskEnded)]
        assert [(report.task_uid, report.success, report.return_value) for report in ended] == [
            ("t3", True, "[1,2]"),
            ("t1", False, None),
        ]
        assert worker.started == ["t1", "t3"]
        worker.metadata_values = {"a": {"b": 1, "c": 2}}
        assert await worker.metadata(("/a/b",)) == '{"a":{"b":1}}'

    asyncio.run(scenario())
