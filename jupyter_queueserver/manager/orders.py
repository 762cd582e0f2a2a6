"""What the worker is told while its environment is open: items, tasks, pauses, commands to a paused plan, questions.

It repeats what may not have been heard, as long as it is still wanted, and hands refusals to the core.  Opening and ending a
worker is the matter of `jupyter_queueserver.manager.environment`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..core import effects
from ..core.decision import Step
from ..core.errors import QueueServerError, ServiceError, StateError, WorkerRefused
from ..core.items import Item
from ..core.rules import execution as execution_rules
from ..core.rules import pending as pending_rules
from ..core.rules import tasks as task_rules
from ..core.rules.execution import end_running
from ..link.errors import WorkerUnreachable
from ..link.messages import Allowed
from ..link.worker import WorkerLink
from .intake import Intake
from .once import SaidOnce
from .writer import Writer

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Refusals of the worker that say nothing about the item.
_NOT_ITS_MANAGER = ("older_fence", "not_manager", "wrong_environment")
#: Answer to who asked for what a plan that holds the RunEngine does not let it do.
_HELD = (
    "The plan holds the RunEngine, which will do this when the plan lets go. "
    "If that takes too long, the key re_pending of the status says what can be done next."
)
_STOPPED_INSTEAD = "The plan has ended before it could pause: the queue has stopped instead."
_LOOK_AGAIN = "There is nothing left to pause or to end: look at the status in a moment."
_WAITS = "There is nothing left to pause or to end. How it ended is written down, and the queue goes on, when the store is back."
_UNKNOWN = "Plan execution status was lost: the worker had this item before, and its report is gone"
#: Looks for the report of an item that the worker had before.
_PATIENCE = 20
#: Seconds between two attempts at a worker that does not answer.
_RETRY = 0.5


class Orders:
    """Orders to the worker of one instance.

    Parameters
    ----------
    link
        Gives the worker of this moment; None: there is none.
    fence
        Number of this manager's lease.
    on_replaced
        Called when the worker obeys a later manager: this one must end.
    """

    def __init__(
        self,
        link: Callable[[], WorkerLink | None],
        fence: int,
        writer: Writer,
        intake: Intake,
        on_replaced: Callable[[], None],
    ) -> None:
        self._link = link
        self._fence = fence
        self._writer = writer
        self._intake = intake
        self._on_replaced = on_replaced
        self.actions: dict[type, Callable[[Any], Coroutine[Any, Any, str | None]]] = {
            effects.StartItem: self._start,
            effects.PauseEngine: self._pause,
            effects.ContinueEngine: self._continue,
            effects.BreakOffPlan: self._break_off,
            effects.StartTask: self._start_task,
            effects.InterruptKernel: self._interrupt,
        }

    async def _start(self, effect: effects.StartItem) -> None:
        item = effect.item
        waiting = SaidOnce(_log)
        while self._link() is not None and self._is_running(item):
            try:
                reply = await self.told(lambda link: link.start(item, self._fence, self._allowed(item)))
            except WorkerUnreachable as err:
                waiting.failed(f"Item {item.item_uid} could not be handed over yet: {err.msg}")
                await asyncio.sleep(_RETRY)
                continue
            except WorkerRefused as err:
                if err.code in _NOT_ITS_MANAGER:
                    raise
                await self._intake.submit(functools.partial(_end_refused, item_uid=item.item_uid, msg=err.msg))
            else:
                waiting.over(f"Item {item.item_uid} is handed over.")
                if not reply.accepted and reply.fate in ("ended", "withdrawn"):
                    await self._learn_ending(item)
            return

    async def _learn_ending(self, item: Item) -> None:
        """The worker has seen the item and is done with it: its reports say how it ended, or nobody will ever know."""
        looks = 0
        while looks < _PATIENCE:  # a full disk keeps a report back
            if (link := self._link()) is None:
                return
            await self._intake.apply(link.environment_id, link.reports_since)
            if not self._is_running(item):
                return
            looks += await self._has_told_all(link)
            await asyncio.sleep(_RETRY)
        if self._is_running(item):
            _log.error("The worker had item %s before, and nothing is known of its ending.", item.item_uid)
            await self._intake.submit(functools.partial(_end_unknown, item_uid=item.item_uid))

    async def _has_told_all(self, link: WorkerLink) -> bool:
        """Whether there is no report that has not been read; False also if the worker does not answer."""
        try:
            facts = await link.status(self._fence)
        except (WorkerRefused, WorkerUnreachable):
            return False
        return facts.last_report <= self._writer.state.environment.reports_applied

    def _is_running(self, item: Item) -> bool:
        running = self._writer.state.running
        return running is not None and running.item_uid == item.item_uid

    def _allowed(self, item: Item) -> Allowed:
        return Allowed(group=item.user_group, permissions=self._writer.state.catalogue.permissions_text())

    async def _pause(self, effect: effects.PauseEngine) -> str:
        try:
            heard = await self.told(lambda link: link.pause(effect.deferred, self._fence))
        except (WorkerRefused, ServiceError) as err:
            ended = self._has_ended(err)
            if not await self._take_pause_back():
                return _STOPPED_INSTEAD
            if ended is not None:
                raise ended from err
            raise
        return "" if heard else _HELD

    async def _take_pause_back(self) -> bool:
        """The plan does not pause; False if the plan has ended meanwhile and the wish has stopped the queue."""
        was_pending: list[bool] = []

        def rule(step: Step) -> None:
            was_pending[:] = [step.state.execution.pause_pending]
            execution_rules.pause_failed(step)

        await self._intake.submit(rule, durable=False)
        return was_pending != [False]

    async def _break_off(self, effect: effects.BreakOffPlan) -> str:
        try:
            heard = await self.told(lambda link: link.break_off(effect.command, self._fence))
        except (WorkerRefused, ServiceError) as err:
            ended = self._has_ended(err)
            rule = functools.partial(pending_rules.break_off_failed, command=effect.command, before=effect.before)
            await self._intake.submit(rule, durable=False)
            if ended is not None:
                raise ended from err
            raise
        return "" if heard else _HELD

    def _has_ended(self, err: QueueServerError) -> StateError | None:
        """What to say if the worker runs no plan any more and its end is not part of the state yet; None: it is not so."""
        if err.code != "not_running" or self._writer.state.running is None:
            return None
        if (refused := self._writer.store_refusal) is None:
            return StateError("The plan has just ended; its report is on its way.", code=err.code, hint=_LOOK_AGAIN)
        return StateError(f"The plan has ended; its report waits for the store. {refused}", code=err.code, hint=_WAITS)

    async def _continue(self, effect: effects.ContinueEngine) -> None:
        asked = False
        while self._link() is not None:  # without one the wish stands, and is repeated when the worker is adopted
            try:
                await self.told(lambda link: link.continue_(effect.command, self._fence))
            except WorkerRefused as err:
                if err.code in ("not_paused", "command_pending"):  # it was heard before, or somebody else was faster
                    if asked:
                        return
                    raise  # the reports say in which state the plan is
                await self._intake.submit(execution_rules.continue_failed, durable=False)
                raise
            except WorkerUnreachable:
                asked = True
                if not self._is_wanted(effect.command):
                    raise
                await asyncio.sleep(_RETRY)
            else:
                return

    def _is_wanted(self, command: str) -> bool:
        state = self._writer.state
        return state.engine == "paused" and state.execution.command == command

    async def _start_task(self, effect: effects.StartTask) -> None:
        uid = effect.task.task_uid
        waiting = SaidOnce(_log)
        while self._link() is not None and any(task.task_uid == uid for task in self._writer.state.tasks):
            try:
                await self.told(lambda link: link.start_task(effect.task, self._fence))
            except WorkerUnreachable as err:
                waiting.failed(f"Task {uid} could not be handed over yet: {err.msg}")
                await asyncio.sleep(_RETRY)
                continue
            except WorkerRefused as err:
                if err.code in _NOT_ITS_MANAGER:
                    raise
                await self._intake.submit(functools.partial(task_rules.refused, task_uid=uid))
                raise task_rules.refusal(uid, err) from err
            waiting.over(f"Task {uid} is handed over.")
            # It need not be committed: a manager that does not know it hands the task over again, and learns it.
            await self._intake.submit(functools.partial(task_rules.accepted, task_uid=uid), durable=False)
            return

    async def _interrupt(self, effect: effects.InterruptKernel) -> None:
        try:
            await self.told(lambda link: link.interrupt(self._fence, plan=effect.plan, task=effect.task))
        except (WorkerRefused, ServiceError):
            await self._intake.submit(execution_rules.pause_failed, durable=False)
            raise

    async def read_metadata(self) -> str | QueueServerError | None:
        """Ask the worker for the RunEngine's metadata: JSON text, or why they are not told; None without an open environment."""
        keys = self._writer.config.permitted_metadata_keys
        environment = self._writer.state.environment
        if self._link() is None or environment.state != "open":
            return None
        if environment.outdated:
            return StateError(
                "RE Worker environment was opened by an earlier version of the server, which does not tell its metadata.",
                code="worker_outdated",
                hint="Close the environment and open it again; the queue stays as it is.",
            )
        try:
            return await self.told(lambda link: link.metadata(keys))
        except QueueServerError as err:
            if err.code == "metadata_not_json":
                err.prefix = ""  # its text begins as the interface wants it
            return err

    async def told(self, tell: Callable[[WorkerLink], Coroutine[Any, Any, T]]) -> T:
        """Tell the worker something; a worker that does not know its manager (any more) is greeted first."""
        link = self._link()
        if link is None:
            raise WorkerUnreachable(
                "The manager has not found its worker (yet).",
                hint="Repeat the request in a moment; the status says whether there is a worker and whether it answers.",
            )
        try:
            return await tell(link)
        except WorkerRefused as err:
            if err.code == "older_fence":
                self._on_replaced()
            if err.code != "not_manager":
                raise
        await link.hello(self._fence)
        return await tell(link)


def _end_refused(step: Step, item_uid: str, msg: str) -> None:
    running = step.state.running
    if running is not None and running.item_uid == item_uid:
        end_running(step, ending="refused", exit_status="failed", run_uids=(), scan_ids=(), msg=msg)


def _end_unknown(step: Step, item_uid: str) -> None:
    running = step.state.running
    if running is not None and running.item_uid == item_uid:
        end_running(step, ending="lost", exit_status="unknown", run_uids=(), scan_ids=(), msg=_UNKNOWN, again=False)
