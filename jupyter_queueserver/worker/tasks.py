"""Does tasks: foreground ones in the main thread, between items, background ones each in a daemon thread; reports how they ended.

It takes what the ledger has accepted and knows nothing of what a task does (`jupyter_queueserver.worker.task_work`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..core.reports import Report, TaskEnded
from ..core.tasks import TASK_TITLES
from .failures import show, text_of
from .interrupts import INTERRUPTED, interrupt_main_thread, interrupts_taken
from .ledger import AcceptedTask, Ledger
from .task_work import TaskFailed

log = logging.getLogger(__name__)

#: Characters of a message or traceback that are reported.
_TEXT_LIMIT = 100_000


class TaskRunner:
    """All tasks of one worker.

    Parameters
    ----------
    do
        Does one; returns what it returned as JSON text; raises `TaskFailed`.
    """

    def __init__(self, ledger: Ledger, report: Callable[[Report], object], do: Callable[[AcceptedTask], str | None]) -> None:
        self._ledger = ledger
        self._report = report
        self._do = do
        self._interrupted: str | None = None

    def run_accepted(self) -> None:
        """Take the accepted foreground task, if there is one, and do it; main thread."""
        task = self._ledger.take_task()
        if task is not None:
            with interrupts_taken():
                if self._interrupted == task.uid:  # before it could begin
                    ended = self._failure(task, time.time(), TaskFailed(INTERRUPTED))
                else:
                    ended = self._done(task)
            self._end(task, ended)

    def interrupt(self) -> None:
        """Interrupt the foreground task; from any thread, returns at once."""
        self._interrupted = self._ledger.foreground
        interrupt_main_thread()

    def begin_background(self, task: AcceptedTask) -> None:
        """Do an accepted task in a thread of its own; returns at once."""
        thread = threading.Thread(target=self._run_in_background, args=(task,), name=f"task {task.uid}", daemon=True)
        try:
            thread.start()
        except RuntimeError as err:
            self._end(task, self._failure(task, time.time(), TaskFailed(f"No thread can be started for it: {err}")))

    def _run_in_background(self, task: AcceptedTask) -> None:
        self._ledger.take_background(task)
        self._end(task, self._done(task))

    def _done(self, task: AcceptedTask) -> TaskEnded:
        began = time.time()
        try:
            value = self._do(task)
        except TaskFailed as err:
            return self._failure(task, began, err)
        except BaseException as err:  # boundary of one task: the worker must live on
            log.exception("task %s failed outside of users' code", task.uid)
            return self._failure(task, began, TaskFailed(text_of(err)))
        return TaskEnded(time=time.time(), task_uid=task.uid, success=True, return_value=value, time_start=began)

    def _failure(self, task: AcceptedTask, began: float, err: TaskFailed) -> TaskEnded:
        msg = f"Error occurred while executing '{TASK_TITLES[task.kind]}': {err.msg}"
        show(f"{err.traceback}{msg}")
        return TaskEnded(
            time=time.time(),
            task_uid=task.uid,
            success=False,
            msg=_shortened(msg),
            traceback=_shortened(err.traceback),
            time_start=began,
        )

    def _end(self, task: AcceptedTask, ended: TaskEnded) -> None:
        self._ledger.end_task(task, lambda: self._report(ended))


def _shortened(text: str) -> str:
    if len(text) <= _TEXT_LIMIT:
        return text
    return f"{text[: _TEXT_LIMIT // 2]}\n... {len(text) - _TEXT_LIMIT} characters left out ...\n{text[-_TEXT_LIMIT // 2 :]}"
