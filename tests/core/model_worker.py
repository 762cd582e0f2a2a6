"""A scripted worker: what a real one does with the effects, as plain state, and what it reports."""

from __future__ import annotations

from collections import Counter
from typing import Any

from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.reports import (
    AnyReport,
    EngineState,
    EnvironmentClosed,
    EnvironmentFailed,
    EnvironmentReady,
    ItemEnded,
    ItemPaused,
    ItemTaken,
    RunClosed,
    RunOpened,
    StartupFile,
    TaskEnded,
)
from jupyter_queueserver.core.tasks import Task

PLANS: dict[str, Any] = {
    "count": {
        "name": "count",
        "properties": {"is_generator": True},
        "parameters": [{"name": "num", "kind": {"name": "POSITIONAL_OR_KEYWORD", "value": 1}, "default": "1"}],
    }
}
DEVICES: dict[str, Any] = {"det": {"is_readable": True, "is_movable": False, "is_flyable": False, "classname": "D"}}
#: how a continued plan ends
_ENDINGS = {"stop": "stopped", "abort": "aborted", "halt": "halted"}


class ModelWorker:
    """One environment's worker.

    Parameters
    ----------
    executed
        Counts, over all workers, how often each uid was begun.
    """

    def __init__(self, environment_id: str, executed: Counter[str]) -> None:
        self.environment_id = environment_id
        self.alive = True
        self.ready = False
        self.engine: str | None = None
        self.reports: list[AnyReport] = []
        self._executed = executed
        self._seen: set[str] = set()
        self._begun: set[str] = set()
        self._accepted: str | None = None
        self._running: str | None = None
        self._runs: list[str] = []
        self._pause_wanted = False
        self.cell_running = False
        self.tasks: dict[str, Task] = {}

    @property
    def is_free(self) -> bool:
        foreground = [task for task in self.tasks.values() if not task.background]
        return self._accepted is None and self._running is None and not foreground

    def say(self, report: AnyReport) -> None:
        self.reports.append(report)

    def load(self, fails: bool) -> None:
        """The startup code has run."""
        if not self.alive or self.ready:
            return
        if fails:
            self.say(EngineState(time=1.5, state="idle"))
            broken = StartupFile(name="00.py", seconds=0.1, error="KeyError: 'x'", line=3, traceback="...")
            self.say(EnvironmentFailed(time=2.0, msg="It failed.", files=(broken,)))
            self.alive = False
            return
        self.ready, self.engine = True, "idle"
        self.say(EnvironmentReady(time=2.0, plans=PLANS, devices=DEVICES, engine="idle"))

    def start(self, item: Item) -> None:
        """Accept an item, unless it was seen before."""
        if not self.alive or item.item_uid in self._seen:
            return
        assert self.ready, "an item was sent to a worker that is not ready"
        assert self.is_free, "an item was sent while another one is in hand"
        assert self.engine == "idle"
        self._seen.add(item.item_uid)
        self._accepted = item.item_uid

    def has_not_taken(self, uid: str) -> bool:
        """What its ledger would prove after its death."""
        return uid not in self._begun

    def start_task(self, task: Task) -> bool | None:
        """Accept and begin a task, unless it was seen before; False: refused, None: nobody answers."""
        if not self.alive:
            return None
        if task.task_uid in self._seen:
            return True
        assert self.ready, "a task was sent to a worker that is not ready"
        assert task.payload, "a task was sent without what it has to do"
        if self.cell_running and not task.background:
            return False
        assert task.background or self.is_free, "a foreground task was sent while something is in hand"
        self._seen.add(task.task_uid)
        self._executed[task.task_uid] += 1
        self.tasks[task.task_uid] = task
        return True

    def end_task(self, success: bool, value: str | None = None) -> None:
        """The oldest task ends."""
        if self.alive and self.tasks:
            uid = next(iter(self.tasks))
            del self.tasks[uid]
            msg = "" if success else "It failed."
            self.say(TaskEnded(time=5.0, task_uid=uid, success=success, msg=msg, return_value=value, time_start=4.0))

    def take(self) -> None:
        """The main thread begins with the accepted item."""
        if self.alive and self._accepted is not None:
            uid = self._running = self._accepted
            self._accepted = None
            self._begun.add(uid)
            self._executed[uid] += 1
            self.say(ItemTaken(time=3.0, item_uid=uid))
            self._engine_is("running")
            self._runs = [f"run-{uid}"]
            self.say(RunOpened(time=3.0, item_uid=uid, run_uid=self._runs[0], scan_id=len(self._executed)))

    def pause(self) -> bool:
        """Take a request to pause; False: refused."""
        if self.alive and self.engine == "running":
            self._pause_wanted = True
            return True
        return False

    def reach_checkpoint(self) -> None:
        if self.alive and self._pause_wanted and self._running is not None:
            self._pause_wanted = False
            self._engine_is("paused")
            self.say(ItemPaused(time=4.0, item_uid=self._running))

    def continue_(self, command: str) -> bool:
        """Take a command to a paused plan; False: refused."""
        if not self.alive or self.engine != "paused":
            return False
        if command == "resume":
            self._engine_is("running")
        else:
            self.end(_ENDINGS[command])
        return True

    def break_off(self, command: str) -> bool:
        """Take a command to a plan that is not paused; False: refused."""
        if not self.alive or self._running is None:
            return False
        self.end(_ENDINGS[command])
        return True

    def end(self, ending: Any) -> None:
        """The plan ends, or could not even be started (``refused``)."""
        uid = self._accepted if ending == "refused" else self._running
        if not self.alive or uid is None:
            return
        for run in self._runs:
            self.say(RunClosed(time=5.0, item_uid=uid, run_uid=run, exit_status="success"))
        if self.engine != "idle":
            self._engine_is("idle")
        runs, self._runs, self._running, self._accepted = self._runs, [], None, None
        self._pause_wanted = False
        self.say(ItemEnded(time=5.0, item_uid=uid, ending=ending, run_uids=tuple(runs), scan_ids=(None,) * len(runs), msg=ending))

    def close(self) -> bool:
        """End in order; False: refused."""
        if not self.is_free:
            return False
        self.say(EnvironmentClosed(time=6.0))
        self.alive = False
        return True

    def _engine_is(self, state: str) -> None:
        self.engine = state
        self.say(EngineState(time=4.0, state=state))
