"""The RunEngine of the environment: found or made, its state mirrored, its documents journaled, its runs reported.

The hooks run in the RunEngine's own thread and must never raise into it.  Which item runs is told by the runner; this module
starts no plan.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator
from numbers import Integral
from typing import Any, Literal

from ..core.reports import EngineState, Report, RunClosed, RunOpened
from .forks import end_child, parent_only

log = logging.getLogger(__name__)


_OF_AN_ENGINE = ("state", "state_hook", "preprocessors", "subscribe", "unsubscribe", "request_pause", "md")


class PlanExited(RuntimeError):
    """A plan called `sys.exit` (or raised `KeyboardInterrupt`)."""


def without_exit(plan: Any) -> Generator[Any, Any, Any]:
    """Turn what would end the RunEngine's own thread, and leave the worker waiting for ever, into a failure of the plan."""
    try:
        with parent_only:
            return (yield from plan)
    except (SystemExit, KeyboardInterrupt) as err:
        raise PlanExited(f"the plan raised {err!r}") from err


class Engine:
    """What the worker knows of its RunEngine; readable from any thread without touching the RunEngine itself.

    Parameters
    ----------
    report
        Appends to the spool; must not raise.
    document
        Takes every document ``(name, doc)`` first, before anybody else; must not raise.
    on_own_accord
        Called in the RunEngine's thread when the state changed outside of a call by the runner, with the new state.

    Attributes
    ----------
    state
        Mirror of the RunEngine's state; None without one.
    calling
        Whether the runner is inside a call of the RunEngine.
    run_uids, scan_ids, exit_statuses, events
        Of the runs that the present item has opened, in order; statuses, and counts of events by stream, by run uid.
    broken_off
        What the present item was told when it was not paused: ``abort`` or ``halt``; None: nothing.
    """

    def __init__(
        self,
        report: Callable[[Report], object],
        document: Callable[[str, dict[str, Any]], None],
        on_own_accord: Callable[[str], None],
    ) -> None:
        self._report = report
        self._document = document
        self._on_own_accord = on_own_accord
        self._previous_hook: Callable[[Any, Any], Any] | None = None
        self._tokens: list[int] = []
        self.run_engine: Any = None
        self.state: str | None = None
        self.calling = False
        self.item_uid: str | None = None
        self.run_uids: list[str] = []
        self.scan_ids: list[int | None] = []
        self.exit_statuses: dict[str, str] = {}
        self.events: dict[str, dict[str, int]] = {}
        self.broken_off: Literal["abort", "halt"] | None = None

    def attach(self, run_engine: Any) -> None:
        """Watch this RunEngine from now on; a second call with the same one does nothing.  None: there is none any more.

        Raises ``TypeError`` with a sentence if it is no RunEngine; everything is as before then.
        """
        if run_engine is self.run_engine:
            return
        if run_engine is not None and not all(hasattr(run_engine, name) for name in _OF_AN_ENGINE):
            raise TypeError(f"'RE' in the namespace is not a RunEngine but {type(run_engine).__name__}.")
        self._release()
        self.run_engine, self.state = run_engine, None
        if run_engine is None:
            return
        self._previous_hook = run_engine.state_hook
        run_engine.state_hook = self._state_changed
        run_engine.preprocessors.append(without_exit)
        self._tokens = [
            run_engine.subscribe(self._document),
            run_engine.subscribe(self._run_opened, "start"),
            run_engine.subscribe(self._run_closed, "stop"),
        ]
        self.state = str(run_engine.state)

    def _release(self) -> None:
        """Leave the present RunEngine as it was found: what it does is not told any more."""
        left = self.run_engine
        if left is None:
            return
        if left.state_hook == self._state_changed:
            left.state_hook = self._previous_hook
        if without_exit in left.preprocessors:
            left.preprocessors.remove(without_exit)
        for token in self._tokens:
            left.unsubscribe(token)
        self._tokens, self._previous_hook = [], None

    def begin_item(self, uid: str) -> None:
        """Runs belong to this item until `end_item`."""
        self.item_uid = uid
        self.run_uids, self.scan_ids, self.exit_statuses, self.events = [], [], {}, {}
        self.broken_off = None

    def end_item(self) -> None:
        """Runs belong to nobody."""
        self.item_uid = None

    @property
    def deferred(self) -> bool:
        """Whether a deferred pause waits for its checkpoint."""
        return bool(getattr(self.run_engine, "deferred_pause_requested", False))

    def request_pause(self, deferred: bool, limit: float) -> str | bool:
        """Ask for a pause; returns whether it was heard, or why it was refused.  Never blocks longer than ``limit`` seconds.

        A plan may hold the RunEngine's loop; then the request stands and is served when the plan lets go.
        """

        def ask() -> None:
            self.run_engine.request_pause(deferred)
            if deferred:
                self.report_state()

        return _asked(ask, limit)

    def break_off(self, command: Literal["abort", "halt"], limit: float) -> str | bool:
        """Ask the plan, which is not paused, to end, and if it is ending already to skip what it is doing for that.

        Returns and waits as `request_pause`.
        """
        run_engine = self.run_engine

        async def end() -> None:
            if self.state == "paused":  # it was reached meanwhile: the main thread goes on with the command
                self.broken_off = command
                self._on_own_accord("paused")
            elif self.state in ("running", "pausing", "suspending"):
                self.broken_off = command
                await (run_engine._abort_coro("") if command == "abort" else run_engine._halt_coro())  # noqa: SLF001 - see below
            elif self.state in ("stopping", "aborting", "halting"):
                self.broken_off = command
                run_engine._task.cancel()  # noqa: SLF001 - the RunEngine has no other way out of a clean-up that hangs

        # The public methods would wait in the plan's own thread, and take a pause that comes first for none.
        return _asked(lambda: asyncio.run_coroutine_threadsafe(end(), run_engine.loop).result(), limit)

    def report_state(self) -> None:
        """Report the present state."""
        self._report(EngineState(time=time.time(), state=self.state, deferred=self.deferred))

    def _state_changed(self, new: Any, old: Any) -> None:
        end_child()
        self.state = str(new)
        self.report_state()
        if not self.calling:
            self._on_own_accord(self.state)
        if self._previous_hook is not None:
            try:
                self._previous_hook(new, old)
            except Exception:  # a user's hook must not disturb the states of the RunEngine
                log.exception("the state hook of the startup code failed")

    def _run_opened(self, name: str, doc: dict[str, Any]) -> None:
        scan_id = doc.get("scan_id")
        scan_id = int(scan_id) if isinstance(scan_id, Integral) else None
        self.run_uids.append(doc["uid"])
        self.scan_ids.append(scan_id)
        self._report(RunOpened(time=time.time(), item_uid=self.item_uid, run_uid=doc["uid"], scan_id=scan_id))

    def _run_closed(self, name: str, doc: dict[str, Any]) -> None:
        run_uid, status = doc.get("run_start", ""), doc.get("exit_status", "fail")
        self.exit_statuses[run_uid] = status
        self.events[run_uid] = dict(doc.get("num_events") or {})
        self._report(RunClosed(time=time.time(), item_uid=self.item_uid, run_uid=run_uid, exit_status=status))


def _asked(ask: Callable[[], object], limit: float) -> str | bool:
    """Do it in a thread of its own; returns whether it was done within ``limit`` seconds, or the text of its exception."""
    problem: list[str] = []

    def run() -> None:
        try:
            ask()
        except Exception as err:  # whatever it is, the asker is told
            log.info("the RunEngine refused", exc_info=True)
            problem.append(str(err) or type(err).__name__)

    asker = threading.Thread(target=run, name="ask the RunEngine", daemon=True)
    asker.start()
    asker.join(limit)
    return problem[0] if problem else not asker.is_alive()
