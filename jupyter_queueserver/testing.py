"""Public fakes, for tests of whoever builds on this package.

`FakeWorker` behaves towards a manager like `jupyter_queueserver.link.worker.WorkerLink`, in this process and without plans,
devices or files: what its plans do is told beforehand.  Nothing here is used by the running server.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .core.codec import from_json, python_json
from .core.errors import WorkerRefused
from .core.items import Item
from .core.metadata_keys import permitted_metadata
from .core.reports import (
    EngineState,
    EnvironmentClosed,
    EnvironmentFailed,
    EnvironmentReady,
    ItemEnded,
    ItemPaused,
    ItemTaken,
    Report,
    RunClosed,
    RunOpened,
    TaskEnded,
)
from .core.tasks import TASK_TITLES, Task
from .instance import Identity
from .link.errors import WorkerUnreachable
from .link.messages import PROTOCOL, Allowed, Command, Facts, ItemFate, Phase, StartReply

Ending = Literal["completed", "failed", "stopped", "aborted", "halted", "refused"]


@dataclass
class FakePlan:
    """What happens when a plan of this name runs.

    Parameters
    ----------
    seconds
        How long it takes; 0: it ends in the next turn of the event loop; None: until `FakeWorker.finish` is called.
    runs
        How many runs it opens.
    error
        Text of the exception that ends it; None: it completes.
    refusal
        Reason why it cannot even be started; None: it can.
    """

    seconds: float | None = 0.0
    runs: int = 1
    error: str | None = None
    refusal: str | None = None


@dataclass
class FakeTask:
    """What happens when a task is done.

    Parameters
    ----------
    seconds
        How long it takes; 0: it ends in the next turn of the event loop; None: until `FakeWorker.finish_task` is called.
    value
        What it returns.
    error
        Text of the exception that ends it; None: it succeeds.
    """

    seconds: float | None = 0.0
    value: Any = None
    error: str | None = None


class FakeConsole:
    """Console text in memory, with the surface of `ConsoleReader`."""

    def __init__(self) -> None:
        self.text = b""

    @property
    def size(self) -> int:
        """Bytes so far."""
        return len(self.text)

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """As `ConsoleReader.read`."""
        return offset, self.text[offset : offset + limit]


@dataclass
class _Running:
    item: Item
    plan: FakePlan
    started: float
    run_uids: list[str] = field(default_factory=list)
    scan_ids: list[int | None] = field(default_factory=list)
    timer: asyncio.TimerHandle | asyncio.Handle | None = None


class FakeWorker:
    """A worker without a process.

    Parameters
    ----------
    plans, devices
        Existing ones in the wire form, as the report `EnvironmentReady` carries them.
    script
        What each plan does, by name; others are a `FakePlan()`.
    tasks
        What each task does, by name of the function, or ``script`` or ``update``; others are a `FakeTask()`.
    failure
        Sentence with which the startup code fails; None: it loads.
    load_by_hand
        Whether loading waits for `finish_loading`.
    ring
        Called after each report, like the bell.
    clock
        Seconds since the epoch.

    Attributes
    ----------
    calls
        Every request as ``(method, argument)``, in order.
    started
        uids of the items that were taken, and of the tasks that were begun, in order.
    metadata_values
        The RunEngine's metadata.
    acknowledged
        Number of the last acknowledged report.
    hold_items
        Set it to keep accepted items waiting (as a cell that holds the kernel does) until `take` is called.
    """

    acknowledged = 0
    hold_items = False
    pid = 0
    damage: str | None = None

    def __init__(
        self,
        *,
        plans: dict[str, Any] | None = None,
        devices: dict[str, Any] | None = None,
        script: dict[str, FakePlan] | None = None,
        tasks: dict[str, FakeTask] | None = None,
        failure: str | None = None,
        load_by_hand: bool = False,
        ring: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.time,
        adopted: bool = False,
    ) -> None:
        self.plans = plans or {}
        self.devices = devices or {}
        self.script = script or {}
        self.tasks = tasks or {}
        self.metadata_values: dict[str, Any] = {}
        self.ring = ring
        self.adopted = adopted
        self.environment_id = f"fake-{uuid.uuid4().hex[:8]}"
        self.identity = Identity(0, 0, "", "")
        self.facts: Facts | None = None
        self.console = FakeConsole()
        self.died: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.reports: list[Report] = []
        self.calls: list[tuple[str, Any]] = []
        self.started: list[str] = []
        self._clock = clock
        self._failure = failure
        self._refusals: dict[str, WorkerRefused] = {}
        self._unreachable = False
        self._fates: dict[str, ItemFate] = {}
        self._accepted: tuple[Item, Allowed] | None = None
        self._running: _Running | None = None
        self._tasks: dict[str, tuple[Task, FakeTask, float]] = {}
        self._phase: Phase = "loading"
        self._engine: str | None = None
        self._fence = 0
        self._scan_id = 0
        self._deferred = False
        self._loop = asyncio.get_running_loop()
        if not load_by_hand:
            self._loop.call_soon(self.finish_loading)

    # --- what a test says ---

    def refuse(self, method: str, msg: str, code: str = "worker_refused") -> None:
        """Refuse the next request of that method (``"start"``, ``"pause"`` ...)."""
        self._refusals[method] = WorkerRefused(msg, code=code)

    def set_unreachable(self, unreachable: bool = True) -> None:
        """Answer no request (as after a time-out), or answer again."""
        self._unreachable = unreachable

    def die(self, reason: str = "The worker process was killed by signal 9 (SIGKILL).") -> None:
        """Lose the process at once, whatever runs."""
        if self._running is not None and self._running.timer is not None:
            self._running.timer.cancel()
        if not self.died.done():
            self.died.set_result(reason)

    def print(self, text: str) -> None:
        """Add console text."""
        self.console.text += text.encode()
        self._ring()

    def emit(self, report: Report) -> None:
        """Add a report and ring."""
        self.reports.append(report)
        self._ring()

    def finish_loading(self) -> None:
        """The startup code is through (or has failed)."""
        if self._phase != "loading" or self.died.done():
            return
        if self._failure is not None:
            self._phase = "failed"
            self.emit(EnvironmentFailed(time=self._clock(), msg=self._failure))
            self._loop.call_soon(self.die, "The worker process ended with exit code 3.")
            return
        self._phase = "open"
        self._engine = "idle"
        self.emit(EnvironmentReady(time=self._clock(), plans=self.plans, devices=self.devices, engine="idle"))

    def take(self) -> None:
        """Take the accepted item; happens by itself unless `hold_items` is set (a cell holds the kernel)."""
        if self._accepted is None or self.died.done():
            return
        (item, _), self._accepted = self._accepted, None
        plan = self.script.get(item.name, FakePlan())
        self._fates[item.item_uid] = "taken"
        self.started.append(item.item_uid)
        self.emit(ItemTaken(time=self._clock(), item_uid=item.item_uid))
        self._running = _Running(item, plan, self._clock())
        if plan.refusal is not None:
            self._end("refused", plan.refusal)
            return
        self._set_engine("running")
        self._open_runs(self._running)
        self._arm(self._running)

    def finish(self) -> None:
        """End the running plan as its script says."""
        assert self._running is not None, "no plan is running"
        error = self._running.plan.error
        if error is None:
            self._end("completed")
        else:
            self._end("failed", f"Plan failed: {error}", f"Traceback (most recent call last):\n{error}\n")

    def checkpoint(self) -> None:
        """Reach a checkpoint: a deferred pause that waits becomes a pause."""
        if self._deferred:
            self._deferred = False
            self._pause_now()

    def finish_task(self, task_uid: str, error: str | None = None) -> None:
        """End a running task as its script says, or with that error."""
        if task_uid not in self._tasks or self.died.done():
            return
        task, script, began = self._tasks.pop(task_uid)
        error = error or script.error
        self._fates[task_uid] = "ended"
        self.emit(
            TaskEnded(
                time=self._clock(),
                task_uid=task_uid,
                success=error is None,
                msg="" if error is None else f"Error occurred while executing '{TASK_TITLES[task.kind]}': {error}",
                traceback="" if error is None else f"Traceback (most recent call last):\n{error}\n",
                return_value=None if error or script.value is None else python_json(script.value).decode(),
                time_start=began,
            )
        )

    # --- the surface of WorkerLink ---

    async def hello(self, fence: int, *, limit: float = 2.0) -> Facts:
        """As `WorkerLink.hello`."""
        await self._request("hello", fence, fence)
        self.facts = self._facts()
        return self.facts

    async def status(self, fence: int | None = None, *, limit: float = 2.0) -> Facts:
        """As `WorkerLink.status`."""
        await self._request("status", None, fence)
        self.facts = self._facts()
        return self.facts

    async def start(self, item: Item, fence: int, allowed: Allowed | None = None) -> StartReply:
        """As `WorkerLink.start`."""
        await self._request("start", item.item_uid, fence)
        if item.item_uid in self._fates:
            return StartReply(accepted=False, fate=self._fates[item.item_uid])
        if self._phase != "open":
            raise WorkerRefused("The environment is not open.", code="not_open")
        if not self._is_free:
            raise WorkerRefused("Another item or task is accepted or running.", code="busy")
        self._accepted = (item, allowed or Allowed())
        self._fates[item.item_uid] = "accepted"
        if not self.hold_items:
            self._loop.call_soon(self.take)
        return StartReply(accepted=True, fate="accepted")

    async def withdraw(self, item_uid: str, fence: int) -> None:
        """As `WorkerLink.withdraw`."""
        await self._request("withdraw", item_uid, fence)
        if self._accepted is None or self._accepted[0].item_uid != item_uid:
            code = "already_taken" if item_uid in self._fates else "unknown_item"
            raise WorkerRefused("The item is not waiting to be taken.", code=code)
        self._accepted = None
        self._fates[item_uid] = "withdrawn"

    async def pause(self, deferred: bool, fence: int) -> bool:
        """As `WorkerLink.pause`."""
        await self._request("pause", deferred, fence)
        if self._engine != "running":
            raise WorkerRefused("No plan is running.", code="not_running")
        self._deferred = deferred
        if deferred:
            self.emit(EngineState(time=self._clock(), state="running", deferred=True))
        else:
            self._loop.call_soon(self._pause_now)
        return True

    async def break_off(self, command: Literal["abort", "halt"], fence: int) -> bool:
        """As `WorkerLink.break_off`."""
        await self._request("break_off", command, fence)
        if self._running is None:
            raise WorkerRefused("No plan of the queue is running.", code="not_running")
        self._loop.call_soon(self._end, "aborted" if command == "abort" else "halted")
        return True

    async def continue_(self, command: Command, fence: int) -> None:
        """As `WorkerLink.continue_`."""
        await self._request("continue", command, fence)
        if self._running is None or self._engine != "paused":
            raise WorkerRefused("The plan is not paused.", code="not_paused")
        if command == "resume":
            self._set_engine("running")
            self._arm(self._running)
            return
        endings: dict[Command, Ending] = {"stop": "stopped", "abort": "aborted", "halt": "halted"}
        self._loop.call_soon(self._end, endings[command])

    async def start_task(self, task: Task, fence: int) -> StartReply:
        """As `WorkerLink.start_task`."""
        await self._request("start_task", task.task_uid, fence)
        if task.task_uid in self._fates:
            return StartReply(accepted=False, fate=self._fates[task.task_uid])
        if self._phase != "open":
            raise WorkerRefused("The environment is not open.", code="not_open")
        if not task.background and not self._is_free:
            raise WorkerRefused("A plan or another task is accepted or running.", code="busy")
        name = from_json(task.payload)["name"] if task.kind == "function" else task.kind
        script = self.tasks.get(name, FakeTask())
        self._fates[task.task_uid] = "taken"
        self._tasks[task.task_uid] = (task, script, self._clock())
        self.started.append(task.task_uid)
        if script.seconds == 0:
            self._loop.call_soon(self.finish_task, task.task_uid)
        elif script.seconds is not None:
            self._loop.call_later(script.seconds, self.finish_task, task.task_uid)
        return StartReply(accepted=True, fate="accepted")

    async def interrupt(self, fence: int, *, plan: bool, task: bool) -> None:
        """As `WorkerLink.interrupt`."""
        await self._request("interrupt", (plan, task), fence)
        if self._foreground is not None:
            if not task:
                raise WorkerRefused("A task is running.", code="task_running")
            self._loop.call_soon(self.finish_task, self._foreground, "It was interrupted.")
        elif self._engine == "running":
            if not plan:
                raise WorkerRefused("A plan is running.", code="plan_running")
            self._loop.call_soon(self._pause_now)

    async def metadata(self, keys: tuple[str, ...]) -> str:
        """As `WorkerLink.metadata`."""
        await self._request("metadata", keys, None)
        try:
            return python_json(permitted_metadata(self.metadata_values, keys)).decode()
        except TypeError as err:
            msg = f"Failed to serialize RE metadata with JSON: {err}"
            raise WorkerRefused(msg, code="metadata_not_json") from err

    async def ack(self, n: int) -> None:
        """As `WorkerLink.ack`."""
        await self._request("ack", n, None)
        self.acknowledged = max(self.acknowledged, n)

    async def close(self, fence: int) -> None:
        """As `WorkerLink.close`."""
        await self._request("close", None, fence)
        if not self._is_free:
            raise WorkerRefused("A plan is running or paused, or a foreground task is running.", code="busy")
        self._phase = "closing"
        self.emit(EnvironmentClosed(time=self._clock()))
        self._loop.call_soon(self.die, "The worker process ended with exit code 0.")

    async def kill(self) -> str:
        """As `WorkerLink.kill`."""
        self.calls.append(("kill", None))
        self.die()
        return await self.died

    def reports_since(self, n: int) -> list[tuple[int, Report]]:
        """As `WorkerLink.reports_since`."""
        return list(enumerate(self.reports[n:], start=n + 1))

    def take_contradiction(self) -> str | None:
        """As `WorkerLink.take_contradiction`: a list contradicts itself never."""
        return None

    async def detach(self) -> None:
        """As `WorkerLink.detach`."""
        self.calls.append(("detach", None))

    # --- inside ---

    async def _request(self, method: str, argument: Any, fence: int | None) -> None:
        self.calls.append((method, argument))
        await asyncio.sleep(0)
        if self.died.done():
            raise WorkerUnreachable(self.died.result())
        if self._unreachable:
            raise WorkerUnreachable("The worker did not answer within 2 s.")
        refusal = self._refusals.pop(method, None)
        if refusal is not None:
            raise refusal
        if fence is not None and fence < self._fence:
            raise WorkerRefused("The command comes from a manager that was replaced.", code="older_fence")
        self._fence = max(self._fence, fence or 0)

    def _facts(self) -> Facts:
        return Facts(
            pid=self.pid,
            nonce="fake",
            protocol=PROTOCOL,
            phase=self._phase,
            engine=self._engine,
            running=self._running.item.item_uid if self._running else None,
            accepted=self._accepted[0].item_uid if self._accepted else None,
            last_report=len(self.reports),
            tasks=tuple(self._tasks),
        )

    @property
    def _foreground(self) -> str | None:
        return next((uid for uid, (task, _, _) in self._tasks.items() if not task.background), None)

    @property
    def _is_free(self) -> bool:
        return self._accepted is None and self._running is None and self._foreground is None

    def _open_runs(self, running: _Running) -> None:
        for _ in range(running.plan.runs):
            self._scan_id += 1
            running.run_uids.append(str(uuid.uuid4()))
            running.scan_ids.append(self._scan_id)
            self.emit(
                RunOpened(
                    time=self._clock(),
                    item_uid=running.item.item_uid,
                    run_uid=running.run_uids[-1],
                    scan_id=self._scan_id,
                )
            )

    def _arm(self, running: _Running) -> None:
        if running.plan.seconds is None:
            return
        if running.plan.seconds == 0:
            running.timer = self._loop.call_soon(self.finish)
        else:
            running.timer = self._loop.call_later(running.plan.seconds, self.finish)

    def _pause_now(self) -> None:
        if self._running is None or self._engine != "running":
            return
        if self._running.timer is not None:
            self._running.timer.cancel()
        self._set_engine("pausing")
        self._set_engine("paused")
        self.emit(ItemPaused(time=self._clock(), item_uid=self._running.item.item_uid))

    def _end(self, ending: Ending, msg: str = "", traceback: str = "") -> None:
        running, self._running = self._running, None
        if running is None or self.died.done():
            return
        self._deferred = False
        statuses = {"completed": "success", "stopped": "success", "failed": "fail"}
        for run_uid in running.run_uids:
            self.emit(
                RunClosed(
                    time=self._clock(),
                    item_uid=running.item.item_uid,
                    run_uid=run_uid,
                    exit_status=statuses.get(ending, "abort"),
                )
            )
        if ending != "refused":
            self._set_engine("idle")
        self._fates[running.item.item_uid] = "ended"
        self.emit(
            ItemEnded(
                time=self._clock(),
                item_uid=running.item.item_uid,
                ending=ending,
                run_uids=tuple(running.run_uids),
                scan_ids=tuple(running.scan_ids),
                msg=msg,
                traceback=traceback,
                time_start=running.started,
            )
        )

    def _set_engine(self, state: str) -> None:
        self._engine = state
        self.emit(EngineState(time=self._clock(), state=state))

    def _ring(self) -> None:
        if self.ring is not None:
            self.ring()
