"""The watchdog: keeps exactly one manager of an instance alive, and is kept alive by it.

One thread, one `poll`: heartbeats, the manager's death, signals.  It must stay tiny (no asyncio, no 0MQ) and
must not know what a manager does; it never starts a second manager while one lives, and never restarts one
that ended on purpose.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from ..instance.process import Identity
from .beat import Beat
from .bell import Bell
from .duty import Duty
from .logtail import LogTail
from .restarts import Next, Restarts
from .settings import Settings
from .supervised import Supervised, log_path

ANSWER_LIMIT = 2.0
"""Seconds in which a manager must answer a request to end."""
ENDING_LIMIT = 20.0
"""Seconds in which a manager that ends on purpose must be gone."""
SAME_WISH = 1.0
"""Seconds in which a second signal of the same kind is the same wish: a process group hears some of them twice."""
RETRY_PAUSE = 5.0
"""Seconds until another try when the system cannot start a process."""
LOOK_INTERVAL = 0.2
"""Seconds between two looks where nothing announces a death, and while output is shown during a start."""
PIECES = 32
"""Pieces of output that are shown in one turn; the rest follows after a look at everything else."""
START_FACTOR = 6.0
"""How many times the silence limit the first heartbeat may take: imports from a cold disk are slow."""

#: Signal by which a user's start asks a stand-in to give way; the manager is not touched.
GIVE_WAY = signal.SIGUSR1
_ENDERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Watchdog:
    """One spell of duty.

    Parameters
    ----------
    say
        Tells the user one line.
    show
        Shows a piece of the output of manager and worker, without waiting; None: it is not shown.
    report
        Called once with (None) when the first manager is ready, or with the reason when it is given up.
    worked_before
        Whether a manager of this instance is known to have started well: then it is never given up.
    """

    def __init__(
        self,
        settings: Settings,
        duty: Duty,
        *,
        say: Callable[[str], None],
        show: Callable[[str], None] | None = None,
        report: Callable[[str | None], None] = lambda reason: None,
        worked_before: bool = False,
    ) -> None:
        self._settings = settings
        self._duty = duty
        self._say = say
        self._show = show
        self._report = report
        self._limit = settings.silence_limit
        self._bell = Bell(settings.instance)
        self._tail = LogTail(log_path(settings))
        self._consoles: list[LogTail] = []
        self._more_to_show = False
        self._open_line: bool | None = None
        self._restarts = Restarts(worked_before=worked_before)
        self._manager: Supervised | None = None
        self._start_at: float | None = None
        self._last_reason = ""
        self._signals: list[int] = []
        self._result: int | None = None
        self._wakeup, self._wakeup_end = socket.socketpair()
        self._forget_life()

    def _forget_life(self) -> None:
        now = time.monotonic()
        self._heard = now
        self._heard_once = False
        self._is_stranger = False
        self._ready_at: float | None = None
        self._ending_at: float | None = None
        self._failed: str | None = None
        self._failed_at: float | None = None
        self._asked_at: float | None = None
        self._asked_by = 0
        self._killed = False

    def adopt(self, identity: Identity, *, is_ours: bool = False) -> bool:
        """Watch a manager that lives already; False if it does not live any more.

        It is killed for its silence only if it was heard once, or if it is known to be of this instance (``is_ours``): else it
        may be that of another one.
        """
        self._manager = Supervised.adopt(identity, use_pidfd=self._settings.use_pidfd)
        if self._manager is None:
            return False
        self._forget_life()
        self._is_stranger, self._ready_at = not is_ours, time.monotonic()
        self._restarts.is_ready()
        self._duty.set_manager(identity)
        self._report(None)
        return True

    def run(self) -> int:
        """Watch until the manager ends on purpose, is given up, or a signal comes; returns the exit
        status."""
        restore = self._catch_signals()
        try:
            if self._manager is None:
                self._start_manager()
            while self._result is None:
                self._wait()
                for beat in self._bell.hear():
                    self._take_beat(beat)
                self._show_log()
                self._take_signals()
                self._step(time.monotonic())
            self._show_log()
            return self._result
        finally:
            restore()
            if self._manager is not None:
                self._manager.leave()
            self._bell.close()
            self._wakeup.close()
            self._wakeup_end.close()

    def _catch_signals(self) -> Callable[[], None]:
        self._wakeup.setblocking(False)
        self._wakeup_end.setblocking(False)
        before_fd = signal.set_wakeup_fd(self._wakeup_end.fileno(), warn_on_full_buffer=False)
        before = {signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda number, frame: None)}
        before[GIVE_WAY] = signal.signal(GIVE_WAY, self._note_signal)
        for number in _ENDERS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup and background jobs of a shell mean it
                before[number] = signal.signal(number, self._note_signal)

        def restore() -> None:
            signal.set_wakeup_fd(before_fd)
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _wait(self) -> None:
        """Sleep until something happens or the next deadline."""
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        poll.register(self._wakeup.fileno(), select.POLLIN)
        if self._manager is not None and (handle := self._manager.fileno()) is not None:
            poll.register(handle, select.POLLIN)
        before = time.monotonic()
        limit = max(0.0, self._deadline() - before)
        poll.poll(limit * 1000)
        now = time.monotonic()
        if now - before > limit + self._limit / 5:
            self._heard = now  # this process itself was stopped: nobody could have been heard
        with contextlib.suppress(BlockingIOError):
            while self._wakeup.recv(4096):
                pass

    def _deadline(self) -> float:
        """When to look again at the latest, on the monotonic clock."""
        now = time.monotonic()
        if self._more_to_show:
            return now
        if self._manager is None:
            return self._start_at if self._start_at is not None else now
        if self._killed:
            times = [now + 60.0]
        elif self._ending_at is not None:
            times = [self._ending_at + ENDING_LIMIT]
        elif self._asked_at is not None:
            times = [self._asked_at + ANSWER_LIMIT]
        elif self._failed_at is not None:
            times = [self._failed_at + ANSWER_LIMIT]
        else:
            times = [self._silent_at()]
        if self._manager.needs_looking or (self._show is not None and self._ready_at is None):
            times.append(now + LOOK_INTERVAL)
        return min(times)

    def _silent_at(self) -> float:
        return self._heard + self._limit * (1.0 if self._heard_once or self._is_stranger else START_FACTOR)

    def _take_beat(self, beat: Beat) -> None:
        if self._manager is None or beat.pid != self._manager.identity.pid:
            return  # of a manager that is dead already
        self._heard = time.monotonic()
        self._heard_once = True
        self._is_stranger = False
        if beat.kind == "ready" and self._ready_at is None:
            self._ready_at = self._heard
            self._restarts.is_ready()
            self._last_reason = ""
            self._say(f"The manager (process {beat.pid}) is ready. {beat.text}".rstrip())
            self._report(None)
        elif beat.kind == "ending" and self._ending_at is None:
            self._ending_at = self._heard
        elif beat.kind == "failed":
            self._failed, self._failed_at = beat.text, self._heard
        elif beat.kind == "busy" and self._asked_at is not None:
            self._leave(f"Not everything ends: {beat.text or 'a plan is running'}; manager and worker stay.")
        elif beat.kind == "console" and self._show is not None:
            self._follow_console(Path(beat.text), beat.offset)

    def _follow_console(self, path: Path, offset: int) -> None:
        """There is new console text; that of another environment waits until the one before is shown to its end."""
        if not self._consoles or self._consoles[-1].path != path:
            self._consoles.append(LogTail(path, offset))

    def _take_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            for beat in self._bell.hear():  # what the manager said before the signal came counts first
                self._take_beat(beat)
            if self._result is not None:
                return
            if number == GIVE_WAY:
                if self._duty.note.stand_in:
                    self._say("Another start-re-manager takes over the watch.")
                    self._result = 0
            elif self._manager is None or self._manager.is_dead():
                self._say("Ended; no manager is running.")
                self._result = 0
            elif self._ending_at is not None:
                self._say(f"{signal.Signals(number).name}: the manager is ending already.")
            elif self._asked_at is not None:
                if number != self._asked_by or time.monotonic() >= self._asked_at + SAME_WISH:
                    self._leave("The manager has not ended yet.")
            else:
                self._say(f"{signal.Signals(number).name}: the manager is asked to end.")
                self._asked_at, self._asked_by = time.monotonic(), number
                self._manager.send_signal(signal.SIGTERM)

    def _leave(self, reason: str) -> None:
        """End this watch only; the manager will see to another watchdog by itself."""
        directory = self._settings.data_dir
        self._say(
            f"{reason} To come back: `start-re-manager --data-dir {directory}` or `jupyter queueserver --data-dir {directory}`;"
            f" to stop it all: `qserver --data-dir {directory} manager stop safe off`."
        )
        self._result = 0

    def _step(self, now: float) -> None:
        if self._result is not None:
            return
        if not self._duty.keep():
            self._say("The lock of this directory was removed, and another start-re-manager holds the new one; this watch ends.")
            self._result = 1
            return
        if self._manager is None:
            if self._start_at is None or now >= self._start_at:
                self._start_manager()
        elif self._manager.is_dead():
            for beat in self._bell.hear():  # its last words may have come after the last look
                self._take_beat(beat)
            self._bury(self._manager, now)
        elif not self._killed:
            self._check_limits(self._manager.identity.pid, now)

    def _check_limits(self, pid: int, now: float) -> None:
        """The manager lives: see whether it has taken too long for what it is about."""
        if self._ending_at is not None:
            if now >= self._ending_at + ENDING_LIMIT:
                self._kill(f"was still there {ENDING_LIMIT:g} s after it had begun to end")
        elif self._asked_at is not None:
            if now >= self._asked_at + ANSWER_LIMIT:
                self._leave(f"The manager (process {pid}) does not answer and is left as it is.")
        elif self._failed_at is not None:
            if now >= self._failed_at + ANSWER_LIMIT:
                self._kill("refused to start but did not end")
        elif now >= self._silent_at():
            self._check_silence(now)

    def _check_silence(self, now: float) -> None:
        for beat in self._bell.hear():  # this process itself may have been held up since the last look
            self._take_beat(beat)
        if now < self._silent_at():
            return
        if not self._bell.is_intact():
            self._say("The socket of the heartbeat had been removed by somebody; it is made again.")
            try:
                self._bell.repair()
            except OSError as error:  # the next manager is started with another directory
                self._end_silence(f"cannot be heard any more ({error})")
            self._heard = now
            return
        self._end_silence(f"has been silent for {now - self._heard:.1f} s")

    def _end_silence(self, reason: str) -> None:
        """Kill the silent manager; one that was adopted and never heard at this bell is left alone."""
        if not self._is_stranger or self._manager is None:
            self._kill(reason)
            return
        pid = self._manager.identity.pid
        self._say(
            f"The manager (process {pid}) {reason} and was never heard here; it is left as it is. It hangs, or belongs to another"
            f" data directory. If it is that of {self._settings.data_dir}, end it with `kill -9 {pid}` and start again."
        )
        self._result = 1

    def _kill(self, reason: str) -> None:
        if self._manager is not None:
            self._say(f"The manager (process {self._manager.identity.pid}) {reason}; it is killed.")
            self._manager.send_signal(signal.SIGKILL)
            self._killed = True

    def _show_log(self) -> None:
        if self._show is None:
            return
        self._more_to_show = True
        for _ in range(PIECES):
            log, console = self._tail.new_text(), self._console_text()
            if not log and not console:
                self._more_to_show = False
                return
            self._show_text(log, of_console=False)
            self._show_text(console, of_console=True)

    def _show_text(self, text: str, *, of_console: bool) -> None:
        """Show a piece; it begins a line if the last piece was another's and has not ended its own."""
        if text and self._show is not None:
            self._show(f"\n{text}" if self._open_line not in (None, of_console) else text)
            self._open_line = None if text.endswith("\n") else of_console

    def _console_text(self) -> str:
        """Return the next piece of console text, of the oldest environment that still has some."""
        while self._consoles:
            text = self._consoles[0].new_text()
            if text or len(self._consoles) == 1:
                return text
            del self._consoles[0]
        return ""

    def _start_manager(self) -> None:
        self._tail.mark_start()
        self._start_at = None
        self._forget_life()
        try:
            if not self._bell.is_intact():
                self._bell.repair(anew=True)
            self._manager = Supervised.spawn(self._settings, again=self._restarts.worked)
        except FileNotFoundError as error:
            self._report(f"No manager can be started: the data directory is incomplete ({error}).")
            self._result = 1
        except OSError as error:  # no memory, no processes: may pass
            self._say(f"No manager could be started: {error}; tried again in {RETRY_PAUSE:g} s.")
            self._start_at = time.monotonic() + RETRY_PAUSE
        else:
            self._duty.set_manager(self._manager.identity)

    def _bury(self, manager: Supervised, now: float) -> None:
        """The manager is dead: decide what follows."""
        self._manager = None
        manager.leave()
        how = manager.describe_exit()
        ending = self._ending_at is not None or self._asked_at is not None
        ending = ending or (manager.status is None and self._settings.instance.stopped_mark.exists())
        verdict, pause = self._restarts.after_exit(
            ready_for=None if self._ready_at is None else now - self._ready_at,
            status=manager.status,
            ending=ending,
            failed=self._failed is not None,
        )
        if verdict is Next.END:
            self._say("The manager has ended.")
            self._result = 0
        elif verdict is Next.RESTART:
            self._start_at = now + pause
            self._explain(f"The manager (process {manager.identity.pid}) {how}", how, pause)
            if pause == 0.0:
                self._start_manager()
        else:
            self._give_up(verdict, how)

    def _explain(self, sentence: str, how: str, pause: float) -> None:
        """Tell the reason of a restart, once per change."""
        reason = f"{how}\n{self._failed or ''}"
        if reason != self._last_reason:
            text = f": {self._failed}" if self._failed else ""
            self._say(f"{sentence}{text}; another one is started{f' in {pause:g} s' if pause else ''}.")
        self._last_reason = reason

    def _give_up(self, verdict: Next, how: str) -> None:
        reason = self._failed or f"The manager {how}"
        if verdict is Next.GIVE_UP:
            reason = f"The manager never became ready in several starts. {reason}"
        if not reason.endswith((".", "!", "?")):
            reason += "."
        lines = self._tail.last_lines() if self._show is None else ""  # else they have just been shown
        log = log_path(self._settings)
        self._report(f"{reason} (log: {log})" + (f"\nLast lines of the log:\n{lines}" if lines else ""))
        self._result = 1
