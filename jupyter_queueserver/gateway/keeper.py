"""Has a manager running for the extension: starts one, attaches to one that runs, starts it again when all is gone.

The manager lives in processes of its own (`jupyter_queueserver.instance.launch`); nothing here is lost with the Jupyter
server.  Only who started a manager may end it, and only when it is idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from ..instance import Instance, ProcessWatch, Runtime, read_runtime
from ..instance.launch import LaunchError, ensure_manager

#: Seconds from one look at the manager to the next.
LOOK_EVERY = 1.0
#: Seconds for which a manager may be missing before this gateway starts one: its watchdog is faster.
_GRACE = 3.0
#: Seconds to the next attempt after a failed start: first, and at most.
_FIRST_RETRY, _LAST_RETRY = 5.0, 60.0
_START_LIMIT = 30.0

Launch = Callable[..., Runtime]


class ManagerKeeper:
    """Keeps the manager of one instance running.

    Parameters
    ----------
    options
        Options of `start-re-manager`, without ``--data-dir``.
    given
        Those of the options that somebody chose; they are named when they are not applied.
    log
        Where it reports.
    launch
        `ensure_manager`, or a fake of it.

    Attributes
    ----------
    reason
        Sentence on why there is no manager; empty if there is one, or nothing is known.
    started_it
        Whether this gateway started the manager that runs.
    """

    def __init__(
        self,
        instance: Instance,
        options: Sequence[str],
        log: logging.Logger,
        *,
        given: Sequence[str] = (),
        launch: Launch = ensure_manager,
        look_every: float = LOOK_EVERY,
        grace: float = _GRACE,
    ) -> None:
        self.reason = "It is being started."
        self.started_it = False
        self._instance = instance
        self._options = list(options)
        self._given = list(given)
        self._log = log
        self._launch = launch
        self._look_every = look_every
        self._grace = grace
        self._has_worked = False
        self._wanted = asyncio.Event()
        self._printed = ""
        self._task: asyncio.Task[None] | None = None
        self._start: asyncio.Task[bool] | None = None

    def start(self) -> None:
        """Begin; returns at once.  A manager that was stopped on purpose is started too: this start is a user's wish."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop keeping; the manager stays as it is.  A start under way is waited for, so that its end is known."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._start is not None:
            await asyncio.wait([self._start])

    def try_again(self) -> None:
        """Take note that a user wants a manager: if none could be started, the next attempt is made now."""
        if self._start is None or self._start.done():
            self._wanted.set()

    async def _keep(self) -> None:
        await self._have_one(force=True)
        loop = asyncio.get_running_loop()
        missed_since: float | None = None
        next_attempt, retry = 0.0, _FIRST_RETRY
        while True:
            await asyncio.sleep(self._look_every)
            runtime, is_stopped = await asyncio.to_thread(self._look)
            if runtime is not None or is_stopped:
                self._settle(runtime)
                missed_since, next_attempt, retry = None, 0.0, _FIRST_RETRY
                continue
            self.reason = self.reason or f"It is not running just now; see the logs in {self._instance.logs}."
            missed_since = missed_since or loop.time()
            if not self._wanted.is_set():
                # Who was refused before anything worked is refused again: only a user can have mended that.
                if not self._has_worked or loop.time() < max(missed_since + self._grace, next_attempt):
                    continue
                if not next_attempt:
                    self._log.warning(
                        "No manager has been running for %g s; one is started unless its watchdog does it.", self._grace
                    )
            self._wanted.clear()
            if not await self._have_one(force=False):
                next_attempt = loop.time() + retry
                retry = min(2 * retry, _LAST_RETRY)

    def _settle(self, runtime: Runtime | None) -> None:
        """Take note that a manager runs, or that none is wanted (None)."""
        self._wanted.clear()
        self._printed = ""
        self._has_worked = self._has_worked or runtime is not None
        self.reason = "" if runtime is not None else self._stopped_text()

    def _stopped_text(self) -> str:
        command = f"python -m jupyter_queueserver start-re-manager --detach --private --data-dir {self._instance.data_dir}"
        return f"It was stopped on purpose; start it with `{command}`, or restart this server."

    def _look(self) -> tuple[Runtime | None, bool]:
        return read_runtime(self._instance), self._instance.stopped_mark.exists()

    async def _have_one(self, *, force: bool) -> bool:
        """Start or attach; whether there is a manager now."""
        self._start = asyncio.create_task(self._launch_one(force=force))
        return await asyncio.shield(self._start)

    async def _launch_one(self, *, force: bool) -> bool:
        """Start one in a thread, because it takes a second or more, and never twice at once."""
        before = await asyncio.to_thread(read_runtime, self._instance)
        try:
            runtime = await asyncio.to_thread(self._launch, self._instance, self._options, _START_LIMIT, force=force)
        except LaunchError as err:
            self.reason = _reason(err)
            if self._printed != self.reason:
                self._log.error("No manager: %s", err)
            self._printed = self.reason
            return False
        self.reason = self._printed = ""
        self._has_worked = True
        attached = before is not None and before.epoch == runtime.epoch
        self.started_it = self.started_it or not attached
        verb = "Attached to the manager that runs" if attached else "Started a manager"
        self._log.info("%s (process %d, data directory %s).", verb, runtime.manager.pid, self._instance.data_dir)
        if attached and self._given:
            self._log.warning(
                "The manager runs already; these options are not applied until it is started again: %s", " ".join(self._given)
            )
        return True

    async def wait_until_gone(self, runtime: Runtime, limit: float) -> bool:
        """Wait for the end of manager and watchdog, at most ``limit`` seconds; whether both are gone."""
        watches = [ProcessWatch(one.pid) for one in (runtime.manager, runtime.watchdog) if one is not None]
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    for watch in watches:
                        await watch.wait()
            return all(watch.is_dead() for watch in watches)
        finally:
            for watch in watches:
                watch.close()


def _reason(error: LaunchError) -> str:
    """Return what was refused, without the usage of the program and the lines of its log, which differ each time."""
    text = str(error).partition("\nLast lines of the log:")[0]
    return text.rpartition("start-re-manager: ")[2].strip()
