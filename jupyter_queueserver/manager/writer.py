"""The one writer: takes inputs one at a time, decides, commits, then lets the world know.

The order is the promise: rule, commit, the new state replaces the old, changes are published, effects start, the answer goes
out.  If anything before the commit fails, nothing has happened.  Readers use `Writer.state` and never wait.
Once the manager's end is decided, every later wish is refused and no report starts an item.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import msgspec

from ..api import Call, decide
from ..api.dispatch import Repeated, decide_once, prepare
from ..core.changes import AnyChange, HistoryTrimmed, RequestRecorded
from ..core.codec import Verbatim
from ..core.config import Config
from ..core.decision import Step
from ..core.effects import AnyEffect, StopManager
from ..core.errors import QueueServerError, ServiceError, StateError, StoreUnavailable
from ..core.requests import RequestKey, unpacked
from ..core.rules.autostart import conclude
from ..core.rules.environment import end_with_manager
from ..core.rules.requests import TooManyRequestIds, forget, forget_outlived, is_recorded
from ..core.state import State
from ..storage import FenceLost, Store
from .once import SaidOnce
from .requests import Recent, stored_reply
from .tidying import Tidying

_log = logging.getLogger(__name__)

#: Seconds that a slice of a long check may take before others are served.
_SLICE = 0.002
#: Changes after which even those are committed that could be read again from the spool.
_UNCOMMITTED = 1000

#: Seconds between two times that old request ids are forgotten.
_PAUSE = 0.05

#: Seconds after which the queue is tried to be started by itself again, when the store did not take it.
_RETRY = 1.0

Rule = Callable[[Step], Any]


class Outcome(msgspec.Struct):
    """What an input led to: the rule's own result, the effects that were started, and whether anything changed."""

    result: Any
    effects: tuple[asyncio.Task[str | None], ...] = ()
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
    asker: str | None = None


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
    recent
        Counts the requests with an id; None: one with the clock of this machine.

    Attributes
    ----------
    state
        The present state; some of it may not be committed yet (see `submit`).
    store_failure
        Why the store did not take the last commit, or what was found damaged in it; None if all is well.
    committed_reports
        Environment, and number of the last of its reports that the store holds: the worker may forget those.
    """

    def __init__(
        self,
        store: Store,
        state: State,
        publisher: Publisher,
        act: Callable[[AnyEffect], asyncio.Task[str | None]],
        on_fence_lost: Callable[[], None],
        config: Config | None = None,
        clock: Callable[[], float] = time.time,
        recent: Recent | None = None,
    ) -> None:
        self.state = state
        self.config = config or Config()
        self._store = store
        self._publisher = publisher
        self._act = act
        self._on_fence_lost = on_fence_lost
        self._clock = clock
        self._recent = recent or Recent()
        self._inputs: asyncio.Queue[_Input] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._uncommitted: list[AnyChange] = []
        self._is_ending = False
        self._is_waiting = False
        self._retry: asyncio.TimerHandle | None = None
        self._start_waits = SaidOnce(_log)
        self._tidying = Tidying(store, self._thread)
        self._refused: str | None = None
        self._damage: str | None = None
        self.committed_reports = _reports_in(state)
        #: Name of who asked for the changes that are just being published; None: nobody, or who did not say it.
        self.asker: str | None = None

    @property
    def store_failure(self) -> str | None:
        return self._refused or self._damage

    @property
    def store_refusal(self) -> str | None:
        """Why the store takes no changes just now; None if it does."""
        return self._refused

    def store_says(self, refused: str | None, damage: str | None) -> None:
        """Take what the store says by itself: why it takes no changes just now, and what was lost of it; None: neither."""
        self._store_answered(refused)
        if damage != self._damage:
            self.store_damaged(damage)

    def store_damaged(self, found: str | None) -> None:
        """Show to everybody that the store is damaged, which is used all the same; None: that is no news any more."""
        self._damage = found
        self._publish([], self.state.seq + 1)

    def _store_answered(self, refused: str | None) -> None:
        """Tell it when the store begins or ends to refuse changes: once, not with each of them."""
        before, self._refused = self._refused, refused
        if (before is None) == (refused is None):
            return
        if refused is None:
            _log.warning("The store takes changes again.")
        else:
            _log.error("The store takes no changes: %s", refused)
        self._publish([], self.state.seq + 1)

    async def run(self) -> None:
        """Serve inputs until cancelled."""
        beside = [asyncio.create_task(work) for work in (self._tidying.run(), self._forget_outlived())]
        try:
            while True:
                await self._serve(await self._inputs.get())
                if self._is_ending:  # before the next input: a report must not start an item that would be killed at once
                    await self._close_queue()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _forget_outlived(self) -> None:
        """Give up what an earlier manager left of old requests: in the background, for that may be many."""

        def rule(step: Step) -> None:
            forget_outlived(step, young=self._recent.count())

        try:
            is_more = len(self.state.requests) > 0
            while is_more:
                is_more = (await self.submit(rule)).changed
                await asyncio.sleep(_PAUSE)
        except QueueServerError as err:  # each request that is recorded gives up some, too
            _log.warning("Old request ids are not forgotten yet: %s", err.msg)

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
            self._start_waits.failed(f"The queue could not be started by itself: {err.msg}")
            if self._retry is None:
                self._retry = asyncio.get_running_loop().call_later(_RETRY, self._try_again)
        except Exception:  # noqa: BLE001 - boundary of one input, as above
            _log.exception("The queue could not be started by itself, by a fault of the server.")
        else:
            self._start_waits.over("The queue can start by itself again.")

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
        self,
        rule: Rule,
        *,
        durable: bool = True,
        is_wish: bool = False,
        even_without_store: bool = False,
        asker: str | None = None,
    ) -> Outcome:
        """Decide an input; raises what the rule raises, or `StoreUnavailable`.

        ``durable`` False: what it changes can be read again from the worker's spool, so that it is committed with the next input
        that is durable.  ``is_wish`` True: somebody wants it, so that it is refused (``manager_ending``) once the manager's end
        is decided; False: it is a fact.  ``even_without_store`` True: it is done although the store does not take it, and
        committed with the next input that the store takes.  ``asker``: see the attribute.
        """
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        await self._inputs.put(_Input(rule, durable, is_wish, done, even_without_store, asker))
        return await done

    async def call(self, call: Call, fetched: Any = None, key: RequestKey | None = None) -> Outcome:
        """Decide a call of a writing method; long checks are done in slices before its turn comes.

        With a ``key`` it is done once only: the result is its reply as JSON text (`Verbatim`), also when it was done before.
        """
        catalogue = self.state.catalogue
        found = await self._sliced(call)

        def rule(step: Step) -> Any:
            def prepared() -> Any:  # anew if the lists changed meanwhile
                return found if step.state.catalogue is catalogue else self._at_once(call, step.state)

            if key is None:
                return decide(call, step, prepared(), fetched)
            return decide_once(call, step, key, prepared, fetched, young=self._recent.count())

        free = call.method.even_without_store
        try:
            outcome = await self.submit(rule, is_wish=True, even_without_store=free, asker=call.asker())
        except TooManyRequestIds as err:
            self._recent.refused(err.msg)
            raise
        if isinstance(outcome.result, Repeated):
            outcome.result = await self._reply_to(outcome.result.request_id)
        return outcome

    async def answered(self, key: RequestKey) -> Verbatim | None:
        """Return the reply of a request that was done before, None if it was not.

        Raises
        ------
        RequestIdReused
            Another one was done with its id.
        ServiceError
            The store does not give the reply just now.
        """
        return await self._reply_to(key.request_id) if is_recorded(self.state, key) else None

    async def _reply_to(self, request_id: str) -> Verbatim:
        for change in self._uncommitted:
            if isinstance(change, RequestRecorded) and change.reply and change.record and change.record.request_id == request_id:
                return Verbatim.of_text(unpacked(change.reply))
        loop = asyncio.get_running_loop()
        text = await loop.run_in_executor(self._thread, stored_reply, self._store, request_id)
        if text is None:
            raise ServiceError(
                f"The request with the id '{request_id}' was done, but its reply is not known any more.",
                code="reply_lost",
                hint="Nothing was done again. Look at the status and the queue for what came of it.",
            )
        return Verbatim.of_text(text)

    async def forget(self, key: RequestKey) -> None:
        """Let a retry be judged anew: the worker has refused what was decided."""
        await self.submit(functools.partial(forget, request_id=key.request_id), even_without_store=True)

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
            if any(isinstance(change, RequestRecorded) for change in step.changes):
                self._recent.note()
            self.asker = entry.asker
            self._publish(step.changes, first_seq)
            self.asker = None
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
                self._store_answered(err.msg)
                raise
            except Exception as err:
                _log.exception("The store did not take a change.")
                text = f"The change could not be stored: {err}"
                self._store_answered(text)
                raise StoreUnavailable(text) from err
            if any(isinstance(change, HistoryTrimmed) for change in changes):
                self._tidying.need()
            changes = []
            self._store_answered(None)
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
