"""Who a process is, beyond its pid, and how to see its death at once.

A pid alone is reused; together with the start time, the boot and the pid namespace it names one process for ever.
"""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """One process, unmistakably.

    Attributes
    ----------
    pid
        Process id in its namespace.
    started
        Start time as the kernel counts it (clock ticks since boot); 0 where it cannot be read.
    boot_id
        Identity of the machine's present boot.
    namespace
        Identity of the pid namespace; empty where there is none.
    """

    pid: int
    started: int
    boot_id: str
    namespace: str


def boot_id() -> str:
    """Identity of this boot of the machine; empty where it cannot be read."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _stat_fields(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _has_proc() -> bool:
    return Path("/proc/self/stat").exists()


def identity_of(pid: int | None = None) -> Identity:
    """Describe a living process (None: this one); raises ``ProcessLookupError`` if there is none."""
    pid = pid or os.getpid()
    fields = _stat_fields(pid)
    if fields is None:
        if _has_proc():
            raise ProcessLookupError(f"there is no process {pid}")
        os.kill(pid, 0)
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return Identity(pid, int(fields[19]) if fields else 0, boot_id(), namespace)


def is_alive(identity: Identity) -> bool:
    """Whether exactly that process lives; a zombie counts as dead."""
    if identity.boot_id != boot_id():
        return False
    fields = _stat_fields(identity.pid)
    if fields is None:
        if _has_proc():
            return False
        try:
            os.kill(identity.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    return fields[0] not in ("Z", "X") and int(fields[19]) == identity.started


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped, as by SIGSTOP; False where that cannot be read."""
    fields = _stat_fields(pid)
    return fields is not None and fields[0] in ("T", "t")


class ProcessWatch:
    """Sees the death of a process, child or not.

    With pidfd (Linux) at once; without it by looking every ``interval`` seconds.  Open it *before* checking that
    the process is the right one: then no other process can take its place in between.
    """

    def __init__(self, pid: int, *, use_pidfd: bool = True, interval: float = 0.2) -> None:
        self.pid = pid
        self.interval = interval
        self._fd: int | None = None
        self._identity: Identity | None = None
        try:
            self._identity = identity_of(pid)
            if use_pidfd and hasattr(os, "pidfd_open"):
                self._fd = os.pidfd_open(pid)
        except OSError:
            pass

    def is_dead(self) -> bool:
        """Look once."""
        if self._identity is None:
            return True
        if self._fd is None:
            return not is_alive(self._identity)
        return bool(select.select([self._fd], [], [], 0)[0]) or not is_alive(self._identity)

    def fileno(self) -> int | None:
        """Descriptor that becomes readable at the death; None without pidfd."""
        return self._fd

    async def wait(self) -> None:
        """Return when the process is dead."""
        import asyncio  # here, because the watchdog uses this class and must stay small

        if self._fd is None or self.is_dead():
            while not self.is_dead():  # noqa: ASYNC110 - nothing announces this death
                await asyncio.sleep(self.interval)
            return
        loop = asyncio.get_running_loop()
        died = loop.create_future()
        loop.add_reader(self._fd, lambda: died.done() or died.set_result(None))
        try:
            await died
        finally:
            loop.remove_reader(self._fd)

    def send_signal(self, number: int) -> bool:
        """Send a signal to exactly that process; False if it is dead already."""
        if self.is_dead():
            return False
        try:
            if self._fd is not None and hasattr(signal, "pidfd_send_signal"):
                signal.pidfd_send_signal(self._fd, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        """Release the descriptor."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
