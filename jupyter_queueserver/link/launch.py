"""Starts the worker's process and watches over its life: independent of its parent, seen when it dies, killed as a group.

Knows processes and files; says nothing to the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from ..instance import Identity, Instance, ProcessWatch, boot_id, identity_of, is_alive, write_private
from ..instance.secrecy import without_secrets
from .connection import choose_connection, place_copy, remove_copy
from .environment import EnvironmentRecord, write_environment
from .errors import NotAdoptable
from .memory import MemoryWatch
from .wire import ConnectionInfo

#: Of a worker that is no child of this process: nobody tells how it ended.
ENDED = "The worker process ended; how cannot be known, because the manager that had started it was gone."
_KILLED = "The worker process was killed by the server."
#: Seconds between two looks at the worker's memory.
_LOOK = 5.0
#: File in the environment's directory where the worker says who it is, should its launcher die before it could.
IDENTITY_FILE = "identity.json"


def exit_sentence(returncode: int) -> str:
    """Say how a child ended; ``returncode`` as `subprocess` gives it (negative: signal)."""
    if returncode >= 0:
        return f"The worker process ended with exit code {returncode}."
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = "unknown"
    return f"The worker process was killed by signal {-returncode} ({name})."


class WorkerProcess:
    """The worker's process, a child of ours or not.

    Parameters
    ----------
    identity
        Who it is.
    watch
        Opened before the identity was checked.
    child
        Our child; None when the worker was adopted.
    """

    def __init__(self, identity: Identity, watch: ProcessWatch, child: subprocess.Popen[bytes] | None) -> None:
        self.identity = identity
        self._watch = watch
        self._child = child
        self._killed = False
        self._memory = MemoryWatch(identity.pid)
        self.died: asyncio.Task[str] = asyncio.create_task(self._wait())

    async def _wait(self) -> str:
        death = asyncio.ensure_future(self._watch.wait())
        try:
            while not (await asyncio.wait({death}, timeout=_LOOK))[0]:
                self._memory.look()
            death.result()
            end_group(self.identity)
        finally:
            death.cancel()
            if self._child is not None:
                _reap(self._child, self._memory, wait=death.done() and not death.cancelled())
        return self._reason()

    def _reason(self) -> str:
        used = self._memory.text()
        if self._child is None:
            if self._killed:
                return _KILLED
            return f"{ENDED} {used.capitalize()}." if used else ENDED
        sentence = exit_sentence(self._child.returncode)
        if self._child.returncode != -signal.SIGKILL or self._killed:
            return sentence
        likely = "most likely by the system" if self._memory.system_has_killed() else "by somebody, or by the system"
        return f"{sentence.removesuffix('.')}, {likely} for lack of memory{': ' if used else ''}{used}."

    async def kill(self) -> str:
        """SIGKILL to the process and its group; returns the reason of `died` when it is gone."""
        if not self._watch.is_dead():
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.identity.pid, signal.SIGKILL)
        return await asyncio.shield(self.died)

    async def close(self) -> None:
        """Stop watching; the process goes on."""
        self.died.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.died
        self._watch.close()
        if self._child is not None and self._child.returncode is None:
            # It is meant to outlive us: not a forgotten child, so no ResourceWarning.
            self._child.returncode = 0


def end_group(worker: Identity) -> None:
    """SIGKILL what a dead worker has left in its process group: a forked copy of it may hold the devices."""
    with contextlib.suppress(ProcessLookupError):
        if identity_of(worker.pid).started != worker.started:
            return  # another process has its number by now
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)


def _reap(child: subprocess.Popen[bytes], memory: MemoryWatch, *, wait: bool) -> None:
    """Take the exit status of a child, and with it the most memory that it has ever used."""
    if child.returncode is None:
        try:
            pid, status, usage = os.wait4(child.pid, 0 if wait else os.WNOHANG)
        except ChildProcessError:  # somebody else has taken it
            child.poll()
            return
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            memory.note(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def write_connection_file(instance: Instance, record: EnvironmentRecord) -> ConnectionInfo:
    """Choose addresses and the key, and write them for the worker and for attached consoles; raises ``OSError``."""
    info = choose_connection(record.kernel, str(instance.sockets / f"k{record.environment_id[-8:]}"))
    write_private(Path(record.connection_file), msgspec.json.encode(info))
    if record.kernel.connection_copy is not None:
        place_copy(record.kernel.connection_copy, info)
    return info


def read_connection_file(record: EnvironmentRecord) -> ConnectionInfo:
    """Raises ``OSError`` or ``ValueError`` when it is not there or not readable."""
    return msgspec.json.decode(Path(record.connection_file).read_bytes(), type=ConnectionInfo)


def remove_sockets(info: ConnectionInfo) -> None:
    """Delete the socket files that a killed worker left behind."""
    for name in info.socket_files():
        Path(name).unlink(missing_ok=True)


def sweep_sockets(record: EnvironmentRecord) -> None:
    """Take away sockets and the copied connection file of a worker that is gone; nothing if its own file cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        info = read_connection_file(record)
        remove_sockets(info)
        if record.kernel.connection_copy is not None:
            remove_copy(record.kernel.connection_copy, info)


def find_process(record: EnvironmentRecord) -> tuple[Identity, ProcessWatch]:
    """Open the watch first, then check that it is the recorded process; raises `NotAdoptable`."""
    known = record.identity or _own_word(record)
    if known is None:
        raise NotAdoptable("The worker was recorded but its launch was not finished.", alive=True)
    if known.boot_id != boot_id():
        raise NotAdoptable("The machine was restarted since the worker was launched.")
    if known.namespace != identity_of().namespace:
        raise NotAdoptable("The worker was launched in another container.", alive=True)
    watch = ProcessWatch(known.pid)
    if watch.is_dead() or not is_alive(known):
        watch.close()
        raise NotAdoptable(ENDED)
    return known, watch


def _own_word(record: EnvironmentRecord) -> Identity | None:
    try:
        return msgspec.json.decode((Path(record.directory) / IDENTITY_FILE).read_bytes(), type=Identity)
    except (OSError, msgspec.MsgspecError):
        return None


def is_of_this_boot(directory: Path) -> bool:
    """Whether the worker of that environment's directory said who it is since the machine was started last."""
    try:
        known = msgspec.json.decode((directory / IDENTITY_FILE).read_bytes(), type=Identity)
    except (OSError, msgspec.MsgspecError):
        return False
    return known.boot_id == boot_id()


def launch_process(
    instance: Instance, record: EnvironmentRecord, python: str = sys.executable, *, working_dir: str | None = None
) -> tuple[EnvironmentRecord, subprocess.Popen[bytes]]:
    """Start the worker in a session of its own; returns the record with its identity, as written to the disk.

    Raises ``OSError`` when the program cannot be started; the record is then left for the caller to remove.
    """
    directory = Path(record.directory)
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    record.reports.mkdir(mode=0o700, exist_ok=True)
    write_connection_file(instance, record)
    write_environment(instance, record)
    command = [
        python,
        "-P",  # no module of the folder where the server happens to run takes the place of an installed one
        "-m",
        "jupyter_queueserver.worker",
        "--environment-file",
        str(instance.environment_file),
    ]
    with record.console.open("ab") as console:
        record.console.chmod(0o600)
        child = subprocess.Popen(  # noqa: S603 - the worker, by a list of words
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            env=_environment_variables(record),
            cwd=working_dir if working_dir is not None and Path(working_dir).is_dir() else None,
        )
    with contextlib.suppress(ProcessLookupError):
        record = msgspec.structs.replace(record, identity=identity_of(child.pid))
        write_environment(instance, record)
    return record, child


def _environment_variables(record: EnvironmentRecord) -> dict[str, str]:
    """The worker must not take itself for somebody's managed kernel, and must not die with its parent."""
    unwanted = ("JPY_PARENT_PID", "JPY_INTERRUPT_EVENT", "JPY_SESSION_NAME", "PYTEST_CURRENT_TEST")
    found = {name: value for name, value in without_secrets().items() if name not in unwanted}
    return found if record.kernel.backend is None else {**found, "MPLBACKEND": record.kernel.backend}
