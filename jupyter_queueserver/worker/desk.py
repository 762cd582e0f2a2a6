"""The control desk: answers the manager's requests in the control thread, while a plan runs and while a cell holds the kernel.

It knows who the manager is (session, nonce, fence) and refuses everybody else.  It never runs a plan: what the main thread must
do is left in the ledger or in `take_command`, and the main thread's own doorbell is rung.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from ..link.environment import EnvironmentRecord
from ..link.messages import (
    OLDEST_PROTOCOL,
    PROTOCOL,
    Ack,
    AnyRequest,
    BreakOff,
    Close,
    Command,
    Continue,
    Facts,
    Heard,
    Hello,
    Interrupt,
    Metadata,
    Pause,
    Phase,
    ReadMetadata,
    Refusal,
    Start,
    StartReply,
    StartTask,
    Status,
    Withdraw,
    reply_content,
    request_from_content,
)
from ..link.spool import SpoolWriter
from .engine import Engine
from .interrupts import interrupt_main_thread
from .ledger import AcceptedItem, AcceptedTask, Ledger
from .metadata import MetadataUnreadable, read_metadata
from .tasks import TaskRunner

log = logging.getLogger(__name__)

Answer = msgspec.Struct | None

#: Seconds that a pause may hold up the control thread when the plan blocks the RunEngine.
PAUSE_LIMIT = 0.3
#: Seconds that the RunEngine's metadata may take to be read: they may be kept somewhere else by the startup code.
METADATA_LIMIT = 0.5

_CELL_RUNNING = "A cell of an attached console is running in the worker's kernel."
_LOADING = "The environment is still loading its startup code."
_NOT_OPEN: dict[Phase, str] = {
    "loading": _LOADING,
    "failed": "The startup code could not be loaded; the worker is ending.",
    "closing": "The environment is being closed.",
}


class ControlDesk:
    """All requests of one worker.

    Parameters
    ----------
    ring_main
        Rings the main thread's doorbell; returns at once, from any thread.
    tasks
        Begins background tasks, and interrupts the foreground one.

    Attributes
    ----------
    phase
        Where the environment is in its life; set by the main thread, and to ``closing`` by a close request.
    cell_running
        Whether a cell holds the kernel; set by the kernel.
    """

    def __init__(
        self,
        record: EnvironmentRecord,
        ledger: Ledger,
        engine: Engine,
        spool: SpoolWriter,
        ring_main: Callable[[], None],
        tasks: TaskRunner,
    ) -> None:
        self._tasks = tasks
        self._record = record
        self._ledger = ledger
        self._engine = engine
        self._spool = spool
        self._ring_main = ring_main
        self._manager: str | None = None
        self._fence = 0
        self._lock = threading.Lock()
        self._command: Command | None = None
        self.phase: Phase = "loading"
        self.cell_running = False
        self._handlers: dict[type, Callable[[Any], Answer]] = {
            Start: self._start,
            Withdraw: self._withdraw,
            Pause: self._pause,
            Continue: self._continue,
            BreakOff: self._break_off,
            Ack: self._ack,
            Close: self._close,
            Status: self._status,
            StartTask: self._start_task,
            Interrupt: self._interrupt,
            ReadMetadata: self._read_metadata,
        }

    def is_manager(self, session: str) -> bool:
        """Whether this Jupyter session is the manager's."""
        return self._manager is not None and session == self._manager

    def handle(self, session: str, content: Any) -> dict[str, Any]:
        """Answer one request; never raises."""
        try:
            return reply_content(self._answer(session, content))
        except Exception as err:  # boundary of one request; the control thread must live on
            log.exception("a request of the control channel failed")
            return reply_content(Refusal(code="internal_error", msg=f"The worker failed at it: {err!r}"))

    def take_command(self) -> Command | None:
        """The main thread takes the command for the paused plan, if there is one."""
        with self._lock:
            command, self._command = self._command, None
            return command

    def begin_close(self) -> bool:
        """Nothing is taken from now on; False when it is too late or something is under way."""
        if self.phase != "open" or not self._ledger.is_free:
            return False
        self.phase = "closing"
        self._ring_main()
        return True

    def _answer(self, session: str, content: Any) -> Answer:
        try:
            request = request_from_content(content)
        except ValueError as err:
            return Refusal(code="malformed_request", msg=f"The request cannot be understood: {err}")
        refusal = self._stranger(session, request)
        if refusal is not None:
            return refusal
        self._fence = max(self._fence, request.fence)
        if isinstance(request, Hello):
            self._manager = session
            return self.facts()
        return self._handlers[type(request)](request)

    def _stranger(self, session: str, request: AnyRequest) -> Refusal | None:
        if request.environment_id != self._record.environment_id:
            return Refusal(code="wrong_environment", msg="This worker belongs to another environment.")
        if request.until is not None and time.monotonic() > request.until:
            return Refusal(code="expired", msg="Nobody waits for this request any more; it is not done.")
        if request.fence < self._fence:
            return Refusal(code="older_fence", msg="The command comes from a manager that was replaced by another one.")
        if not isinstance(request, Hello):
            if self.is_manager(session):
                return None
            return Refusal(code="not_manager", msg="The worker obeys its manager only.")
        if request.nonce != self._record.nonce:
            return Refusal(code="wrong_nonce", msg="The greeting does not fit this environment.")
        if request.protocol < OLDEST_PROTOCOL:
            return Refusal(
                code="wrong_protocol",
                msg=f"The worker speaks versions {OLDEST_PROTOCOL} to {PROTOCOL} of the protocol, not {request.protocol}.",
            )
        return None

    def facts(self) -> Facts:
        """What holds now."""
        return Facts(
            pid=os.getpid(),
            nonce=self._record.nonce,
            protocol=PROTOCOL,
            phase=self.phase,
            engine=self._engine.state,
            running=self._ledger.running,
            accepted=self._ledger.accepted,
            last_report=self._spool.last,
            cell_running=self.cell_running,
            tasks=self._ledger.tasks,
        )

    def _status(self, request: Status) -> Answer:
        return self.facts()

    def _start(self, request: Start) -> Answer:
        fate = self._ledger.fate(request.item_uid)
        if fate is not None:
            return StartReply(accepted=False, fate=fate)
        if self.phase != "open":
            return Refusal(code="not_open", msg=_NOT_OPEN[self.phase])
        item = AcceptedItem(request.item_uid, request.item_text, request.allowed, request.fence)
        if not self._ledger.accept(item):
            return Refusal(code="busy", msg="Another item or task is accepted or running.")
        self._ring_main()
        return StartReply(accepted=True, fate="accepted")

    def _start_task(self, request: StartTask) -> Answer:
        fate = self._ledger.fate(request.task_uid)
        if fate is not None:
            return StartReply(accepted=False, fate=fate)
        if self.phase != "open":
            return Refusal(code="not_open", msg=_NOT_OPEN[self.phase])
        if self.cell_running and not request.background:
            return Refusal(code="kernel_busy", msg=_CELL_RUNNING)
        task = AcceptedTask(request.task_uid, request.kind, request.background, request.payload, request.fence)
        if not self._ledger.accept_task(task):
            return Refusal(code="busy", msg="A plan or another task is accepted or running.")
        if task.background:
            self._tasks.begin_background(task)
        else:
            self._ring_main()
        return StartReply(accepted=True, fate="accepted")

    def _interrupt(self, request: Interrupt) -> Answer:
        if self._ledger.foreground is not None and not request.task:
            return Refusal(code="task_running", msg="A task is running.")
        plan_runs = self._ledger.running is not None and self._engine.state != "paused"
        if plan_runs and not request.plan:
            return Refusal(code="plan_running", msg="A plan is running.")
        if plan_runs or self._engine.state == "running":  # the RunEngine has its own way with signals: it takes time to think
            return _heard(self._engine.request_pause(False, PAUSE_LIMIT))
        if self._ledger.foreground is not None:
            self._tasks.interrupt()
        elif self.cell_running:
            interrupt_main_thread()
        return None

    def _read_metadata(self, request: ReadMetadata) -> Answer:
        if self._engine.run_engine is None:
            return Refusal(code="no_engine", msg="Run Engine is not found in the RE Worker environment.")
        try:
            return Metadata(text=read_metadata(self._engine.run_engine, request.keys, METADATA_LIMIT))
        except MetadataUnreadable as err:
            return Refusal(code=err.code, msg=str(err))

    def _withdraw(self, request: Withdraw) -> Answer:
        if self._ledger.withdraw(request.item_uid):
            return None
        fate = self._ledger.fate(request.item_uid)
        if fate is None:
            return Refusal(code="unknown_item", msg="The worker has not seen this item.")
        if fate == "withdrawn":
            return None
        return Refusal(code="already_taken", msg="The item was taken before it could be withdrawn.")

    def _pause(self, request: Pause) -> Answer:
        if self._ledger.running is None and self._engine.state != "running":
            return Refusal(code="not_running", msg="No plan is running.")
        return _heard(self._engine.request_pause(request.deferred, PAUSE_LIMIT))

    def _continue(self, request: Continue) -> Answer:
        if self._ledger.running is None or self._engine.state != "paused":
            return Refusal(code="not_paused", msg="No plan of the queue is paused.")
        with self._lock:
            if self._command is not None:
                return Refusal(code="command_pending", msg=f"The plan was told to {self._command} a moment ago.")
            self._command = request.command
        self._ring_main()
        return None

    def _break_off(self, request: BreakOff) -> Answer:
        if self._ledger.running is None or self._engine.state == "idle":
            return Refusal(code="not_running", msg="No plan of the queue is running.")
        return _heard(self._engine.break_off(request.command, PAUSE_LIMIT))

    def _ack(self, request: Ack) -> Answer:
        self._spool.acknowledge(request.n)
        return None

    def _close(self, request: Close) -> Answer:
        if self.phase == "closing":
            return None
        if self.phase != "open":
            return Refusal(code="not_open", msg=_NOT_OPEN[self.phase])
        if not self._ledger.is_free:
            return Refusal(code="busy", msg="A plan is running or paused, or a foreground task is running.")
        if self.cell_running:
            return Refusal(code="kernel_busy", msg=_CELL_RUNNING)
        self.begin_close()
        return None


def _heard(outcome: str | bool) -> Answer:
    """Answer to what the RunEngine was asked: its refusal, or whether it has heard."""
    return Refusal(code="engine_refused", msg=outcome) if isinstance(outcome, str) else Heard(heard=outcome)
