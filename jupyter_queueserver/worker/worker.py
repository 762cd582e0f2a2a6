"""The worker: one environment from its opening to its end, without the kernel that carries it.

Composes spool, ledger, engine, runner and control desk, and does in the main thread what the desk has left for it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..core.reports import Alarm, EnvironmentClosed, EnvironmentFailed, EnvironmentReady, Report, StartupLoading
from ..documents.journal import JournalWriter
from ..instance import identity_of, write_private
from ..link.bell import REPORTS, Bell
from ..link.environment import EnvironmentRecord, is_named
from ..link.launch import IDENTITY_FILE
from ..link.spool import SpoolWriter
from .desk import ControlDesk
from .engine import Engine
from .failures import show
from .ledger import AcceptedTask, Ledger
from .lists import Lists, PlansNotDescribed, sentences
from .loader import Loader, StartupCodeMissing
from .metadata import PersistentMetadata
from .runner import Runner
from .task_work import TaskWork
from .tasks import TaskRunner

log = logging.getLogger(__name__)

#: Seconds between two reports of documents that could not be kept.
ALARM_PAUSE = 10.0
#: Exit code of a worker whose startup code could not be loaded.
EXIT_FAILED = 3


class Worker:
    """One environment.

    Parameters
    ----------
    record
        As the manager wrote it.
    environment_file
        Where it wrote it; the worker is legitimate while that file names this environment.
    namespace
        The kernel's ``user_ns``.
    transform
        IPython's transformation of magics, text to text.
    ring_main
        Rings the main thread's doorbell, so that it calls `serve`; from any thread, returns at once.
    """

    def __init__(
        self,
        record: EnvironmentRecord,
        environment_file: Path,
        namespace: dict[str, Any],
        transform: Callable[[str], str],
        ring_main: Callable[[], None],
    ) -> None:
        self.record = record
        self._environment_file = environment_file
        self._namespace = namespace
        self._ring_main = ring_main
        self._bell = Bell(record.manager_bell)
        self._spool = SpoolWriter(record.reports)
        self._ledger = Ledger(record.accepted)
        self._journal = JournalWriter(
            Path(record.journal), record.environment_id, bell=Path(record.relay_bell), on_alarm=self._alarm
        )
        self._next_alarm = 0.0
        self._engine = Engine(self.report, self._journal.append, self._engine_moved)
        self._by_hand = False
        self._engine_wanted = False
        self._lists = Lists(record, namespace, self.report)
        self._runner = Runner(self._ledger, self._engine, self.report, namespace, self._lists.bind)
        self._loader = Loader(namespace, transform, self._tell_loading)
        work = TaskWork(namespace, self._loader, self._lists, self._renew_engine)
        self._tasks = TaskRunner(self._ledger, self.report, work.do)
        self.desk = ControlDesk(record, self._ledger, self._engine, self._spool, ring_main, self._tasks)
        self.exit_code: int | None = None
        identity = msgspec.json.encode(identity_of())
        write_private(Path(record.directory) / IDENTITY_FILE, identity)

    @property
    def bell(self) -> Bell:
        """The manager's bell."""
        return self._bell

    @property
    def run_engine(self) -> Any:
        """The RunEngine in use; None if there is none."""
        return self._engine.run_engine

    def report(self, report: Report) -> None:
        """Append to the spool and ring; never raises."""
        self._spool.append(report)
        self._bell.ring(REPORTS)

    def open(self) -> None:
        """Load the startup code, find or make the RunEngine, describe plans and devices; main thread."""
        began = time.perf_counter()
        try:
            report = self._opened(began)
        except (Exception, SystemExit) as err:  # users' objects take part; the failure is reported
            log.exception("the environment cannot be opened")
            report = self._failed(f"The environment cannot be opened: {err!r}", traceback.format_exc())
        if isinstance(report, EnvironmentFailed):
            self.desk.phase = "failed"
            self.exit_code = EXIT_FAILED
            print(f"{report.msg}\n{report.traceback}", file=sys.stderr)
        else:
            self.desk.phase = "open"
        self.report(report)

    def serve(self) -> None:
        """Do what was left for the main thread: a command for the paused plan, an accepted item or task, the end."""
        if self._by_hand:
            self._by_hand = False
            self._runner.follow_by_hand()
        command = self.desk.take_command()
        if command is not None:
            self._runner.continue_(command)
        self._runner.run_accepted()
        self._tasks.run_accepted()
        if self._engine_wanted and self._ledger.is_free:
            self._attach_again()
        if self.desk.phase == "closing" and self.exit_code is None:
            self._close()

    def look_around(self) -> None:
        """Every few seconds, in the control thread: late reports are written; an idle orphan ends itself."""
        self._spool.flush()
        if not is_named(self._environment_file, self.record.environment_id):
            self.desk.begin_close()

    def moved(self, sockets: Path) -> None:
        """The sockets of the instance lie in this directory now."""
        self._bell.aim(sockets / Path(self.record.manager_bell).name)

    def _opened(self, began: float) -> Report:
        self._announce_worker()
        try:
            loaded = self._loader.load(self.record.startup)
        except StartupCodeMissing as err:
            return self._failed(str(err))
        if not loaded:
            last = self._loader.files[-1]
            place = f", line {last.line}" if last.line is not None else ""
            return self._failed(f"Startup code '{last.name}'{place} failed: {last.error}", last.traceback)
        self._engine.attach(self._run_engine())
        return self._describe(began)

    def _tell_loading(self, name: str, number: int, count: int) -> None:
        self.report(StartupLoading(time=time.time(), name=name, number=number, count=count))

    def _describe(self, began: float) -> Report:
        try:
            found = self._lists.make()
        except PlansNotDescribed as err:
            return self._failed(str(err))
        return EnvironmentReady(
            time=time.time(),
            plans=found.plans,
            devices=found.devices,
            engine=self._engine.state,
            files=tuple(self._loader.files),
            problems=sentences(found),
            seconds=time.perf_counter() - began,
        )

    def _failed(self, msg: str, text: str = "") -> EnvironmentFailed:
        return EnvironmentFailed(time=time.time(), msg=msg, files=tuple(self._loader.files), traceback=text)

    def _announce_worker(self) -> None:
        """`is_re_worker_active` is true from here on."""
        from . import registration

        os.environ["JUPYTER_QUEUESERVER_WORKER"] = self.record.environment_id
        registration.set_re_worker_active()

    def _run_engine(self) -> Any:
        """The namespace's RunEngine, made if there is none; its metadata persist unless it has some of its own."""
        run_engine: Any = self._namespace.get("RE")
        if run_engine is None:
            from bluesky import RunEngine

            run_engine = self._namespace["RE"] = RunEngine({})
        self._make_persistent(run_engine)
        return run_engine

    def _make_persistent(self, run_engine: Any) -> None:
        given: Any = run_engine.md
        if type(given) is dict and not set(given) - {"versions"}:
            kept = PersistentMetadata(Path(self.record.engine_metadata))
            kept.update(given)
            run_engine.md = kept

    def _renew_engine(self, task: AcceptedTask) -> None:
        """A task wants the namespace's ``RE`` to be the RunEngine.  Beside a plan that has to wait until the plan has ended."""
        if task.background:
            self._engine_wanted = True
            self._ring_main()
        else:
            self._attach()

    def _attach_again(self) -> None:
        self._engine_wanted = False
        try:
            self._attach()
        except TypeError as err:
            show(f"{err} The RunEngine before it stays in use.")

    def _attach(self) -> None:
        run_engine = self._namespace.get("RE")
        before = self._engine.run_engine
        self._engine.attach(run_engine)
        if run_engine is not before:
            if run_engine is not None:
                self._make_persistent(run_engine)
            self._engine.report_state()

    def _engine_moved(self, state: str) -> None:
        """The RunEngine's thread says that somebody else commands it."""
        if self._ledger.running is not None and state in ("paused", "idle"):
            self._by_hand = True
            self._ring_main()

    def _alarm(self, reason: str) -> None:
        """A document was not kept: say so, but not for each document of a disk that stays full."""
        now = time.monotonic()
        if now >= self._next_alarm:
            self._next_alarm = now + ALARM_PAUSE
            self.report(Alarm(time=time.time(), msg=reason, stop_queue=self.record.stop_on_alarm))

    def _close(self) -> None:
        self.exit_code = 0
        self.report(EnvironmentClosed(time=time.time()))
        self._journal.close()
        self._spool.close()
