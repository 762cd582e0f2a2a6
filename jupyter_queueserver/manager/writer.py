"""The one writer: takes inputs one at a time, decides, commits, then lets the world know.

The order is the promise: rule, commit, the new state replaces the old, changes are published, effects start, the answer goes
out.  If anything before the commit fails, nothing has happened.  Readers use `Writer.state` and never wait.
Once the manager's end is decided, every later wish is refused and no report starts an item.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import msgspec

from ..api import Call, decide
from ..api.dispatch import prepare
from ..core.changes import AnyChange
from ..core.config import Config
from ..core.decision import Step
from ..core.effects import AnyEffect, StopManager
from ..core.errors import QueueServerError, ServiceError, StateError, StoreUnavailable
from ..core.rules.autostart import conclude
from ..core.rules.environment import end_with_manager
from ..core.state import State
from ..storage import FenceLost, Store

_log = logging.getLogger(__name__)

#: Seconds that a slice of a long check may take before others are served.
_SLICE = 0.002
#: Changes after which even those are committed that could be read again from the spool.
_UNCOMMITTED = 1000

#: Seconds after which the queue is tried to be started by itself again, when the store did not take it.
_RETRY = 1.0

Rule = Callable[[Step], Any]


class Outcome(msgspec.Struct):
    """What an input led to: the rule's own result, the effects that were started, and whether anything changed."""

    result: Any
    effects: tuple[asyncio.Task[None], ...] = ()
    changed: bool = False


class Publisher(Protocol):
    """Who is told about committed changes."""

    def publish(self, changes: Sequence[AnyChange], first_seq: int, state: State) -> None:
        """Send changes, the first of which has that number; `state` is the state after them."""


class _Input(msgspec.Struct):
    rule: Rule
    durable: bool
    is_wish: bool
    done: asyncio.Future[Outcome]
    even_without_store: bool = False


class Writer:
    """The only place where the state changes.

    Parameters
    ----------
    store
        Already acquired; used from a thread of the writer's own.
    state
        What was loaded.
    publisher
        Told after each commit.
    act
        Starts an effect; returns the task that ends when the worker has answered.
    on_fence_lost
        Called when another manager has taken the store over; this one must end.
    config
        What rules have to know of the settings.
    clock
        Seconds since the epoch.

    Attributes
    ----------
    state
        The present state; some of it may not be committed yet (see `submit`).
    store_failure
        Why the store did not take the last commit; None if it did.
    committed_reports
        Environment, and number of the last of its reports that the store holds: the worker may forget those.
    """

    def __init__(
        self,
        store: Store,
        state: State,
        publisher: Publisher,
        act: Callable[[AnyEffect], asyncio.Task[None]],
        on_fence_lost: Callable[[], None],
        config: Config | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state = state
        self.config = config or Config()
        self._store = store
        self._publisher = publisher
        self._act = act
        self._on_fence_lost = on_fence_lost
        self._clock = clock
        self._inputs: asyncio.Queue[_Input] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._uncommitted: list[AnyChange] = []
        self._is_ending = False
        self._is_waiting = False
        self._retry: asyncio.TimerHandle | None = None
        self.store_failure: str | None = None
        self.committed_reports = _reports_in(state)

    async def run(self) -> None:
        """Serve inputs until cancelled."""
        while True:
            await self._serve(await self._inputs.get())
            if self._is_ending:  # before the next input: a report must not start an item that would be killed at once
                await self._close_queue()

    async def _serve(self, entry: _Input) -> None:
        try:
            if self._is_ending and entry.is_wish:
                raise _ends()
            outcome = await self._decide(entry)
        except QueueServerError as err:
            _settle(entry.done, err)
        except Exception as err:  # noqa: BLE001 - boundary of one input: a fault in a rule must not end the queue
            _log.exception("An input failed by a fault of the server.")
            _settle(entry.done, QueueServerError(f"Error: {err!r}", code="internal_error"))
        else:
            if not entry.done.done():
                entry.done.set_result(outcome)
            if (outcome.changed or entry.rule is _look_again) and not self._is_ending:
                await self._conclude()

    async def _conclude(self) -> None:
        """Start the queue if it starts by itself and can: a decision of its own, because it must be on record in any case."""
        if self._is_waiting or not self.state.autostart:
            return
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            await self._decide(_Input(conclude, True, False, done))
        except ServiceError as err:
            _log.warning("The queue could not be started by itself: %s", err.msg)
            if self._retry is None:
                self._retry = asyncio.get_running_loop().call_later(_RETRY, self._try_again)
        except Exception:  # noqa: BLE001 - boundary of one input, as above
            _log.exception("The queue could not be started by itself, by a fault of the server.")

    def _try_again(self) -> None:
        self._retry = None
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._inputs.put_nowait(_Input(_look_again, True, False, done))

    def wait_for_worker(self) -> None:
        """Nothing starts by itself until `look_again`: whether there is still a worker is not known yet."""
        self._is_waiting = True

    async def look_again(self) -> None:
        """Have the queue started if it starts by itself and can: an earlier manager may have died before it did that."""
        self._is_waiting = False
        await self.submit(_look_again)

    async def _close_queue(self) -> None:
        """Decide what the end means for the worker; tried again with each input if the store does not take it."""
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        await self._serve(_Input(end_with_manager, True, False, done))
        if (err := done.exception()) is not None:
            _log.warning("The end of the environment is not on record yet: %s", err)

    async def submit(
        self, rule: Rule, *, durable: bool = True, is_wish: bool = False, even_without_store: bool = False
    ) -> Outcome:
        """Decide an input; raises what the rule raises, or `StoreUnavailable`.

        ``durable`` False: what it changes can be read again from the worker's spool, so that it is committed with the next input
        that is durable.  ``is_wish`` True: somebody wants it, so that it is refused (``manager_ending``) once the manager's end
        is decided; False: it is a fact.  ``even_without_store`` True: it is done although the store does not take it, and
        committed with the next input that the store takes.
        """
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        await self._inputs.put(_Input(rule, durable, is_wish, done, even_without_store))
        return await done

    async def call(self, call: Call, fetched: Any = None) -> Outcome:
        """Decide a call of a writing method; long checks are done in slices before its turn comes."""
        catalogue = self.state.catalogue
        prepared = await self._sliced(call)

        def rule(step: Step) -> dict[str, Any]:
            if step.state.catalogue is catalogue:
                return decide(call, step, prepared, fetched)
            return decide(call, step, self._at_once(call, step.state), fetched)  # the lists changed meanwhile

        return await self.submit(rule, is_wish=True, even_without_store=call.method.even_without_store)

    async def _decide(self, entry: _Input) -> Outcome:
        step = Step(self.state, self._clock(), new_uid, self.config)
        result = entry.rule(step)
        if step.changes:
            try:
                await self._commit(step, entry.durable)
            except StoreUnavailable:
                if not entry.even_without_store:
                    raise
                self._uncommitted += step.changes
            first_seq = self.state.seq + 1
            self.state = step.state
            self._publish(step.changes, first_seq)
        if any(isinstance(effect, StopManager) for effect in step.effects):
            self._is_ending = True
        return Outcome(result, tuple(map(self._act, step.effects)), bool(step.changes))

    def _publish(self, changes: Sequence[AnyChange], first_seq: int) -> None:
        try:
            self._publisher.publish(changes, first_seq, self.state)
        except Exception:  # noqa: BLE001 - boundary of the listeners: what is committed takes effect, heard or not
            _log.exception("Changes from %d on could not be published.", first_seq)

    async def _commit(self, step: Step, durable: bool) -> None:
        changes = [*self._uncommitted, *step.changes]
        if durable or len(changes) >= _UNCOMMITTED:
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(self._thread, self._store.commit, changes, step.state)
            except FenceLost:
                self._on_fence_lost()
                raise
            except QueueServerError as err:
                self.store_failure = err.msg
                raise
            except Exception as err:
                _log.exception("The store did not take a change.")
                self.store_failure = f"The change could not be stored: {err}"
                raise StoreUnavailable(self.store_failure) from err
            changes = []
            self.store_failure = None
            self.committed_reports = _reports_in(step.state)
        self._uncommitted = changes

    async def _sliced(self, call: Call) -> Any:
        checks = prepare(call, self.state, new_uid, self.config)
        deadline = time.perf_counter() + _SLICE
        while True:
            try:
                next(checks)
            except StopIteration as end:
                return end.value
            if time.perf_counter() > deadline:
                await asyncio.sleep(0)
                deadline = time.perf_counter() + _SLICE

    def _at_once(self, call: Call, state: State) -> Any:
        checks = prepare(call, state, new_uid, self.config)
        while True:
            try:
                next(checks)
            except StopIteration as end:
                return end.value

    def close(self) -> None:
        """Wait for the store's thread and close the store."""
        if self._retry is not None:
            self._retry.cancel()
        self._thread.submit(self._store.close).result(timeout=10)
        self._thread.shutdown()


def _look_again(step: Step) -> None:
    """An input that wants nothing."""


def new_uid() -> str:
    """Return a fresh uid (UUID4)."""
    return str(uuid.uuid4())


def _reports_in(state: State) -> tuple[str | None, int]:
    return state.environment.environment_id, state.environment.reports_applied


def _ends() -> StateError:
    return StateError(
        "RE Manager is ending.",
        code="manager_ending",
        hint="Nothing was changed. Start the manager again and repeat the request.",
    )


def _settle(done: asyncio.Future[Outcome], err: QueueServerError) -> None:
    if not done.done():
        done.set_exception(err)
