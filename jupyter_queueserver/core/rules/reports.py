"""What the worker's reports do to the state.

A report is a fact: no rule here raises.  A report that no longer fits (the item is not the running one any more) changes
nothing but the count.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from msgspec.structs import replace

from ..changes import CellSet, DevicesSet, EnvironmentSet, ExecutionSet, PlansSet, ReportApplied, RunAdded, RunEnded
from ..decision import Step
from ..effects import AnyEffect, StartItem
from ..endings import failure_details, problem_details
from ..reports import (
    Alarm,
    AnyReport,
    CellState,
    EngineState,
    EnvironmentClosed,
    EnvironmentFailed,
    EnvironmentReady,
    ItemEnded,
    ItemPaused,
    ItemTaken,
    ListsUpdated,
    RunClosed,
    RunOpened,
    StartupLoading,
    TaskEnded,
    WorkerLost,
)
from ..state import Failure, Loading, Run
from .environment import worker_gone
from .execution import end_running, engine_changed, go_idle, paused, taken, went_on
from .tasks import ended

#: Reports that can be read again from the worker's spool after a crash: what they change need not be committed at once.
REPLAYABLE = (StartupLoading, EngineState, ItemTaken, ItemPaused, RunOpened, RunClosed, CellState)


def apply_reports(step: Step, environment_id: str, reports: Sequence[tuple[int, AnyReport]]) -> None:
    """Apply numbered reports of an environment, in order; those that were applied before are passed over."""
    for number, report in reports:
        environment = step.state.environment
        if environment.environment_id != environment_id or number <= environment.reports_applied:
            continue
        apply_report(report, step)
        step.emit(ReportApplied(number=number))
    step.effects[:] = [effect for effect in step.effects if not _is_over(effect, step)]


def pass_over(step: Step, environment_id: str, number: int, msg: str) -> None:
    """Count a report without applying it, because its rule fails: raise an alarm and stop the queue.

    Parameters
    ----------
    msg
        Sentence of the alarm.
    """
    environment = step.state.environment
    if environment.environment_id == environment_id and number > environment.reports_applied:
        _alarm(step, msg, stop_queue=True)
        step.emit(ReportApplied(number=number))


def _is_over(effect: AnyEffect, step: Step) -> bool:
    """A start whose item has ended by a later report of the same pull is no wish any more."""
    running = step.state.running
    return isinstance(effect, StartItem) and (running is None or running.item_uid != effect.item.item_uid)


@singledispatch
def apply_report(report: AnyReport, step: Step) -> None:
    """Apply one report."""
    raise TypeError(f"{type(report).__name__} is not a report")


@apply_report.register
def _(report: StartupLoading, step: Step) -> None:
    environment = step.state.environment
    if environment.state == "opening":
        loading = Loading(name=report.name, number=report.number, count=report.count, since=report.time)
        step.emit(EnvironmentSet(environment=replace(environment, loading=loading)))


@apply_report.register
def _(report: EnvironmentReady, step: Step) -> None:
    state = step.state
    if state.environment.state == "closed":
        return  # it had failed before; the end of the process follows
    if state.environment.state == "opening":
        step.emit(
            EnvironmentSet(
                environment=replace(
                    state.environment, state="open", failure=None, files=report.files, problems=report.problems, loading=None
                )
            )
        )
    engine_changed(step, report.engine)
    _set_lists(step, report)


def _set_lists(step: Step, report: EnvironmentReady | ListsUpdated) -> None:
    if report.devices != step.state.catalogue.devices:
        step.emit(DevicesSet(devices=report.devices))
    if report.plans != step.state.catalogue.plans:
        step.emit(PlansSet(plans=report.plans))


@apply_report.register
def _(report: EnvironmentFailed, step: Step) -> None:
    environment = step.state.environment
    broken = next((file for file in report.files if file.error is not None), None)
    failure = Failure(
        time=report.time,
        msg=report.msg,
        file=broken.name if broken else None,
        line=broken.line if broken else None,
        traceback=report.traceback or (broken.traceback if broken else ""),
    )
    if environment.state == "opening":
        engine_changed(step, None)
        step.emit(
            EnvironmentSet(
                environment=replace(environment, state="closed", failure=failure, files=report.files, dead=False, loading=None)
            )
        )
        go_idle(step)


@apply_report.register
def _(report: EnvironmentClosed, step: Step) -> None:
    """The end of the process follows; it is what counts."""


@apply_report.register
def _(report: EngineState, step: Step) -> None:
    engine_changed(step, report.state)


@apply_report.register
def _(report: ItemTaken, step: Step) -> None:
    if _is_running(step, report.item_uid):
        taken(step)


@apply_report.register
def _(report: RunOpened, step: Step) -> None:
    if step.state.running is not None and report.item_uid == step.state.running.item_uid:
        run = Run(uid=report.run_uid, scan_id=report.scan_id, is_open=True, exit_status=None)
        step.emit(RunAdded(run=run))


@apply_report.register
def _(report: RunClosed, step: Step) -> None:
    if any(run.uid == report.run_uid for run in step.state.runs):
        step.emit(RunEnded(uid=report.run_uid, exit_status=report.exit_status))


@apply_report.register
def _(report: ItemPaused, step: Step) -> None:
    if _is_running(step, report.item_uid):
        paused(step)


@apply_report.register
def _(report: ItemEnded, step: Step) -> None:
    if not _is_running(step, report.item_uid):
        return
    if report.by_hand is False:
        went_on(step)
    end_running(
        step,
        ending=report.ending,
        exit_status=_exit_status(step, report.ending),
        run_uids=report.run_uids,
        scan_ids=report.scan_ids,
        msg=report.msg,
        traceback=report.traceback,
        details=failure_details(report.failure) | problem_details(report.problems),
    )


@apply_report.register
def _(report: TaskEnded, step: Step) -> None:
    ended(step, report)


@apply_report.register
def _(report: ListsUpdated, step: Step) -> None:
    environment = step.state.environment
    if environment.state == "closed":
        return
    if environment.problems != report.problems:
        step.emit(EnvironmentSet(environment=replace(environment, problems=report.problems)))
    _set_lists(step, report)


def _exit_status(step: Step, ending: str) -> str:
    """The value of the interface: what a console has brought to its end is not known to be what was submitted."""
    if ending == "refused":
        return "failed"
    return "unknown" if ending == "completed" and step.state.execution.state == "paused" else ending


@apply_report.register
def _(report: CellState, step: Step) -> None:
    if report.running != step.state.cell and step.state.environment.state != "closed":
        step.emit(CellSet(running=report.running))


@apply_report.register
def _(report: Alarm, step: Step) -> None:
    _alarm(step, report.msg, stop_queue=report.stop_queue)


def _alarm(step: Step, msg: str, *, stop_queue: bool) -> None:
    step.emit(EnvironmentSet(environment=replace(step.state.environment, alarm=msg)))
    execution = step.state.execution
    if stop_queue and execution.state != "idle" and not execution.stop_pending:
        step.emit(ExecutionSet(execution=replace(execution, stop_pending=True)))


@apply_report.register
def _(report: WorkerLost, step: Step) -> None:
    worker_gone(step, report)


def _is_running(step: Step, item_uid: str) -> bool:
    running = step.state.running
    return running is not None and running.item_uid == item_uid
