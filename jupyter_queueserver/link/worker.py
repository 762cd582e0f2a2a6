"""The manager's side of the worker: launch or adopt it, command it, see its reports, its console and its death.

`WorkerLink` keeps nothing that would be lost with the manager: all of it is on disk or in the worker.  It decides nothing
about the queue.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import msgspec

from ..core.errors import WorkerRefused
from ..core.items import Item
from ..core.reports import Report
from ..core.tasks import Task
from ..instance import Identity, Instance, ProcessWatch, boot_id, check_private
from .console import ConsoleReader
from .environment import EnvironmentRecord, read_environment
from .errors import NotAdoptable, WorkerUnreachable
from .launch import ENDED, WorkerProcess, find_process, launch_process, read_connection_file, remove_sockets
from .messages import (
    REQUEST_TYPE,
    Ack,
    Allowed,
    AnyRequest,
    BreakOff,
    Close,
    Command,
    Continue,
    Facts,
    Heard,
    Hello,
    Interrupt,
    Metadata,
    Pause,
    ReadMetadata,
    Start,
    StartReply,
    StartTask,
    Status,
    Withdraw,
    to_content,
)
from .spool import SpoolReader
from .wire import RequestChannel, Signer

T = TypeVar("T")

#: Seconds that a request may take.
REQUEST_TIMEOUT = 2.0
#: Version of the conversation from which on requests have an end.
_KNOWS_UNTIL = 3
#: Seconds until a new worker's control channel must answer: imports from a cold network disk take long, and who does not
#: want to wait destroys the environment.
HELLO_TIMEOUT = 3600.0


class WorkerLink:
    """A worker that this manager commands; made by `launch` or `adopt`.

    Every request raises `WorkerRefused` when the worker says no (its code and sentence), and `WorkerUnreachable`
    (code ``worker_unreachable``) when it does not answer within ``limit`` seconds.

    Attributes
    ----------
    record
        The environment.
    facts
        What the worker said of itself last (`hello`, `status`); None before the first hello.
    adopted
        Whether an earlier manager launched it.
    died
        Task that ends with the reason as a sentence when the process is gone.
    console
        The worker's console text.
    """

    def __init__(self, instance: Instance, record: EnvironmentRecord, process: WorkerProcess, *, adopted: bool) -> None:
        self.instance = instance
        self.record = record
        self.adopted = adopted
        self.facts: Facts | None = None
        self.console = ConsoleReader(record.console)
        self._process = process
        self._connection = read_connection_file(record)
        self._fence = 0
        self._spool = SpoolReader(record.reports)
        self._channel = RequestChannel(self._connection.address(self._connection.control_port), Signer(self._connection.key))

    @property
    def environment_id(self) -> str:
        """Identity of the environment."""
        return self.record.environment_id

    @property
    def identity(self) -> Identity:
        """The worker's process."""
        return self._process.identity

    @property
    def pid(self) -> int:
        """Process id of the worker, also of its process group."""
        return self._process.identity.pid

    @property
    def connection_info(self) -> dict[str, Any]:
        """The kernel's connection information, in the form of a connection file."""
        return msgspec.to_builtins(self._connection)

    @property
    def died(self) -> asyncio.Task[str]:
        """Ends when the process is gone."""
        return self._process.died

    @classmethod
    async def launch(
        cls, instance: Instance, record: EnvironmentRecord, python: str = sys.executable, *, working_dir: str | None = None
    ) -> Self:
        """Start the worker's process and return at once; `hello` waits for its control channel.

        It runs in ``working_dir``; None, or one that is gone: in that of this process.
        Raises ``OSError`` when the process cannot be started.
        """
        record, child = launch_process(instance, record, python, working_dir=working_dir)
        watch = ProcessWatch(child.pid)
        identity = record.identity or Identity(child.pid, 0, boot_id(), "")
        return cls(instance, record, WorkerProcess(identity, watch, child), adopted=False)

    @classmethod
    async def adopt(cls, instance: Instance, fence: int, *, limit: float = REQUEST_TIMEOUT) -> Self:
        """Take over the worker that ``environment.json`` names; its `facts` are known afterwards.

        Raises `NotAdoptable` when there is none, when it is another process, or when it does not answer.
        """
        record = read_environment(instance)
        if record is None:
            raise NotAdoptable("No environment is recorded.")
        identity, watch = find_process(record)
        try:
            for path in read_connection_file(record).socket_files():
                check_private(Path(path).parent)
            link = cls(instance, record, WorkerProcess(identity, watch, None), adopted=True)
        except (OSError, ValueError) as err:
            watch.close()
            raise NotAdoptable(f"The sockets of the worker cannot be used: {err}", alive=True) from err
        try:
            facts = await link.hello(fence, limit=limit)
        except (WorkerRefused, WorkerUnreachable) as err:
            dead = watch.is_dead()
            await link.detach()
            raise NotAdoptable(ENDED if dead else err.msg, alive=not dead) from err
        if facts.pid != identity.pid or facts.nonce != record.nonce:
            await link.detach()
            raise NotAdoptable("Another process answered in the worker's place.", alive=True)
        return link

    async def hello(self, fence: int, *, limit: float = HELLO_TIMEOUT) -> Facts:
        """Become the worker's manager; waits for a worker that is still starting, but not beyond its death."""
        self._fence = fence
        request = Hello(environment_id=self.environment_id, fence=fence, nonce=self.record.nonce)
        self.facts = await self._ask(request, Facts, limit)
        return self.facts

    async def status(self, fence: int | None = None, *, limit: float = REQUEST_TIMEOUT) -> Facts:
        """Ask for its present facts."""
        self.facts = await self._ask(Status(**self._head(fence)), Facts, limit)
        return self.facts

    async def start(self, item: Item, fence: int, allowed: Allowed | None = None) -> StartReply:
        """Hand over an item, to be run once; the answer says whether it was accepted now or seen before."""
        request = Start(
            **self._head(fence),
            item_uid=item.item_uid,
            item_text=item_text(item),
            allowed=allowed or Allowed(),
        )
        return await self._ask(request, StartReply)

    async def withdraw(self, item_uid: str, fence: int) -> None:
        """Take an accepted item back; refused with ``already_taken`` or ``unknown_item``."""
        await self._tell(Withdraw(**self._head(fence), item_uid=item_uid))

    async def pause(self, deferred: bool, fence: int) -> bool:
        """Ask for a pause, immediate or at the next checkpoint; reports say when it has come.

        False: the plan holds the RunEngine, which hears of it when the plan lets go.
        """
        return (await self._ask(Pause(**self._head(fence), deferred=deferred), Heard)).heard

    async def break_off(self, command: Literal["abort", "halt"], fence: int) -> bool:
        """End the running plan though it is not paused; reports say what came of it.  False: as for `pause`."""
        return (await self._ask(BreakOff(**self._head(fence), command=command), Heard)).heard

    async def continue_(self, command: Command, fence: int) -> None:
        """Resume, stop, abort or halt the paused plan; reports say what came of it."""
        await self._tell(Continue(**self._head(fence), command=command))

    async def start_task(self, task: Task, fence: int) -> StartReply:
        """Hand over a task, to be done once; the answer says whether it was accepted now or seen before."""
        request = StartTask(
            **self._head(fence),
            task_uid=task.task_uid,
            kind=task.kind,
            background=task.background,
            payload=task.payload,
        )
        return await self._ask(request, StartReply)

    async def interrupt(self, fence: int, *, plan: bool, task: bool) -> None:
        """Interrupt the main thread; refused if it does what must not be interrupted."""
        await self._tell(Interrupt(**self._head(fence), plan=plan, task=task))

    async def metadata(self, keys: tuple[str, ...]) -> str:
        """Return the RunEngine's metadata as JSON text, as far as the keys permit."""
        return (await self._ask(ReadMetadata(**self._head(None), keys=keys), Metadata)).text

    async def ack(self, n: int) -> None:
        """Allow the worker to delete the reports up to ``n``."""
        await self._tell(Ack(**self._head(None), n=n))

    async def close(self, fence: int) -> None:
        """Ask it to end in order; `died` tells when it has."""
        await self._tell(Close(**self._head(fence)))

    async def kill(self) -> str:
        """SIGKILL it and its children; returns the reason when it is gone."""
        reason = await self._process.kill()
        remove_sockets(self._connection)
        return reason

    def reports_since(self, n: int) -> list[tuple[int, Report]]:
        """Reports after number ``n``, read from the disk, whether the worker lives or not."""
        return self._spool.since(n)

    @property
    def damage(self) -> str | None:
        """Sentence when `reports_since` met a report that cannot be read, with others behind it; None when all is well."""
        return self._spool.damage

    def take_contradiction(self) -> str | None:
        """Sentence when `reports_since` met two different reports of one number, once; None when that did not happen."""
        return self._spool.take_contradiction()

    async def detach(self) -> None:
        """Let go of the worker without touching it."""
        await self._channel.close()
        await self._process.close()

    def _head(self, fence: int | None) -> dict[str, Any]:
        return {"environment_id": self.environment_id, "fence": self._fence if fence is None else fence}

    async def _tell(self, request: AnyRequest) -> None:
        await self._ask(request, dict)

    async def _ask(self, request: AnyRequest, answer: type[T], limit: float = REQUEST_TIMEOUT) -> T:
        content = to_content(request)
        if self.facts is not None and self.facts.protocol >= _KNOWS_UNTIL:
            content["until"] = time.monotonic() + limit
        exchange = asyncio.ensure_future(self._channel.request(REQUEST_TYPE, content, limit))
        await asyncio.wait({exchange, self.died}, return_when=asyncio.FIRST_COMPLETED)
        if not exchange.done():
            exchange.cancel()
            raise WorkerUnreachable(self.died.result())
        content = exchange.result()
        if content.pop("ok", False) is not True:
            raise WorkerRefused(content.get("msg", "refused"), code=content.get("code", "worker_refused"))
        return msgspec.convert(content, answer)


def item_text(item: Item) -> str:
    """The item as text that any JSON library can carry inside a string."""
    try:
        return item.text.decode()
    except UnicodeDecodeError:  # lone surrogates in a user's text
        import json

        return json.dumps(item.fields)


def spool_of(record: EnvironmentRecord) -> SpoolReader:
    """The reports of an environment whose worker is gone."""
    return SpoolReader(Path(record.reports))
