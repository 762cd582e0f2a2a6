"""The manager process as the watchdog sees it: started by it, or found alive and adopted.

Knows how to start, signal and bury one process; decides nothing.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from ..instance.launch import spawn_detached
from ..instance.process import Identity, ProcessWatch, identity_of, is_alive
from .settings import Settings, settings_path


class Supervised:
    """One manager process, until it is dead.

    Attributes
    ----------
    identity
        Which process it is.
    """

    def __init__(self, watch: ProcessWatch, identity: Identity, child: subprocess.Popen[bytes] | None) -> None:
        self.identity = identity
        self._watch = watch
        self._child = child

    @classmethod
    def spawn(cls, settings: Settings, *, again: bool = False) -> Supervised:
        """Start a manager; its output is appended to the manager's log.  Raises ``OSError`` if that is
        impossible.

        ``again``: it takes the place of one that has served before, so that what that one was told still holds.
        """
        program = [settings.manager_program] if settings.manager_program else ["-m", "jupyter_queueserver.manager"]
        command = [sys.executable, "-P", *program, "--settings", str(settings_path(settings.instance))]
        if again:
            command.append("--again")
        child = spawn_detached(command, log_path(settings), cwd=settings.data_dir)
        watch = ProcessWatch(child.pid, use_pidfd=settings.use_pidfd)
        # An unreaped child keeps its pid and its entry, so this cannot fail or name another process.
        return cls(watch, identity_of(child.pid), child)

    @classmethod
    def adopt(cls, identity: Identity, *, use_pidfd: bool = True) -> Supervised | None:
        """Take over a manager that lives without watchdog; None if it does not live."""
        watch = ProcessWatch(identity.pid, use_pidfd=use_pidfd)
        if is_alive(identity):
            return cls(watch, identity, None)
        watch.close()
        return None

    def fileno(self) -> int | None:
        """Descriptor that becomes readable at its death; None without pidfd."""
        return self._watch.fileno()

    @property
    def needs_looking(self) -> bool:
        """Whether nothing announces its death: neither a descriptor nor the signal for a child's end."""
        return self._child is None and self._watch.fileno() is None

    def is_dead(self) -> bool:
        """Look once."""
        return self._child.poll() is not None if self._child is not None else self._watch.is_dead()

    @property
    def status(self) -> int | None:
        """Exit status of a dead one, negative for a signal; None if it was adopted."""
        return self._child.returncode if self._child is not None else None

    def describe_exit(self) -> str:
        """How it ended, as the end of a sentence."""
        status = self.status
        if status is None:
            return "ended"
        if status < 0:
            try:
                return f"was killed by signal {-status} ({signal.Signals(-status).name})"
            except ValueError:
                return f"was killed by signal {-status}"
        return f"ended with status {status}"

    def send_signal(self, number: int) -> bool:
        """Send a signal to exactly this process; False if it is dead."""
        return self._watch.send_signal(number)

    def leave(self) -> None:
        """Stop watching.  The process goes on if it lives."""
        self._watch.close()
        if self._child is not None and self._child.poll() is None:
            self._child.returncode = 0  # it outlives us on purpose; without this Python would complain


def log_path(settings: Settings) -> Path:
    """Where a manager's output goes."""
    return settings.instance.logs / "manager.log"
