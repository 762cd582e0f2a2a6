"""While the store is away: one line in the log, not one for each attempt, and the truth about a plan that has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from manager_parts import Rig, open_state, rig
from test_task_effects import hands_of

from jupyter_queueserver.core.changes import AnyChange, AutostartSet
from jupyter_queueserver.core.decision import Step
from jupyter_queueserver.core.errors import QueueServerError, StoreUnavailable
from jupyter_queueserver.core.state import State
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.manager import intake as intake_module
from jupyter_queueserver.manager.intake import Intake
from jupyter_queueserver.manager.once import SaidOnce

pytestmark = pytest.mark.timeout(60)


def refuse(made: Rig, reasons: Sequence[str], for_ever: bool = False) -> Callable[[], int]:
    """Let the store refuse with those reasons in turn; returns who tells how often it was asked."""
    right, asked = made.store.commit, 0

    def commit(changes: Sequence[AnyChange], after: State) -> None:
        nonlocal asked
        asked += 1
        if asked <= len(reasons) or for_ever:
            raise StoreUnavailable(reasons[min(asked, len(reasons)) - 1])
        right(changes, after)

    made.store.commit = commit  # type: ignore[method-assign]
    return lambda: asked


def autostart(step: Step) -> None:
    step.emit(AutostartSet(enabled=True))


def test_a_report_that_waits_is_said_once_for_each_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(intake_module, "_RETRY", 0.0)

    async def main() -> None:
        async with rig(open_state(running="a")) as made:
            asked = refuse(made, ["It is away."] * 40 + ["It is full."] * 40 + ["It is away."] * 40)
            assert await Intake(Instance(tmp_path), made.writer).submit(autostart)
            assert asked() >= 121

    asyncio.run(main())
    said = [record.getMessage() for record in caplog.records if record.name == intake_module.__name__]
    assert said == [
        "A report waits for the store: It is away.",
        "A report waits for the store: It is full.",
        "The report that waited for the store is part of the state.",
    ]


def test_what_was_over_is_said_again(caplog: pytest.LogCaptureFixture) -> None:
    once = SaidOnce(logging.getLogger("once"), logging.ERROR)
    once.over("nothing had failed")
    for _ in range(2):
        once.failed("it fails")
        once.failed("it fails")
        once.over("it works")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "it fails"),
        ("WARNING", "it works"),
    ] * 2


@pytest.mark.parametrize("is_away", [True, False])
def test_a_plan_that_has_ended_is_not_said_to_be_none(is_away: bool) -> None:
    async def main() -> None:
        async with rig(open_state("b", running="a")) as made, hands_of(made) as (hands, _):
            if is_away:
                refuse(made, ["It is away."], for_ever=True)
                with pytest.raises(StoreUnavailable):
                    await made.writer.submit(autostart)
            outcome = await made.call("re_pause", option="immediate")
            assert outcome.result is None or outcome.result["success"]
            answer: Any = hands.act(made.effects[-1])
            with pytest.raises(QueueServerError) as raised:
                await answer
            wanted = "The plan has ended; its report waits for the store. It is away." if is_away else "The plan has just ended"
            assert raised.value.msg.startswith(wanted)
            assert raised.value.code == "not_running"
            assert "nothing left to pause" in (raised.value.hint or "")
            assert not made.writer.state.execution.pause_pending

    asyncio.run(main())
