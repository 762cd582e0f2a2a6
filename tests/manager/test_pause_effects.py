"""A pause on its way to a worker that cannot do it: what is answered is what came of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from manager_parts import Rig, open_state, rig
from test_task_effects import hands_of

from jupyter_queueserver.core.decision import Step
from jupyter_queueserver.core.errors import QueueServerError, WorkerRefused
from jupyter_queueserver.core.rules.execution import end_running
from jupyter_queueserver.core.state import State


async def paused(made: Rig, *, ends: bool) -> tuple[str | None, State]:
    """Pause the running plan; the worker refuses that, before or after the plan's end is reported."""
    async with hands_of(made) as (hands, worker):

        async def refuse(deferred: bool, fence: int) -> bool:
            if ends:
                rule: Any = partial(end_running, ending="completed", exit_status="completed", run_uids=(), scan_ids=())
                await made.writer.submit(rule)
            raise WorkerRefused("Run Engine is in 'idle' state and can not be paused.", code="engine_refused")

        worker.pause = refuse  # type: ignore[method-assign]
        await made.call("re_pause", option="immediate")
        said = await hands.act(made.effects[-1])
        return said, made.writer.state


def test_a_plan_that_ends_instead_of_pausing_has_stopped_the_queue() -> None:
    async def main() -> None:
        async with rig(open_state("next", running="now")) as made:
            said, state = await paused(made, ends=True)
            assert said == "The plan has ended before it could pause: the queue has stopped instead."
            assert (state.execution.state, state.running, len(state.queue)) == ("idle", None, 1)

    asyncio.run(main())


def test_a_refused_pause_leaves_the_queue_as_it_was() -> None:
    async def main() -> None:
        async with rig(open_state("next", running="now")) as made:
            with pytest.raises(QueueServerError, match="can not be paused"):
                await paused(made, ends=False)
            assert made.writer.state.execution.pause_pending is False

            def end(step: Step) -> None:
                end_running(step, ending="completed", exit_status="completed", run_uids=(), scan_ids=())

            await made.writer.submit(end)
            assert made.writer.state.running is not None
            assert made.writer.state.running.item_uid == "next"

    asyncio.run(main())
