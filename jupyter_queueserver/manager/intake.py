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
from ..core.reports import Alarm, WorkerLost
from ..core.rules import environment as environment_rules
from ..core.rules.recovery import worker_unreachable
from ..core.rules.reports import REPLAYABLE, apply_report, apply_reports, pass_over
from ..documents.last import JournalEnd, journal_end
from ..instance import Instance
from ..link.accepted import proves_never_taken
from ..link.launch import is_of_this_boot
from ..link.spool import SpoolReader
from .writer import Writer

_log = logging.getLogger(__name__)

#: Seconds between two attempts at a store that does not answer.
_RETRY = 0.5

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
        while True:
            try:
                await self._writer.submit(rule, durable=durable)
            except ServiceError as err:
                _log.error("A report waits for the store: %s", err.msg)
                await asyncio.sleep(_RETRY)
            except QueueServerError as err:
                if err.code != "internal_error":
                    raise
                return False
            else:
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
        if known.state != "closed" and known.unreachable != reason:
            rule = functools.partial(worker_unreachable, environment_id=environment_id, reason=reason)
            await self.submit(rule, durable=False)
        await self.apply(environment_id, spool.since)
        if spool.damage is not None and spool.damage != self._writer.state.environment.alarm:
            await self.cannot_be_read(spool.damage)

    async def apply_last(self, environment_id: str, since: Since | None = None) -> None:
        """`apply` for a dead worker: whatever it reported, nothing is started any more."""

        def rule(step: Step) -> None:
            if step.state.environment.environment_id == environment_id:
                environment_rules.worker_ends(step)

        await self.submit(rule)
        await self.apply(environment_id, since or self._spool(environment_id).since)

    async def lost(self, environment_id: str, reason: str) -> None:
        """The worker is gone and all its reports are applied: say so, with the reason."""
        spool_lost = self._is_lost(environment_id)
        end = await asyncio.to_thread(self._journal_end, environment_id)
        report = WorkerLost(
            time=time.time(),
            reason=reason,
            spool_lost=spool_lost,
            never_taken=self._never_taken(environment_id),
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

    def _never_taken(self, environment_id: str) -> str | None:
        """uid of the running item if its plan had not begun for certain."""
        running = self._writer.state.running
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

    async def cannot_be_read(self, damage: str) -> None:
        """What the worker told is damaged: its plan goes on, but nobody will hear how it ends, until it is destroyed."""
        _log.error("%s Destroy the environment when its plan has ended.", damage)
        alarm = Alarm(time=time.time(), msg=damage, stop_queue=True)
        await self.submit(functools.partial(apply_report, alarm))

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
