"""Parts of a manager without sockets and processes: a writer on a store in memory, and who listens to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from jupyter_queueserver.api import parse_request
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.changes import AnyChange
from jupyter_queueserver.core.effects import AnyEffect
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.sequence import ItemSequence
from jupyter_queueserver.core.state import Environment, Execution, State
from jupyter_queueserver.instance import Identity
from jupyter_queueserver.manager.writer import Outcome, Writer
from jupyter_queueserver.storage import MemoryDisk, MemoryStore, Owner


def item(uid: str) -> Item:
    """A plan of that uid."""
    return Item({"item_uid": uid, "item_type": "plan", "name": "count", "user": "me", "user_group": "primary"})


def open_state(*queued: str, running: str | None = None) -> State:
    """A state with an open environment ``e``, those plans in the queue, and one that runs."""
    return State(
        queue=ItemSequence(map(item, queued)),
        running=item(running) if running else None,
        environment=Environment(state="open", environment_id="e"),
        execution=Execution(state="running") if running else Execution(),
        engine="running" if running else "idle",
        catalogue=Catalogue({}, {}, Permissions.default()),
    )


class Rig:
    """A writer that runs.

    Attributes
    ----------
    published, effects
        What it said and started so far.
    is_deaf
        Whether publishing fails.
    acted
        Set when the first effect was started.
    """

    def __init__(self, state: State) -> None:
        self.store = MemoryStore(MemoryDisk())
        self.store.acquire(Owner(host="h", identity=Identity(1, 2, "b", "n"), address="", since=0.0))
        self.published: list[AnyChange] = []
        self.effects: list[AnyEffect] = []
        self.is_deaf = False
        self.acted = asyncio.Event()
        self.writer = Writer(self.store, state, self, self._act, lambda: None)

    def publish(self, changes: Sequence[AnyChange], first_seq: int, state: State) -> None:
        if self.is_deaf:
            raise RuntimeError("nobody can hear this")
        self.published += changes

    def _act(self, effect: AnyEffect) -> asyncio.Task[None]:
        self.effects.append(effect)
        self.acted.set()
        return asyncio.create_task(asyncio.sleep(0))

    async def call(self, method: str, **params: Any) -> Outcome:
        """Decide a request."""
        return await self.writer.call(parse_request({"method": method, "params": params}))


@contextlib.asynccontextmanager
async def rig(state: State) -> AsyncIterator[Rig]:
    """A rig whose writer runs meanwhile."""
    made = Rig(state)
    running = asyncio.create_task(made.writer.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        made.writer.close()
