"""The writer: its end is a decision, listeners cannot break it, and what is committed is known."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from manager_parts import open_state, rig
from msgspec.structs import replace

from jupyter_queueserver.core.effects import StartItem, StopManager
from jupyter_queueserver.core.errors import QueueServerError, StateError, StoreUnavailable
from jupyter_queueserver.core.reports import EngineState, ItemEnded, RunClosed, RunOpened
from jupyter_queueserver.core.rules.environment import end_if_idle
from jupyter_queueserver.core.rules.reports import apply_reports
from jupyter_queueserver.core.state import Run, State


def ended(uid: str) -> ItemEnded:
    return ItemEnded(time=1.0, item_uid=uid, ending="completed")


@pytest.mark.parametrize("by_signal", [False, True])
def test_after_the_decision_to_end_nothing_is_accepted(by_signal: bool) -> None:
    """Back to back, the second before the first is answered."""

    async def main() -> None:
        async with rig(open_state("a", "b")) as made:
            if by_signal:
                end = asyncio.create_task(made.writer.submit(end_if_idle, is_wish=True))
            else:
                end = asyncio.create_task(made.call("manager_stop", option="safe_on"))
            late = [asyncio.create_task(made.call(name)) for name in ("queue_start", "queue_clear", "manager_stop")]
            outcomes = await asyncio.gather(end, *late, return_exceptions=True)
            for refusal in outcomes[1:]:
                assert isinstance(refusal, StateError)
                assert refusal.code == "manager_ending"
            assert made.effects == [StopManager()]
            assert len(made.writer.state.queue) == 2
            assert made.writer.state.environment.state == "closing"

    asyncio.run(main())


@pytest.mark.parametrize("by_signal", [False, True])
def test_a_start_that_came_first_keeps_the_manager(by_signal: bool) -> None:
    async def main() -> None:
        async with rig(open_state("a")) as made:
            await made.call("queue_start")
            if by_signal:
                assert (await made.writer.submit(end_if_idle, is_wish=True)).result is False
            else:
                with pytest.raises(StateError, match="safe_on"):
                    await made.call("manager_stop", option="safe_on")
            assert not any(isinstance(effect, StopManager) for effect in made.effects)
            await made.call("queue_stop")

    asyncio.run(main())


def test_a_report_starts_nothing_when_the_manager_ends() -> None:
    async def main() -> None:
        async with rig(open_state("b", running="a")) as made:
            report = functools.partial(apply_reports, environment_id="e", reports=[(1, ended("a"))])
            end = asyncio.create_task(made.call("manager_stop", option="safe_off"))
            told = asyncio.create_task(made.writer.submit(report))
            await asyncio.gather(end, told)
            assert not any(isinstance(effect, StartItem) for effect in made.effects)
            state = made.writer.state
            assert [entry.item_uid for entry in state.queue] == ["b"]
            assert [entry.item_uid for entry in state.history] == ["a"]
            assert state.running is None

    asyncio.run(main())


def test_effects_start_though_nobody_can_be_told(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with rig(open_state("a")) as made:
            made.is_deaf = True
            assert (await made.call("queue_start")).result["success"]
            assert [type(effect) for effect in made.effects] == [StartItem]
            assert made.writer.state.running is not None

    asyncio.run(main())
    assert "could not be published" in caplog.text
    assert "nobody can hear this" in caplog.text


def test_committed_reports_are_those_that_the_store_holds() -> None:
    """A report that can be read again from the spool is applied at once but counts when it is stored."""

    async def main() -> None:
        async with rig(open_state(running="a")) as made:
            opened = RunOpened(time=1.0, item_uid="a", run_uid="r", scan_id=1)
            assert made.writer.committed_reports == ("e", 0)
            rule = functools.partial(apply_reports, environment_id="e", reports=[(1, opened)])
            await made.writer.submit(rule, durable=False)
            assert made.writer.state.environment.reports_applied == 1
            assert made.writer.committed_reports == ("e", 0)
            await made.call("queue_stop_cancel")
            assert made.writer.committed_reports == ("e", 0), "nothing changed, so nothing was stored"
            await made.call("queue_stop")
            assert made.writer.committed_reports == ("e", 1)
            stored = made.store.load()
            assert stored is not None
            assert stored.environment.reports_applied == 1

    asyncio.run(main())


def test_what_a_store_refuses_is_not_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with rig(open_state(running="a")) as made:

            def full(*_: object) -> None:
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(made.store, "commit", full)
            rule = functools.partial(apply_reports, environment_id="e", reports=[(1, ended("a"))])
            with pytest.raises(QueueServerError, match="could not be stored"):
                await made.writer.submit(rule)
            assert made.writer.committed_reports == ("e", 0)

    asyncio.run(main())


def test_many_runs_cost_no_more_each_than_one() -> None:
    """2,000 runs: what is published of each stays as small as of the first, and all are committed now and then."""

    async def main() -> None:
        async with rig(open_state(running="a")) as made:
            for n in range(2000):
                opened = RunOpened(time=1.0, item_uid="a", run_uid=f"r{n}", scan_id=n)
                closed = RunClosed(time=1.0, item_uid="a", run_uid=f"r{n}", exit_status="success")
                reports = [(2 * n + 1, opened), (2 * n + 2, closed)]
                rule = functools.partial(apply_reports, environment_id="e", reports=reports)
                await made.writer.submit(rule, durable=False)
            runs = made.writer.state.runs
            assert len(runs) == 2000
            assert runs[7] == Run(uid="r7", scan_id=7, is_open=False, exit_status="success")
            assert max(len(repr(change)) for change in made.published) < 200
            environment_id, number = made.writer.committed_reports
            assert environment_id == "e"
            assert number > 3000

    asyncio.run(main())


def waiting_for_the_engine() -> State:
    """Autostart is on, an item waits, and a console's plan has the RunEngine."""
    return replace(open_state("a"), autostart=True, engine="running")


def engine_is_free(environment_id: str = "e") -> Any:
    return functools.partial(
        apply_reports, environment_id=environment_id, reports=[(1, EngineState(time=1.0, state="idle", deferred=False))]
    )


def test_an_item_that_starts_by_itself_is_on_record_before() -> None:
    """Also when it follows a report that need not be committed."""

    async def main() -> None:
        async with rig(waiting_for_the_engine()) as made:
            await made.writer.submit(engine_is_free(), durable=False)
            await made.writer.look_again()
            assert [type(effect) for effect in made.effects] == [StartItem]
            stored = made.store.load()
            assert stored is not None
            assert stored.running is not None
            assert (stored.running.item_uid, len(stored.queue)) == ("a", 0)

    asyncio.run(main())


def test_an_item_does_not_start_by_itself_without_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does as soon as the store is back, though nothing else happens."""
    monkeypatch.setattr("jupyter_queueserver.manager.writer._RETRY", 0.01)

    async def main() -> None:
        async with rig(waiting_for_the_engine()) as made:
            commit, asked, back = made.store.commit, asyncio.Event(), []
            loop = asyncio.get_running_loop()

            def refuse(*args: Any) -> None:
                loop.call_soon_threadsafe(asked.set)
                if not back:
                    raise StoreUnavailable("The disk is full.")
                commit(*args)

            made.store.commit = refuse  # type: ignore[method-assign]
            await made.writer.submit(engine_is_free(), durable=False)
            await asyncio.wait_for(asked.wait(), 10)
            assert made.effects == []
            assert made.writer.state.engine == "idle"
            back.append(True)
            await asyncio.wait_for(made.acted.wait(), 10)
            assert [type(effect) for effect in made.effects] == [StartItem]

    asyncio.run(main())
