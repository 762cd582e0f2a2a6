"""Reports on their way into the state: one whose rule fails is passed over, with an alarm; the manager lives on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from manager_parts import Rig, open_state, rig

from jupyter_queueserver.core.decision import Step
from jupyter_queueserver.core.reports import Alarm, EngineState, ItemEnded, ItemPaused, RunOpened
from jupyter_queueserver.core.rules import reports as rules
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.link.spool import SpoolReader, SpoolWriter, encode_line, segment_name
from jupyter_queueserver.manager.intake import Intake

REPORTS: list[Any] = [
    RunOpened(time=1.0, item_uid="a", run_uid="r", scan_id=1),
    ItemPaused(time=2.0, item_uid="a"),
    EngineState(time=3.0, state="idle"),
    ItemEnded(time=4.0, item_uid="a", ending="completed"),
]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule for `ItemPaused` has a fault."""
    right = rules.apply_report

    def apply_report(report: Any, step: Step) -> None:
        if isinstance(report, ItemPaused):
            raise ZeroDivisionError("a fault of the rule")
        right(report, step)

    monkeypatch.setattr(rules, "apply_report", apply_report)


def since(n: int) -> list[tuple[int, Any]]:
    return list(enumerate(REPORTS, 1))[n:]


def check_passed_over(made: Rig) -> None:
    state = made.writer.state
    assert state.environment.reports_applied == len(REPORTS)
    assert state.environment.alarm is not None
    assert "Report 2 of the worker (ItemPaused)" in state.environment.alarm
    assert [entry.item_uid for entry in state.history] == ["a"], "the reports behind it count"
    assert [entry.item_uid for entry in state.queue] == ["b"], "the queue has stopped"
    assert state.running is None
    assert not made.effects


@pytest.mark.usefixtures("broken")
def test_a_report_whose_rule_fails_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with rig(open_state("b", running="a")) as made:
            await asyncio.wait_for(Intake(Instance(tmp_path), made.writer).apply("e", since), 30.0)
            check_passed_over(made)

    asyncio.run(main())
    assert "a fault of the rule" in caplog.text
    assert "passed over" in caplog.text


@pytest.mark.usefixtures("broken")
def test_a_new_manager_starts_with_such_a_report_in_the_spool(tmp_path: Path) -> None:
    async def main() -> None:
        instance = Instance(tmp_path)
        directory = instance.environment_dir("e") / "reports"
        directory.mkdir(parents=True)
        spool = SpoolWriter(directory)
        for report in REPORTS:
            spool.append(report)
        spool.close()
        async with rig(open_state("b", running="a")) as made:
            intake = Intake(instance, made.writer)
            await intake.catch_up()
            await asyncio.wait_for(intake.apply_last("e"), 30.0)
            check_passed_over(made)

    asyncio.run(main())


def test_a_fault_without_end_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the alarm can be raised: it is tried again with the next ring, without a loop."""

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with rig(open_state(running="a")) as made:
            monkeypatch.setattr("jupyter_queueserver.core.rules.reports.apply_report", fails)
            monkeypatch.setattr("jupyter_queueserver.manager.intake.pass_over", fails)
            intake = Intake(Instance(tmp_path), made.writer)
            await asyncio.wait_for(intake.apply("e", since), 30.0)
            assert made.writer.state.environment.reports_applied == 0
            assert not await intake.submit(lambda step: fails(Alarm(time=1.0, msg="")))
            assert (await made.call("queue_stop")).result["success"]

    asyncio.run(main())


def test_a_report_that_cannot_be_read_says_what_can_be_done(tmp_path: Path) -> None:
    """Those before it count; one that came twice is told too, and ends nothing."""
    numbered = [(1, REPORTS[0]), (1, REPORTS[2]), (2, REPORTS[2]), (4, REPORTS[3]), (5, REPORTS[3])]
    file = tmp_path / segment_name(1)
    file.write_bytes(b"".join(encode_line(n, report) for n, report in numbered[:3]))

    async def main() -> None:
        async with rig(open_state(running="a")) as made:
            intake, reader = Intake(Instance(tmp_path), made.writer), SpoolReader(tmp_path)
            await intake.apply("e", reader.since)
            assert made.writer.state.environment.reports_applied == 2
            await intake.tell_damage(reader)
            assert "number 1 twice" in (made.writer.state.environment.alarm or "")
            with file.open("ab") as more:
                more.write(b"".join(encode_line(n, report) for n, report in numbered[3:]))
            await intake.apply("e", reader.since)
            for _ in range(2):
                await intake.tell_damage(reader)
            alarm = made.writer.state.environment.alarm or ""
            assert alarm.startswith("Report 3 cannot be read: report 3 is missing, found 4.")
            assert "environment_destroy" in alarm
            assert made.writer.state.running is not None

    asyncio.run(main())
