"""The worker of the conversations, played: what its plans, functions and scripts do is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from line import BROKEN_SCRIPT
from msgspec.structs import replace

from jupyter_queueserver.core.codec import from_json
from jupyter_queueserver.core.reports import Report, TaskEnded
from jupyter_queueserver.core.tasks import Task
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.link.bell import REPORTS, ring
from jupyter_queueserver.link.environment import EnvironmentRecord, write_environment
from jupyter_queueserver.link.messages import StartReply
from jupyter_queueserver.testing import FakePlan, FakeTask, FakeWorker

SCRIPT = {
    "long_count": FakePlan(seconds=None),
    "hold": FakePlan(seconds=None),
    "quick": FakePlan(runs=0),
    "failing_plan": FakePlan(error="simulated failure"),
}
TASKS = {
    "double": FakeTask(value=42),
    "broken": FakeTask(error="simulated mistake"),
    "linger": FakeTask(seconds=None),
    "nowhere": FakeTask(error="Function 'nowhere' is not found in the worker namespace."),
}
#: Keys of a Jupyter connection file.
CONNECTION = (
    *("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port"),
    *("transport", "ip", "key", "signature_scheme", "kernel_name"),
)


class Actor(FakeWorker):
    """Plays the plans, functions and scripts of the conversations."""

    def __init__(self, record: EnvironmentRecord, **given: Any) -> None:
        super().__init__(script=SCRIPT, tasks=dict(TASKS), **given)
        self.record = record
        self.environment_id = record.environment_id
        self.metadata_values = {"scan_id": 1, "versions": {}}
        self.connection_info = dict.fromkeys(CONNECTION, "")

    async def pause(self, deferred: bool, fence: int) -> bool:
        heard = await super().pause(deferred, fence)
        if deferred:
            self._loop.call_soon(self.checkpoint)
        return heard

    async def start_task(self, task: Task, fence: int) -> StartReply:
        if task.kind == "script":
            broken = from_json(task.payload)["script"] == BROKEN_SCRIPT
            self.tasks["script"] = FakeTask(error="Failed to execute stript: simulated mistake" if broken else None)
        return await super().start_task(task, fence)

    def emit(self, report: Report) -> None:
        if isinstance(report, TaskEnded) and "is not found" in report.msg:  # it is nobody's code that failed
            report = replace(report, traceback="")
        super().emit(report)

    def let_go(self) -> None:
        """What waits goes on: tasks first."""
        for uid, (_, script, _) in list(self._tasks.items()):
            if script.seconds is None:
                self.finish_task(uid)
                return
        self.finish()


def launcher(plans: dict[str, Any], devices: dict[str, Any]) -> Callable[..., Any]:
    """Return what stands for `WorkerLink.launch`: environments with these plans and devices, in the wire form."""

    async def launch(instance: Instance, record: EnvironmentRecord, **_: Any) -> Actor:
        write_environment(instance, record)
        record.reports.mkdir(parents=True)
        return Actor(record, plans=plans, devices=devices, ring=lambda: ring(instance.manager_bell, REPORTS))

    return launch
