"""What tasks do in the namespace: run a script, call a function, look through the namespace again.

In whatever thread it is called; who calls, and what becomes of the outcome, is the matter of `jupyter_queueserver.worker.tasks`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..core.codec import from_json, python_json
from ..core.limits import TASK_RESULT_LIMIT
from ..core.rules.submission import DEPTH_LIMIT, nested_too_deeply
from .failures import text_of, traceback_of
from .interrupts import __file__ as _interrupts_file
from .interrupts import interruptible
from .ledger import AcceptedTask
from .lists import Lists, PlansNotDescribed
from .loader import Loader
from .loader import __file__ as _loader_file

#: Names that a script may replace only if it is told that it may.
_ENGINE_NAMES = ("RE", "db")
_MISSING = object()


class TaskFailed(Exception):
    """A task that did not succeed.

    Parameters
    ----------
    msg
        What went wrong.
    traceback
        Python traceback of users' code; empty if it is not about that.
    """

    def __init__(self, msg: str, traceback: str = "") -> None:
        super().__init__(msg)
        self.msg = msg
        self.traceback = traceback


class TaskWork:
    """The work of all kinds of tasks.

    Parameters
    ----------
    namespace
        The kernel's ``user_ns``.
    renew_engine
        Makes the namespace's ``RE`` the worker's RunEngine, as soon as that is possible; raises ``TypeError`` if it is none.
    """

    def __init__(
        self, namespace: dict[str, Any], loader: Loader, lists: Lists, renew_engine: Callable[[AcceptedTask], None]
    ) -> None:
        self._namespace = namespace
        self._loader = loader
        self._lists = lists
        self._renew_engine = renew_engine
        self._renewals = 0

    def do(self, task: AcceptedTask) -> str | None:
        """Do it; returns what it returned as JSON text, None if that is nothing.  Raises `TaskFailed`."""
        payload = from_json(task.payload)
        if task.kind == "function":
            return self._call(payload)
        if task.kind == "script":
            self._run(task, payload)
        else:
            self._update(task, update_engine=True)
        return None

    def _run(self, task: AcceptedTask, payload: dict[str, Any]) -> None:
        """Run a script.  What it has done stays done also if it fails, so the rest of the task is done in any case."""
        renewals = self._renewals
        before = {name: self._namespace.get(name, _MISSING) for name in _ENGINE_NAMES}
        failure: TaskFailed | None = None
        try:
            interruptible(lambda: self._loader.run_script(payload["script"], f"<script {task.uid[:8]}>"))
        except BaseException as err:  # noqa: BLE001 - users' code: reported as it is
            failure = _failed("Failed to execute stript: ", err)
        if not payload["update_re"] and self._renewals == renewals:  # else another task has replaced them, and was allowed to
            self._restore(before)
        if payload["update_re"] or payload["update_lists"]:
            self._update_after(task, payload, failure)
        if failure is not None:
            raise failure

    def _update_after(self, task: AcceptedTask, payload: dict[str, Any], failure: TaskFailed | None) -> None:
        try:
            self._update(task, update_engine=payload["update_re"], update_lists=payload["update_lists"])
        except TaskFailed:
            if failure is None:  # else that came first
                raise

    def _update(self, task: AcceptedTask, *, update_engine: bool, update_lists: bool = True) -> None:
        try:
            if update_engine:
                self._renewals += 1
                self._renew_engine(task)
            if update_lists:
                self._lists.renew()
        except (PlansNotDescribed, TypeError) as err:
            raise TaskFailed(str(err)) from err

    def _restore(self, before: dict[str, Any]) -> None:
        for name, value in before.items():
            if value is _MISSING:
                self._namespace.pop(name, None)
            elif self._namespace.get(name) is not value:
                self._namespace[name] = value

    def _call(self, payload: dict[str, Any]) -> str | None:
        name = payload["name"]
        function = self._namespace.get(name, _MISSING)
        if function is _MISSING:
            raise TaskFailed(f"Function '{name}' is not found in the worker namespace.")
        if not callable(function):
            raise TaskFailed(f"'{name}' in the worker namespace is not a function but {type(function).__name__}.")
        try:
            value = interruptible(lambda: function(*payload["args"], **payload["kwargs"]))
        except BaseException as err:
            raise _failed("", err) from err
        return _as_json(value)


def _as_json(value: Any) -> str | None:
    if value is None:
        return None
    if inspect.iscoroutine(value):
        value.close()  # nobody will await it; left alone it would complain somewhere else later
    try:
        text = interruptible(lambda: python_json(value))
    except BaseException as err:
        raise TaskFailed(f"Task result can not be serialized as JSON: {text_of(err)}") from err
    if nested_too_deeply([value]):
        raise TaskFailed(f"Task result can not be serialized as JSON: it is nested more than {DEPTH_LIMIT} levels deep")
    if len(text) > TASK_RESULT_LIMIT:
        raise TaskFailed(
            f"The function returned {len(text)} bytes as JSON; at most {TASK_RESULT_LIMIT} are kept. "
            "Let it write the data to a file and return its name."
        )
    return text.decode()


def _failed(prefix: str, err: BaseException) -> TaskFailed:
    own = (__file__, _loader_file, _interrupts_file)
    return TaskFailed(f"{prefix}{text_of(err)}", traceback_of(err, *own))
