"""The way in without any process or socket: the manager's writer, answers and hands, with a worker that is played.

The loop turns only while the conversation asks or waits.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from actor import Actor, launcher
from line import EMERGENCY_KEY, Line, Reply, Status

from jupyter_queueserver.api import Context
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.changes import AnyChange
from jupyter_queueserver.core.config import Config
from jupyter_queueserver.core.effects import AnyEffect, KillManager, StopManager
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.state import State
from jupyter_queueserver.instance import Instance, identity_of
from jupyter_queueserver.link.worker import WorkerLink
from jupyter_queueserver.manager.environment import Environment
from jupyter_queueserver.manager.history import HistoryFetcher
from jupyter_queueserver.manager.permissions import load_permissions, read_permission_files
from jupyter_queueserver.manager.replies import Answerer, local_time, people_time, status_of
from jupyter_queueserver.manager.settings import Settings, shipped_profile
from jupyter_queueserver.manager.writer import Writer
from jupyter_queueserver.storage import MemoryDisk, MemoryStore, Owner
from jupyter_queueserver.version import __version__

T = TypeVar("T")

LIMIT = 60.0
PERMISSIONS = str(shipped_profile() / "user_group_permissions.yaml")


class InProcessLine(Line):
    """A manager without doors.

    Parameters
    ----------
    plans, devices
        What the played environment has, in the wire form.
    user
        Who talks.
    """

    way = "in-process"

    def __init__(self, folder: Path, plans: dict[str, Any], devices: dict[str, Any], user: str = Line.user) -> None:
        super().__init__(folder)
        self.user = user
        self.ended: list[AnyEffect] = []
        self._statuses: list[Status] = []
        self._changes = 0
        self._base = Path(tempfile.mkdtemp(prefix="jqs-talk-"))
        self._instance = Instance(self._base / "data")
        self._loop = asyncio.new_event_loop()
        self._launching = patch.object(WorkerLink, "launch", launcher(plans, devices))
        self._launching.start()
        self._do(self._start())

    async def _start(self) -> None:
        self._changed = asyncio.Condition()
        self._instance.prepare()
        settings = Settings(
            data_dir=str(self._instance.data_dir),
            startup=str(shipped_profile()),
            user_group_permissions=PERMISSIONS,
            use_ipython_kernel=True,
        )
        store = MemoryStore(MemoryDisk())
        fence = store.acquire(Owner(host="h", identity=identity_of(), address="", since=0.0))
        self._environment = Environment(
            self._instance,
            settings,
            fence,
            on_console=_nothing,
            on_opened=_nothing,
            on_replaced=_nothing,
        )
        self._config = Config(emergency_lock_key=EMERGENCY_KEY, time_text=people_time)
        state = State(catalogue=Catalogue({}, {}, load_permissions(PERMISSIONS) or Permissions.default()))
        self._writer = Writer(store, state, self, self._act, _nothing, self._config)
        self._environment.connect(self._writer)
        history = HistoryFetcher(self._writer, store)
        fetchers = {
            "permission_files": _read_files,
            "re_metadata": lambda _: self._environment.read_metadata(),
            "history_page": history.page,
            "history_number": history.number,
            "history_uids": history.known,
        }
        self._answerer = Answerer(self._writer, self._context, fetchers)
        self._statuses.append(self._answerer.status())
        self._work = [asyncio.create_task(self._writer.run()), asyncio.create_task(self._environment.run())]

    @property
    def worker(self) -> Actor:
        """The played worker."""
        link = self._environment.link
        assert isinstance(link, Actor)
        return link

    def _context(self) -> Context:
        link = self._environment.link
        connection = link.connection_info if link is not None else {}
        return Context(epoch="reference", version=__version__, local_time=local_time, connection=connection, config=self._config)

    def _act(self, effect: AnyEffect) -> asyncio.Task[None]:
        if isinstance(effect, StopManager | KillManager):
            self.ended.append(effect)
            return asyncio.create_task(asyncio.sleep(0))
        return self._environment.act(effect)

    def publish(self, changes: Sequence[AnyChange], first_seq: int, state: State) -> None:
        """Hear what is committed."""
        self._statuses.append(status_of(state, self._context()))
        self._changes += 1
        self._loop.call_soon(lambda: asyncio.ensure_future(self._tell()))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # -- the line ------------------------------------------------------------------------------

    def exchange(self, method: str, params: dict[str, Any]) -> Reply:
        if self.submitter == "known":
            params = params | self.who(method)
        elif self.submitter == "filled":
            params = self.who(method) | params
        request = codec.to_json({"method": method, "params": params})
        return codec.from_json(self._do(self._answerer.answer(request)))

    def wait(self, condition: Callable[[Status], Any], what: str) -> Status:
        while True:
            known, status = self._changes, self._answerer.status()
            if condition(status):
                return status
            assert self._do(self._has_changed(known)), f"waited {LIMIT:g} s for: {what}; last: {status}"

    async def _has_changed(self, known: int) -> bool:
        async with self._changed:
            try:
                async with asyncio.timeout(LIMIT):
                    await self._changed.wait_for(lambda: self._changes != known)
            except TimeoutError:
                return False
        return True

    def mark(self) -> None:
        del self._statuses[:-1]

    def states(self) -> list[str]:
        shown = [status["manager_state"] for status in self._statuses]
        return [state for place, state in enumerate(shown) if place == 0 or state != shown[place - 1]]

    def let_go(self, path: str) -> None:
        self.worker.let_go()

    def close(self) -> None:
        """End the loop and remove the files."""
        for task in self._work:
            task.cancel()
        self._do(_ended(self._work))
        self._do(self._environment.detach())
        self._writer.close()
        self._launching.stop()
        self._loop.close()
        shutil.rmtree(self._base)
        shutil.rmtree(self._instance.sockets, ignore_errors=True)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)


def _nothing(*_: Any) -> None:
    pass


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


async def _read_files(_: Mapping[str, Any]) -> Any:
    return read_permission_files(PERMISSIONS, None)
