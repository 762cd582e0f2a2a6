"""The manager's hands at the worker: opens and ends it, brings its reports in, sees it die, finds it again.

Everything that is lost with this process is found again by `Environment.recover`.  It decides nothing: what a report or a
death means is the matter of the core.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from ..core import effects
from ..core.errors import QueueServerError, StateError, WorkerRefused
from ..core.rules import environment as environment_rules
from ..core.rules.recovery import foreign_worker_adopted, worker_adopted
from ..documents.deaths import mark_dead
from ..instance import Instance
from ..link.bell import CONSOLE, REPORTS, BellListener
from ..link.environment import (
    EnvironmentRecord,
    StartupSource,
    new_record,
    prune_environments,
    read_environment,
    remove_environment,
)
from ..link.errors import WorkerUnreachable
from ..link.lastwords import explained
from ..link.launch import sweep_sockets
from ..link.messages import PROTOCOL
from ..link.spool import SpoolReader
from ..link.worker import WorkerLink
from .adoption import Gone, find_worker, kill_recorded, may_live
from .attention import Attention
from .intake import Intake
from .kernel import kernel_options
from .once import SaidOnce
from .orders import Orders
from .settings import Settings
from .writer import Writer

_log = logging.getLogger(__name__)

#: Seconds between two looks for what a lost ring would have told.
_LOOK = 5.0
#: Seconds that an orderly closing may take before the worker is killed.
_CLOSING = 20.0
#: Seconds that it may take when the manager itself ends.
_LAST_CLOSING = 5.0
#: Seconds between two attempts at a worker or store that does not answer.
_RETRY = 0.5
#: Seconds that a request to the worker waits for a manager that has just started and still looks for it.
_SEEKING = 1.0
_UNRECORDED = "The worker is gone; it was not recorded any more."
#: Reports after which the worker is told that it may forget them.
_ACK_EVERY = 500


class Environment:
    """The one environment of an instance.

    Parameters
    ----------
    fence
        Number of this manager's lease.
    on_console
        Called when there may be new console text.
    on_opened
        Called when a worker was launched or adopted: the relay should run.
    on_replaced
        Called when the worker obeys a later manager: this one must end.
    """

    def __init__(
        self,
        instance: Instance,
        settings: Settings,
        fence: int,
        *,
        on_console: Callable[[], None],
        on_opened: Callable[[], None],
        on_replaced: Callable[[], None],
    ) -> None:
        self._instance = instance
        self._settings = settings
        self._fence = fence
        self._on_console = on_console
        self._on_opened = on_opened
        self._on_replaced = on_replaced
        self.link: WorkerLink | None = None
        self._rung = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: set[str] = set()
        self._funeral: asyncio.Task[None] | None = None
        self._actions: dict[type, Callable[[Any], Coroutine[Any, Any, str | None]]] = {
            effects.OpenEnvironment: self._open,
            effects.CloseEnvironment: self._close,
            effects.DestroyEnvironment: self._destroy,
        }
        self._acknowledged = 0
        self._stranger: str | None = None
        self._recovered = asyncio.Event()

    def connect(self, writer: Writer) -> None:
        """Tell who decides; comes before anything else."""
        self._writer = writer
        writer.wait_for_worker()
        self._intake = Intake(self._instance, writer)
        self._orders = Orders(lambda: self.link, self._fence, writer, self._intake, self._on_replaced)
        self._actions |= self._orders.actions

    async def attend(self) -> None:
        """Notice a worker that does not answer, until cancelled."""
        limit = self._settings.worker_silence_limit
        await Attention(lambda: self.link, self._fence, self._writer, self._intake, limit).run()

    # -- effects -------------------------------------------------------------------------------

    def act(self, effect: effects.AnyEffect) -> asyncio.Task[str | None]:
        """Start carrying out an effect; the task ends with the worker's answer, and has a sentence if there is more to say."""
        return self._spawn(self._actions[type(effect)](effect))

    async def looked_for(self) -> None:
        """Wait until it is known whether an earlier manager has left a worker, but not for long: it may not answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEEKING):
                await self._recovered.wait()

    async def read_metadata(self) -> str | QueueServerError | None:
        """Ask the worker for the RunEngine's metadata; see `Orders.read_metadata`."""
        await self.looked_for()
        return await self._orders.read_metadata()

    async def _open(self, effect: effects.OpenEnvironment) -> None:
        await self._refuse_a_second(effect.environment_id)
        startup = self._settings
        record = new_record(
            self._instance,
            StartupSource(
                kind=startup.startup_kind,
                value=startup.startup,
                ipython_dir=startup.ipython_dir,
                profile=startup.startup_profile,
            ),
            keep_re=startup.keep_re,
            device_max_depth=startup.device_max_depth,
            ignore_invalid_plans=startup.ignore_invalid_plans,
            stop_on_alarm=startup.stop_on_alarm,
        )
        kernel = kernel_options(startup, effect.environment_id)
        record = msgspec.structs.replace(record, **_named(self._instance, effect.environment_id), kernel=kernel)
        try:
            prune_environments(self._instance)
            link = await WorkerLink.launch(self._instance, record, working_dir=startup.working_dir)
        except Exception as err:  # noqa: BLE001 - whatever it was, there is no worker, and who waits for one must be told
            _log.error("The worker could not be started.", exc_info=err)
            self._forget(record)
            await self._intake.lost(effect.environment_id, f"The worker could not be started: {err}")
            return
        self._attach(link)
        await self._greet(link)

    async def _refuse_a_second(self, environment_id: str) -> None:
        """The record of a worker that lives is never overwritten, whatever the store says: two would move the same devices."""
        found = read_environment(self._instance)
        if found is None or not may_live(found):
            return
        reason = "Another worker of this data directory is still there."
        await self._intake.lost(environment_id, f"The worker was not started: {reason}")
        if self._recovered.is_set() and self.link is None:
            self._spawn(self.recover())
        raise StateError(
            f"RE Worker environment already exists. {reason}",
            code="worker_unreachable",
            hint="Nothing was opened. Look at the status in a moment: use that one, or end it with environment_destroy.",
        )

    async def _greet(self, link: WorkerLink) -> None:
        """Become its manager, however long it takes until it answers."""
        waiting = SaidOnce(_log)
        while not link.died.done():
            try:
                await link.hello(self._fence)
            except WorkerUnreachable as err:
                waiting.failed(f"The new worker does not answer yet: {err.msg}")
            else:
                waiting.over("The new worker answers.")
                return

    async def _close(self, effect: effects.CloseEnvironment) -> None:
        link = self.link
        if link is None:
            return
        try:
            await self._orders.told(lambda link: link.close(self._fence))
        except WorkerRefused as err:
            await self._intake.submit(environment_rules.close_failed)
            if err.code == "kernel_busy":
                raise StateError("Worker IPython kernel is busy", code=err.code, hint=err.msg) from err
            raise
        except WorkerUnreachable:
            _log.warning("The worker does not answer; it is killed.")
            await link.kill()
        else:
            self._spawn(self._see_off(link))

    async def _see_off(self, link: WorkerLink) -> None:
        """A worker that has agreed to end is given the time for it."""
        done, _ = await asyncio.wait({link.died}, timeout=_CLOSING)
        if not done:
            _log.warning("The worker has not ended %s s after it was asked to; it is killed.", _CLOSING)
            await link.kill()

    async def _destroy(self, effect: effects.DestroyEnvironment) -> None:
        if self.link is not None:
            await self.link.kill()

    # -- reports -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then bring reports in, until cancelled."""
        bell = BellListener(self._instance.manager_bell, self._ring)
        try:
            await self.recover()
            await self._writer.look_again()
            while True:
                self._rung.clear()
                await self._bring_reports()
                self._on_console()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):  # not wait_for, which may swallow that this is cancelled
                        await self._rung.wait()
        finally:
            bell.close()

    def _ring(self, rung: set[bytes]) -> None:
        if REPORTS in rung:
            self._rung.set()
        if CONSOLE in rung:
            self._on_console()

    async def _bring_reports(self) -> None:
        if self.link is not None and self.link.environment_id not in self._ending:
            link = self.link
            await self._intake.apply(link.environment_id, link.reports_since)
            await self._acknowledge(link)
            await self._intake.tell_damage(link)

    async def _acknowledge(self, link: WorkerLink) -> None:
        environment_id, committed = self._writer.committed_reports  # what is only applied may be needed again
        if environment_id == link.environment_id and committed - self._acknowledged >= _ACK_EVERY:
            self._acknowledged = committed
            with contextlib.suppress(WorkerRefused, WorkerUnreachable):
                await link.ack(committed)

    # -- life and death ------------------------------------------------------------------------

    def _attach(self, link: WorkerLink) -> None:
        self.link = link
        self._acknowledged = 0
        self._funeral = self._spawn(self._await_death(link))
        self._on_opened()
        self._rung.set()

    async def _await_death(self, link: WorkerLink) -> None:
        reason = explained(await asyncio.shield(link.died), link.record.console)
        self._ending.add(link.environment_id)
        await self._intake.apply_last(link.environment_id, link.reports_since)
        self._on_console()
        await self._bury(link.record, reason)
        await link.detach()
        if self.link is link:
            self.link = None
        await self._intake.lost(link.environment_id, reason)

    async def _bury(self, record: EnvironmentRecord, reason: str, *, copied: bool = False) -> None:
        """Tell the relay, and take away what only a living worker may have; of one of another instance the record alone."""
        while True:
            try:
                mark_dead(self._instance.journal, record.environment_id, reason, time.time())
            except OSError as err:
                _log.error("The worker's death could not be marked in the journal: %s", err)
                await asyncio.sleep(_RETRY)
            else:
                break
        if copied:
            _log.warning("%s Nothing of it is touched.", reason)
            remove_environment(self._instance)
            return
        sweep_sockets(record)
        self._forget(record)

    def _forget(self, record: EnvironmentRecord) -> None:
        current = read_environment(self._instance)
        if current is not None and current.environment_id == record.environment_id:
            remove_environment(self._instance)

    async def catch_up(self) -> None:
        """Apply what the worker told since the last commit, before anybody is answered.

        A worker of which the store knows nothing is made known, so that nobody opens a second one before it is adopted.
        """
        await self._intake.catch_up()
        found, known = read_environment(self._instance), self._writer.state.environment
        if known.state == "closed" and found is not None and found.environment_id != known.environment_id and may_live(found):
            await self._meet_stranger(found, "The manager has not heard from it yet.")

    async def recover(self) -> None:
        """Find the worker that an earlier manager left, or learn what became of it."""
        spools: dict[str, SpoolReader] = {}

        async def meanwhile(record: EnvironmentRecord, reason: str) -> None:
            if record.environment_id != self._writer.state.environment.environment_id:
                await self._meet_stranger(record, reason)
            spool = spools.setdefault(record.environment_id, SpoolReader(record.reports))
            await self._intake.apply_unreachable(record.environment_id, spool, reason)

        self._recovered.clear()
        found = await find_worker(self._instance, self._fence, self._is_worker_wanted, meanwhile)
        await self._conclude(found)
        self._recovered.set()

    async def _conclude(self, found: WorkerLink | Gone | None) -> None:
        known = self._writer.state.environment.environment_id
        if isinstance(found, WorkerLink) and (found.environment_id != known or known == self._stranger):
            await self._adopt_foreign(found)
            return
        if isinstance(found, WorkerLink):
            self._attach(found)
            await self._bring_reports()
            outdated = found.facts is not None and found.facts.protocol < PROTOCOL
            await self._intake.submit(functools.partial(worker_adopted, outdated=outdated))
            return
        reason = _UNRECORDED
        copied = isinstance(found, Gone) and found.copied
        if isinstance(found, Gone):
            reason = found.reason if copied else explained(found.reason, found.record.console)
            await self._bury(found.record, reason, copied=copied)
        await self._lost(reason, copied=copied)

    async def _lost(self, reason: str, *, copied: bool = False) -> None:
        """The worker of the environment in the store is gone; ``copied``: it was left with the original of this directory."""
        known = self._writer.state.environment
        if known.state != "closed" and known.environment_id is not None:
            await self._intake.apply_last(known.environment_id)
            await self._intake.lost(known.environment_id, reason, copied=copied)

    async def _meet_stranger(self, record: EnvironmentRecord, reason: str) -> None:
        """A worker lives of which the store knows nothing, and does not answer (yet): it is the one environment all the same."""
        await self._lost(_UNRECORDED)
        self._stranger = record.environment_id
        await self._intake.stranger_unreachable(record.environment_id, reason)

    async def _adopt_foreign(self, link: WorkerLink) -> None:
        """Let a worker of which the store knows nothing finish its plan: the store was moved away, or forgets."""
        _log.warning("A worker is found that was opened with another store; its plan goes on, nothing more is started in it.")
        if self._writer.state.environment.environment_id != link.environment_id:
            await self._lost(_UNRECORDED)
        facts = link.facts
        rule = functools.partial(
            foreign_worker_adopted,
            environment_id=link.environment_id,
            engine=facts.engine if facts is not None else None,
            last_report=facts.last_report if facts is not None else 0,
        )
        await self._intake.submit(rule)
        self._attach(link)

    def _is_worker_wanted(self) -> bool:
        return self._writer.state.environment.state != "destroying"

    async def end(self) -> None:
        """End the worker because the manager ends: in order if it is idle, else by force."""
        link = self.link
        if link is None:
            await self._end_unreached()
            return
        with contextlib.suppress(QueueServerError):  # without the store the next manager finds out by itself
            await self._writer.submit(environment_rules.end_with_manager)
        with contextlib.suppress(WorkerRefused, WorkerUnreachable):
            await link.close(self._fence)
            await asyncio.wait({link.died}, timeout=_LAST_CLOSING)
        if not link.died.done():
            await link.kill()
        if self._funeral is not None:
            await asyncio.wait({self._funeral}, timeout=_LAST_CLOSING)

    async def _end_unreached(self) -> None:
        """`end` for a worker that lives and was not adopted; what became of it is put on record by `recover`."""
        record = read_environment(self._instance)
        if record is None or not may_live(record):
            return
        with contextlib.suppress(QueueServerError):
            await self._writer.submit(environment_rules.end_with_manager)
        _log.warning("The worker does not answer this manager, which ends; it is killed.")
        await kill_recorded(record)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_CLOSING):
                await self._recovered.wait()
                if self._funeral is not None:
                    await asyncio.wait({self._funeral})

    async def detach(self) -> None:
        """Let go of the worker; it goes on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.link is not None:
            await self.link.detach()
            self.link = None

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (err := task.exception()) is not None:
            level = logging.INFO if isinstance(err, QueueServerError) else logging.ERROR
            _log.log(level, "The worker was not moved: %s", err, exc_info=None if level == logging.INFO else err)


def _named(instance: Instance, environment_id: str) -> dict[str, str]:
    directory = instance.environment_dir(environment_id)
    return {
        "environment_id": environment_id,
        "directory": str(directory),
        "connection_file": str(directory / "kernel.json"),
    }
