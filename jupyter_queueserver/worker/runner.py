"""Runs items in the main thread: takes the accepted one, binds it, gives it to the RunEngine, reports how it ended.

The order of reports for an item is `ItemTaken`, what the RunEngine does, `ItemEnded` last; or `ItemPaused` when the main
thread is free again with the plan paused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal

from ..core.codec import from_json
from ..core.endings import FailurePoint
from ..core.errors import QueueServerError
from ..core.reports import ItemEnded, ItemPaused, ItemTaken, Report
from ..link.messages import Allowed, Command
from .engine import Engine
from .failure_point import failure_point
from .failures import show, text_of, traceback_of
from .forks import parent_only
from .ledger import AcceptedItem, Ledger

log = logging.getLogger(__name__)

Ending = Literal["completed", "failed", "stopped", "aborted", "halted", "refused"]
Plan = tuple[Callable[..., Any], list[Any], dict[str, Any]]

_ENDINGS: dict[Command, Ending] = {
    "resume": "completed",
    "stop": "stopped",
    "abort": "aborted",
    "halt": "halted",
}
_INTERRUPTIONS = ("RunEngineInterrupted", "CancelledError")
_UNTOLD: dict[str, Ending] = {"abort": "aborted", "fail": "failed"}
BINDING_FAILED = "Plan failed: Error occurred while processing plan parameters or starting the plan: "
BY_HAND = "The paused plan was continued by hand, outside of the queue."


class Runner:
    """One item at a time; all methods belong to the main thread.

    Parameters
    ----------
    namespace
        The kernel's ``user_ns``.
    bind
        Turns an item into ``(plan function, args, kwargs)`` or raises with all that is wrong with it.
    """

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        report: Callable[[Report], object],
        namespace: dict[str, Any],
        bind: Callable[[dict[str, Any], Allowed], Plan],
    ) -> None:
        self._ledger = ledger
        self._engine = engine
        self._report = report
        self._namespace = namespace
        self._bind = bind
        self._started = 0.0

    def run_accepted(self) -> None:
        """Take the accepted item, if there is one, and run it."""
        self._started = time.time()
        try:
            item = self._ledger.take()
        except OSError as err:
            self._engine.begin_item(self._ledger.running or "")
            self._end("refused", f"The worker cannot write down that the plan begins: {err}")
            return
        if item is None:
            return
        self._report(ItemTaken(time=self._started, item_uid=item.uid))
        self._engine.begin_item(item.uid)
        obstacle = self._obstacle()
        if obstacle is not None:
            self._end("refused", obstacle)
            return
        try:
            plan, metadata = self._prepare(item)
        except BaseException as err:  # noqa: BLE001 - users' code may raise anything; it ends the item
            text = traceback_of(err, __file__)
            self._end_unbound(err, f"{BINDING_FAILED}{text_of(err)}", text)
            show(text)  # the RunEngine prints those of running plans itself
            return
        self._call(lambda: self._engine.run_engine(plan, **metadata), "completed")

    def continue_(self, command: Command) -> None:
        """Resume, stop, abort or halt the paused plan; nothing if it is no longer paused."""
        if self._ledger.running is None or self._engine.state != "paused":
            log.warning("%s came too late: the plan is not paused any more", command)
            return
        self._call(getattr(self._engine.run_engine, command), _ENDINGS[command])

    def follow_by_hand(self) -> None:
        """A paused plan was continued by a cell of a console: report where that has led."""
        if self._ledger.running is None or self._engine.calling:
            return
        if self._engine.state == "paused" and self._engine.broken_off is not None:
            self.continue_(self._engine.broken_off)  # it was told so a moment before it paused
        elif self._engine.state == "paused":
            self._report(ItemPaused(time=time.time(), item_uid=self._ledger.running))
        elif self._engine.state == "idle":
            self._end(self._ending_by_statuses(), BY_HAND, by_hand=True)

    def _obstacle(self) -> str | None:
        run_engine = self._namespace.get("RE")
        if run_engine is not None:
            try:
                self._engine.attach(run_engine)
            except TypeError as err:
                return str(err)
        if self._engine.run_engine is None:
            return "There is no RunEngine in the environment."
        if self._engine.state != "idle":
            return f"The RunEngine is in the state '{self._engine.state}'; it must be idle."
        return None

    def _prepare(self, item: AcceptedItem) -> tuple[Any, dict[str, Any]]:
        fields = from_json(item.text)
        function, args, kwargs = self._bind(fields, item.allowed)
        with parent_only:
            plan = function(*args, **kwargs)
        return plan, merged_metadata(fields.get("meta"))

    def _call(self, function: Callable[[], Any], ending: Ending) -> None:
        self._engine.calling = True
        try:
            with parent_only:
                function()
        except BaseException as err:  # noqa: BLE001 - the plan's own exceptions: reported
            self._interrupted_or_failed(err)
        else:
            self._end(*self._honest(self._broken_off() or ending))
        finally:
            self._engine.calling = False

    def _interrupted_or_failed(self, err: BaseException) -> None:
        uid = self._ledger.running
        if self._engine.state == "paused" and uid is not None:
            self._report(ItemPaused(time=time.time(), item_uid=uid))
        elif (ending := self._broken_off()) is not None and type(err).__name__ in _INTERRUPTIONS:
            self._end(ending, self._stuck())
        elif type(err).__name__ == "RunEngineInterrupted":
            self._end(self._ending_by_statuses(interrupted=True), "The plan was interrupted.")
        else:
            point = failure_point(err, self._engine.exit_statuses, self._engine.events)
            self._end("failed", f"Plan failed: {text_of(err)}", traceback_of(err, __file__), failure=point)

    def _broken_off(self) -> Ending | None:
        """Ending of a plan that was told to end when it was not paused."""
        command = self._engine.broken_off
        return None if command is None else _ENDINGS[command]

    def _stuck(self) -> str:
        state = self._engine.state
        return "" if state == "idle" else f"The RunEngine is left in the state '{state}': open the environment anew."

    def _honest(self, ending: Ending) -> tuple[Ending, str]:
        """A RunEngine that was cancelled inside returns as if all were well; its own status says what happened."""
        status = getattr(self._engine.run_engine, "_exit_status", None)
        if ending == "completed" and status in _UNTOLD:
            return _UNTOLD[status], f"The RunEngine ended the plan with status '{status}' without an exception."
        return ending, ""

    def _ending_by_statuses(self, *, interrupted: bool = False) -> Ending:
        statuses = set(self._engine.exit_statuses.values())
        if "fail" in statuses:
            return "failed"
        if "abort" in statuses or interrupted:
            return "aborted"
        return "completed"

    def _end_unbound(self, err: BaseException, msg: str, text: str) -> None:
        """What was submitted does not fit, or the plan's function has failed before it gave a plan."""
        if isinstance(err, QueueServerError):
            problems = tuple(str(sentence) for _, sentence, _ in err.data.get("problems", ())) or (err.msg,)
            self._end("refused", msg, text, problems=problems)
        else:
            self._end("failed", msg, text, failure=failure_point(err, {}, {}))

    def _end(
        self,
        ending: Ending,
        msg: str = "",
        text: str = "",
        *,
        failure: FailurePoint | None = None,
        problems: tuple[str, ...] = (),
        by_hand: bool = False,
    ) -> None:
        engine, uid = self._engine, self._ledger.running
        assert uid is not None
        engine.end_item()
        ended = ItemEnded(
            time=time.time(),
            item_uid=uid,
            ending=ending,
            run_uids=tuple(engine.run_uids),
            scan_ids=tuple(engine.scan_ids),
            msg=msg,
            traceback=text,
            time_start=self._started,
            failure=failure,
            problems=problems,
            by_hand=by_hand,
        )
        self._ledger.end(lambda: self._report(ended))
        if msg:
            show(msg)


def merged_metadata(meta: Any) -> dict[str, Any]:
    """Metadata of an item as one dictionary; of a list, the element with the lower index wins."""
    parts = meta if isinstance(meta, list) else [meta or {}]
    merged: dict[str, Any] = {}
    for part in reversed(parts):
        merged.update(part)
    return merged
