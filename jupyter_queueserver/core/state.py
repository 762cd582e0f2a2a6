"""The state of a queue server, whole: one value that never changes in place.

Three small machines live in it: the environment, the execution of the queue, and the mirror of the RunEngine.  What clients
know as ``manager_state`` is computed from them (`jupyter_queueserver.core.status`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .catalogue import Catalogue
from .history import History
from .items import Item
from .locks import Lock
from .permissions import Permissions
from .reports import StartupFile
from .requests import RequestIndex
from .sequence import ItemSequence
from .tasks import Task, TaskResult

EnvironmentState = Literal["closed", "opening", "open", "closing", "destroying"]
ExecutionState = Literal["idle", "starting", "running", "paused"]
PendingCommand = Literal["deferred_pause", "immediate_pause", "resume", "stop", "abort", "halt"]

#: environment machine: state -> states that may follow
ENVIRONMENT_TABLE: dict[str, frozenset[str]] = {
    "closed": frozenset({"opening", "destroying"}),  # destroying: a worker that lives on was found by a new manager
    "opening": frozenset({"open", "closed", "destroying"}),
    "open": frozenset({"closing", "closed", "destroying"}),
    "closing": frozenset({"closed", "destroying", "open"}),  # open: the worker refused
    "destroying": frozenset({"closed"}),
}

#: execution machine: state -> states that may follow
EXECUTION_TABLE: dict[str, frozenset[str]] = {
    "idle": frozenset({"starting"}),
    "starting": frozenset({"running", "paused", "idle"}),
    "running": frozenset({"paused", "idle"}),
    "paused": frozenset({"running", "idle"}),
}

#: RunEngine mirror: every state that it reports (None: there is no RunEngine)
ENGINE_STATES = (
    None,
    "idle",
    "running",
    "pausing",
    "paused",
    "halting",
    "stopping",
    "aborting",
    "suspending",
    "panicked",
)


class QueueMode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the queue is worked off (`loop`: finished plans go to the back again)."""

    loop: bool = False
    ignore_failures: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the environment could not be opened, or ended by itself.

    Attributes
    ----------
    time
        Seconds since the epoch.
    msg
        One sentence.
    file, line
        Where in the startup code; None if it is not about a file.
    traceback
        Python traceback; empty if there is none.
    """

    time: float
    msg: str
    file: str | None = None
    line: int | None = None
    traceback: str = ""


class Loading(msgspec.Struct, frozen=True, kw_only=True):
    """File (or module) of the startup code that is being loaded, the `number`-th of `count`; `since` in seconds since 1970."""

    name: str
    number: int
    count: int
    since: float


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The worker as the manager knows it.

    Attributes
    ----------
    state
        See `ENVIRONMENT_TABLE`.
    environment_id
        Identity of this environment; kept after its end until the next one is opened.  None: there never was one.
    reports_applied
        Number of the last report of this environment that is part of the state.
    failure
        Why the last one failed to open or died; None if it did not.
    files
        How the startup code loaded, file by file.
    problems
        Sentences about plans and devices that were left out.
    alarm
        What was lost of the documents of this environment, last; None if nothing was.
    outdated
        The worker speaks an older version of the conversation, or was opened with another store: its plan is finished, nothing
        more is started.
    dead
        The worker's process is gone, and what it told last is being applied: nothing is started any more.
    unreachable
        Why the worker, which lives, does not answer this manager; what it reports is known all the same.  None: it answers.
    loading
        What the worker is loading while the environment is being opened; None: nothing.
    """

    state: EnvironmentState = "closed"
    environment_id: str | None = None
    reports_applied: int = 0
    failure: Failure | None = None
    files: tuple[StartupFile, ...] = ()
    problems: tuple[str, ...] = ()
    alarm: str | None = None
    outdated: bool = False
    dead: bool = False
    unreachable: str | None = None
    loading: Loading | None = None


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What the running plan was told and has not done yet; see `jupyter_queueserver.core.rules.pending`.

    Attributes
    ----------
    command
        ``deferred_pause``, ``immediate_pause``, ``resume``, ``stop``, ``abort`` or ``halt``.
    since
        When it was asked for, seconds since the epoch.
    overdue
        Whether that took longer than the settings allow: the status names what can be done next.
    """

    command: PendingCommand
    since: float
    overdue: bool = False


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """Whether and how the queue is being worked off.

    Attributes
    ----------
    state
        See `EXECUTION_TABLE`.
    stop_pending
        The queue stops after the running plan.
    pause_pending
        A pause was asked for and is not reached yet.
    command
        What a paused plan was told last (``resume``, ``stop``, ``abort``, ``halt``) until it shows; else None.
    alone
        The running item was started by itself (``queue_item_execute``); the queue does not go on after it.
    keep_first
        The paused plan was told to stop and shall come back to the front of the queue all the same.
    pending
        What the plan was told last and has not done yet; None: nothing.
    """

    state: ExecutionState = "idle"
    stop_pending: bool = False
    pause_pending: bool = False
    command: Literal["resume", "stop", "abort", "halt"] | None = None
    alone: bool = False
    keep_first: bool = False
    pending: Pending | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the running plan, as ``re_runs`` answers it."""

    uid: str
    scan_id: int | None
    is_open: bool
    exit_status: str | None


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """Number of the last change that touched each part; the uids of the status are made of them."""

    queue: int = 0
    history: int = 0
    runs: int = 0
    plans_existing: int = 0
    devices_existing: int = 0
    plans_allowed: int = 0
    devices_allowed: int = 0
    task_results: int = 0


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the manager knows and must not lose.

    Attributes
    ----------
    cell
        Whether a cell of an attached console holds the worker's main thread.
    autostart
        Whether the queue starts by itself whenever it can.
    tasks
        Those that are not over, in the order of their start.
    task_results
        Those that are over and not forgotten yet, oldest first.
    requests
        Requests with an id that were done; their replies are in the store alone.
    seq
        Number of the last change in this life of the manager; not stored.
    time
        When that change was made, seconds since the epoch.
    """

    queue: ItemSequence = msgspec.field(default_factory=ItemSequence)
    history: History = History()
    running: Item | None = None
    mode: QueueMode = QueueMode()
    autostart: bool = False
    lock: Lock = Lock()
    environment: Environment = Environment()
    execution: Execution = Execution()
    engine: str | None = None
    cell: bool = False
    runs: tuple[Run, ...] = ()
    tasks: tuple[Task, ...] = ()
    task_results: tuple[TaskResult, ...] = ()
    requests: RequestIndex = msgspec.field(default_factory=RequestIndex)
    catalogue: Catalogue
    versions: Versions = Versions()
    seq: int = 0
    time: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether there is a usable environment."""
        return self.environment.state == "open"


def first_state(permissions: Permissions | None = None) -> State:
    """Return the state of a server that has nothing yet; None: the permissions that are there without a file."""
    return State(catalogue=Catalogue({}, {}, permissions or Permissions.default()))
