"""The worker's reports on their way into the state: read from the spool, applied in order, never refused.

It reads files and submits rules; it says nothing to the worker and knows nothing of processes.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import time
from collections.abc import Callable
from typing import Any

from ..core.decision import Step
from ..core.errors import QueueServerError, ServiceError
from ..core.items import Item
from ..core.reports import Alarm, EngineState, EnvironmentReady, WorkerLost
from ..core.rules import environment as environment_rules
from ..core.rules.recovery import foreign_worker_adopted, worker_unreachable
from ..core.rules.reports import REPLAYABLE, apply_report, apply_reports, pass_over
from ..documents.last import JournalEnd, journal_end
from ..instance import Instance
from ..link.accepted import proves_never_taken
from ..link.launch import is_of_this_boot
from ..link.spool import SpoolReader, first_kept
from ..link.worker import WorkerLink
from .once import SaidOnce
from .writer import Writer

_log = logging.getLogger(__name__)

#: Seconds between two attempts at a store that does not answer.
_RETRY = 0.5

#: What can be done when a report of the worker cannot be read.
_UNHEARD = (
    "Nothing that the worker says after it is heard: how a running plan ends cannot be known here. Look at the console output; "
    "when the plan has ended there, or should not go on, destroy the environment (environment_destroy) and open a new one."
)
#: What can be done when the worker's reports contradict each other.
_CONTRADICTED = (
    "Something else than the worker has written them, and what is said of a running plan may be wrong: "
    "look at the console output, and open the environment anew."
)

#: Reads the reports after a number from a spool.
Since = Callable[[int], list[tuple[int, Any]]]


class Intake:
    """Brings reports into the state of one writer."""

    def __init__(self, instance: Instance, writer: Writer) -> None:
        self._instance = instance
        self._writer = writer

    async def submit(self, rule: Callable[[Step], Any], *, durable: bool = True) -> bool:
        """Submit what cannot be refused: try again until the store takes it.

        Returns False when the rule itself is at fault, which the writer has logged: nothing changed, and it would fail again in
        every life of the manager.
        """
        waiting = SaidOnce(_log, logging.ERROR)
        while True:
            try:
                await self._writer.submit(rule, durable=durable)
            except ServiceError as err:
                waiting.failed(f"A report waits for the store: {err.msg}")
                await asyncio.sleep(_RETRY)
            except QueueServerError as err:
                if err.code != "internal_error":
                    raise
                return False
            else:
                waiting.over("The report that waited for the store is part of the state.")
                return True

    async def apply(self, environment_id: str, since: Since) -> None:
        """Apply all reports of an environment that are not part of the state yet; waits for a store that is away."""
        while True:
            environment = self._writer.state.environment
            if environment.environment_id != environment_id:
                return
            reports = since(environment.reports_applied)
            if not reports:
                return
            durable = not all(isinstance(report, REPLAYABLE) for _, report in reports)
            rule = functools.partial(apply_reports, environment_id=environment_id, reports=reports)
            if not await self.submit(rule, durable=durable) and not await self._one_by_one(environment_id, reports):
                return

    async def _one_by_one(self, environment_id: str, reports: list[tuple[int, Any]]) -> bool:
        """Apply reports of which one makes its rule fail: that one is passed over; False: not even that can be done."""
        for number, report in reports:
            rule = functools.partial(apply_reports, environment_id=environment_id, reports=[(number, report)])
            if await self.submit(rule):
                continue
            msg = (
                f"Report {number} of the worker ({type(report).__name__}) could not be applied by a fault of the server. "
                "If the plan does not seem to end, destroy the environment."
            )
            _log.error("%s It is passed over: %.500r", msg, report)
            if not await self.submit(functools.partial(pass_over, environment_id=environment_id, number=number, msg=msg)):
                return False
        return True

    async def apply_unreachable(self, environment_id: str, spool: SpoolReader, reason: str) -> None:
        """`apply` for a worker that lives and does not answer: say why, and what it has reported all the same."""
        known = self._writer.state.environment
        if known.environment_id != environment_id:
            return
        if known.unreachable != reason:
            rule = functools.partial(worker_unreachable, environment_id=environment_id, reason=reason)
            await self.submit(rule, durable=False)
        await self.apply(environment_id, spool.since)
        await self.tell_damage(spool)

    async def stranger_unreachable(self, environment_id: str, reason: str) -> None:
        """A worker lives of which the store knows nothing, and does not answer (yet): say so, so that no second one is opened."""
        directory = self._reports_of(environment_id)
        reports = await asyncio.to_thread(lambda: SpoolReader(directory).since(first_kept(directory) - 1))
        engines = (
            report.state if isinstance(report, EngineState) else report.engine
            for _, report in reversed(reports)
            if isinstance(report, EngineState | EnvironmentReady)
        )
        rule = functools.partial(
            foreign_worker_adopted,
            environment_id=environment_id,
            engine=next(engines, None),
            last_report=reports[-1][0] if reports else 0,
            unreachable=reason,
        )
        await self.submit(rule, durable=False)

    async def apply_last(self, environment_id: str, since: Since | None = None) -> None:
        """`apply` for a dead worker: whatever it reported, nothing is started any more."""

        def rule(step: Step) -> None:
            if step.state.environment.environment_id == environment_id:
                environment_rules.worker_ends(step)

        await self.submit(rule)
        await self.apply(environment_id, since or self._spool(environment_id).since)

    async def lost(self, environment_id: str, reason: str, *, copied: bool = False) -> None:
        """The worker is gone and all its reports are applied: say so, with the reason.

        ``copied``: it went on after these files were copied, so that they cannot prove that a plan had not begun.
        """
        spool_lost = self._is_lost(environment_id)
        end = await asyncio.to_thread(self._journal_end, environment_id)
        never_taken = await asyncio.to_thread(self._never_taken, environment_id, self._writer.state.running)
        report = WorkerLost(
            time=time.time(),
            reason=reason,
            spool_lost=spool_lost,
            never_taken=None if copied else never_taken,
            last_document=end.document,
            open_runs=end.open_runs,
        )

        def rule(step: Step) -> None:
            if step.state.environment.environment_id == environment_id:
                apply_report(report, step)

        await self.submit(rule)

    def _journal_end(self, environment_id: str) -> JournalEnd:
        try:
            return journal_end(self._instance.journal, environment_id)
        except OSError as err:
            _log.warning("The end of the journal cannot be read: %s", err)
            return JournalEnd(None, ())

    def _never_taken(self, environment_id: str, running: Item | None) -> str | None:
        """uid of the running item if its plan had not begun for certain; reads files."""
        directory = self._instance.environment_dir(environment_id)
        if running is None or not is_of_this_boot(directory):
            return None  # what was written last may be lost with the machine
        return running.item_uid if proves_never_taken(directory / "accepted.log", running.item_uid) else None

    def _is_lost(self, environment_id: str) -> bool:
        if not self._reports_of(environment_id).is_dir():
            return True
        spool = self._spool(environment_id)
        spool.since(self._writer.state.environment.reports_applied)
        return spool.damage is not None

    async def tell_damage(self, spool: SpoolReader | WorkerLink) -> None:
        """What the worker told is damaged: its plan goes on, but nobody will hear how it ends, until it is destroyed."""
        contradiction = spool.take_contradiction()
        if contradiction is not None:
            await self._sound(f"{contradiction} {_CONTRADICTED}")
        if spool.damage is not None:
            await self._sound(f"{spool.damage} {_UNHEARD}")

    async def _sound(self, msg: str) -> None:
        if msg == self._writer.state.environment.alarm:
            return
        _log.error("%s", msg)
        await self.submit(functools.partial(apply_report, Alarm(time=time.time(), msg=msg, stop_queue=True)))

    async def catch_up(self) -> None:
        """Apply what the worker told since the last commit, before anybody is answered; no item starts by that.

        Such reports are not committed one by one, so that a new manager would say at first that a paused plan is running.
        """
        known = self._writer.state.environment
        if known.state == "closed" or known.environment_id is None:
            return
        told = self._spool(known.environment_id).since(known.reports_applied)
        reports: list[Any] = list(itertools.takewhile(lambda entry: isinstance(entry[1], REPLAYABLE), told))
        rule = functools.partial(apply_reports, environment_id=known.environment_id, reports=reports)
        await self.submit(rule, durable=False)  # one that cannot be applied is passed over later, by `apply`

    def _spool(self, environment_id: str) -> SpoolReader:
        return SpoolReader(self._reports_of(environment_id))

    def _reports_of(self, environment_id: str) -> Any:
        return self._instance.environment_dir(environment_id) / "reports"
