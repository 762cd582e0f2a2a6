"""Tasks on their way to the worker: handed over until it answers, dropped with a sentence when it does not want them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from manager_parts import Rig, open_state, rig

from jupyter_queueserver.core import effects
from jupyter_queueserver.core.errors import QueueServerError
from jupyter_queueserver.core.state import State
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.link.worker import WorkerLink
from jupyter_queueserver.manager import environment as environment_module
from jupyter_queueserver.manager.environment import Environment
from jupyter_queueserver.manager.settings import Settings
from jupyter_queueserver.testing import FakePlan, FakeTask, FakeWorker

pytestmark = pytest.mark.timeout(20)


@asynccontextmanager
async def hands_of(made: Rig, **script: Any) -> AsyncIterator[tuple[Environment, FakeWorker]]:
    hands = Environment(
        Instance(Path("/nowhere")),
        cast(Settings, None),
        1,
        on_console=lambda: None,
        on_opened=lambda: None,
        on_replaced=lambda: None,
    )
    hands.connect(made.writer)
    worker = FakeWorker(**script)
    worker.environment_id = "e"
    hands.link = cast(WorkerLink, worker)
    await worker.hello(1)
    yield hands, worker
    await hands.detach()


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(15.0):
        while not look():  # noqa: ASYNC110 - the fake goes on in turns of the loop
            await asyncio.sleep(0)


async def started(made: Rig, hands: Environment, method: str = "script_upload", **params: Any) -> asyncio.Task[None]:
    """Request a task, and begin to hand it over."""
    await made.call(method, **({"script": "x = 1"} if method == "script_upload" else {}), **params)
    return hands.act(made.effects[-1])


def test_a_task_is_accepted_and_its_result_arrives() -> None:
    async def main() -> State:
        async with rig(open_state()) as made, hands_of(made, tasks={"script": FakeTask(value=[1])}) as (hands, worker):
            handing = await started(made, hands)
            (task,) = made.writer.state.tasks
            assert task.payload
            await handing
            assert made.writer.state.tasks[0].payload == ""
            await until(lambda: len(worker.reports) == 2)
            await hands._bring_reports()
            return made.writer.state

    state = asyncio.run(main())
    assert state.tasks == ()
    assert [(result.success, result.return_value and result.return_value.value) for result in state.task_results] == [(True, [1])]


@pytest.mark.parametrize(
    ("code", "words", "prefix"),
    [
        ("kernel_busy", "Failed to start the task: IPython kernel (RE Worker) is busy.", "Error: "),
        ("not_open", "was rejected by RE Worker process: It does not want to.", None),
    ],
)
def test_what_the_worker_refuses_is_dropped_and_told(code: str, words: str, prefix: str | None) -> None:
    async def main() -> None:
        async with rig(open_state()) as made, hands_of(made) as (hands, worker):
            worker.refuse("start_task", "It does not want to.", code)
            with pytest.raises(QueueServerError) as refusal:
                await (await started(made, hands))
            assert words in refusal.value.msg
            assert refusal.value.prefix == prefix
            assert made.writer.state.tasks == ()

    asyncio.run(main())


def test_a_task_is_handed_over_until_the_worker_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_module, "_RETRY", 0.0)

    async def main() -> None:
        async with rig(open_state()) as made, hands_of(made) as (hands, worker):
            worker.set_unreachable()
            handing = await started(made, hands)
            await until(lambda: len([call for call in worker.calls if call[0] == "start_task"]) >= 3)
            assert not handing.done()
            worker.set_unreachable(False)
            await handing
            assert len(worker.started) == 1
            await hands.act(effects.StartTask(task=made.writer.state.tasks[0]))
            assert len(worker.started) == 1

    asyncio.run(main())


def test_a_task_of_an_environment_that_is_gone_is_not_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_module, "_RETRY", 0.0)

    async def main() -> None:
        async with rig(open_state()) as made, hands_of(made) as (hands, worker):
            worker.set_unreachable()
            handing = await started(made, hands)
            await made.call("environment_destroy")
            await hands._intake.lost("e", "It was killed.")
            assert made.writer.state.tasks == ()
            await handing
            assert worker.started == []

    monkeypatch.setattr(environment_module.Intake, "_is_lost", lambda self, environment_id: False)
    asyncio.run(main())


def test_an_interrupt_that_the_worker_refuses_takes_the_pause_back() -> None:
    async def main() -> None:
        state = open_state(running="a")
        async with rig(state) as made, hands_of(made, script={"count": FakePlan(seconds=None)}) as (hands, worker):
            await made.call("kernel_interrupt", interrupt_plan=True)
            assert made.writer.state.execution.pause_pending
            worker.refuse("interrupt", "It cannot be paused.", "engine_refused")
            with pytest.raises(QueueServerError, match="cannot be paused"):
                await hands.act(made.effects[-1])
            assert not made.writer.state.execution.pause_pending

    asyncio.run(main())


def test_metadata_are_asked_of_the_worker_with_the_permitted_keys() -> None:
    async def main() -> None:
        async with rig(open_state()) as made, hands_of(made) as (hands, worker):
            worker.metadata_values = {"a": 1}
            assert await hands.read_metadata() == '{"a":1}'
            assert worker.calls[-1] == ("metadata", ("/",))
            worker.metadata_values = {"a": {1}}
            refused = await hands.read_metadata()
            assert isinstance(refused, QueueServerError)
            assert (refused.prefix, refused.code) == ("", "metadata_not_json")
            worker.set_unreachable()
            refused = await hands.read_metadata()
            assert isinstance(refused, QueueServerError)
            assert (refused.prefix, refused.code) == (None, "worker_unreachable")
            hands.link = None
            assert await hands.read_metadata() is None

    asyncio.run(main())
