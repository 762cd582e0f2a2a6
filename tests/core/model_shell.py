"""The manager's shell in one process: decide, commit, apply, publish, act; and it checks the laws at each step."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from model_worker import ModelWorker
from msgspec.structs import replace

from jupyter_queueserver.api import Call, decide, parse_request, refuse
from jupyter_queueserver.api.dispatch import Repeated, decide_once, prepare
from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core import codec, effects
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.config import Config
from jupyter_queueserver.core.decision import Step
from jupyter_queueserver.core.errors import PermissionsInvalid, QueueServerError
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.mirror import Mirror, Snapshot, public, snapshot
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.reports import AnyReport, WorkerLost
from jupyter_queueserver.core.requests import unpacked
from jupyter_queueserver.core.rules import environment as environment_rules
from jupyter_queueserver.core.rules import execution as execution_rules
from jupyter_queueserver.core.rules import pending as pending_rules
from jupyter_queueserver.core.rules import tasks as task_rules
from jupyter_queueserver.core.rules.autostart import conclude
from jupyter_queueserver.core.rules.permissions import PermissionFiles
from jupyter_queueserver.core.rules.recovery import worker_adopted
from jupyter_queueserver.core.rules.reports import apply_report, apply_reports
from jupyter_queueserver.core.rules.requests import is_recorded
from jupyter_queueserver.core.rules.restore import KnownEntries
from jupyter_queueserver.core.state import ENVIRONMENT_TABLE, EXECUTION_TABLE, State
from jupyter_queueserver.core.status import status
from jupyter_queueserver.core.tasks import Task
from jupyter_queueserver.instance import Identity
from jupyter_queueserver.storage import MemoryDisk, MemoryStore, Owner

WHOLE = 10**6
_OWNER = Owner(host="h", identity=Identity(1, 2, "b", "n"), address="", since=0.0)
#: what the worker does not take is dropped
_REFUSED = "task refused"
#: calls by which items may leave the queue without being run
_REMOVERS = ("queue_item_remove", "queue_item_remove_batch", "queue_clear", "queue_item_update")


def drained(generator: Iterator[None]) -> Any:
    """Run a sliced check to its end."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def over_the_wire(value: Any, kind: Any) -> Any:
    """Law 3: the same after JSON, and after msgpack (but for numbers and texts that msgpack does not know)."""
    by_json = codec.typed_from_json(codec.to_json(value), kind)
    by_msgpack = codec.convert(codec.from_msgpack(codec.to_msgpack(value)), kind)
    assert by_json == value
    plain = codec.to_plain(value)
    narrowed = codec._for_msgpack(plain)
    assert by_msgpack == (value if narrowed == plain else codec.convert(narrowed, kind))
    return by_json


class Shell:
    """A manager without sockets, files and clock."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.store = MemoryStore(self.disk)
        self.store.acquire(_OWNER)
        self.state = State(catalogue=Catalogue({}, {}, Permissions.default()))
        self.worker: ModelWorker | None = None
        self.wishes: list[effects.AnyEffect] = []
        self.executed: Counter[str] = Counter()
        self.config = Config(emergency_lock_key="emergency", time_text=lambda seconds: f"at {seconds}")
        self.fetched: dict[str, Any] = {
            "permission_files": PermissionFiles(permissions=Permissions.default(), lists=PermissionsInvalid("No file.")),
            "re_metadata": {},
        }
        self._uids = (f"u{n}" for n in itertools.count())
        self._now = 100.0
        self._watch()

    def new_uid(self) -> str:
        return next(self._uids)

    # one input

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One request, as the manager would answer it."""
        call = parse_request({"method": method, "params": params})
        try:
            if (key := call.key()) is not None and is_recorded(self.state, key):
                return self._answered_again(key.request_id)
            prepared = drained(prepare(call, self.state, self.new_uid, self.config))
        except QueueServerError as err:
            return self._refused(call, err)
        reply: dict[str, Any] = {}

        def rule(step: Step) -> None:
            fetched = self._fetched_for(call)
            if key is None:
                reply.update(decide(call, step, prepared, fetched))
            else:
                decided = decide_once(call, step, key, lambda: prepared, fetched)
                assert not isinstance(decided, Repeated)
                reply.update(decided.value)

        try:
            self.submit(rule, method)
        except QueueServerError as err:
            return self._refused(call, err)
        return codec.from_json(codec.to_json(reply))

    def _answered_again(self, request_id: str) -> dict[str, Any]:
        text = self.store.request_reply(request_id)
        assert text is not None, "a request is recorded without its reply"
        return codec.from_json(unpacked(text))

    def _fetched_for(self, call: Call) -> Any:
        """What the manager would get from outside before it decides."""
        uid = call.params.get("item_uid") if isinstance(call.params, dict) else None
        if call.method.fetch == "history_number" and isinstance(uid, str):
            return self.store.history_number(uid)
        if call.method.fetch == "history_uids":
            return KnownEntries(self.state.history.end, frozenset(item.item_uid for item in self.entries))
        return self.fetched.get(call.method.fetch or "")

    @property
    def entries(self) -> list[Item]:
        """The whole history."""
        history = self.state.history
        found = list(map(Item.of_text, self.store.history(history.first, history.end)))
        assert len(found) == history.size
        assert found[len(found) - len(history.tail) :] == list(history.tail)
        return found

    def _refused(self, call: Call, err: QueueServerError) -> dict[str, Any]:
        """Law 8."""
        reply = codec.from_json(codec.to_json(refuse(call, err, self.state)))
        assert reply["success"] is False
        assert reply["msg"]
        assert set(reply["error"]) == {"code", "hint", "path"}
        assert reply["error"]["code"].replace("_", "").isalpha()
        assert reply["error"]["hint"]
        assert set(call.method.reply) <= set(reply)
        return reply

    def submit(self, rule: Callable[[Step], Any], method: str = "") -> None:
        """One writing input through all stations."""
        self._now += 1.0
        before, seen = self.state, codec.to_json(snapshot(self.state, WHOLE))
        step = Step(before, self._now, self.new_uid, self.config)
        try:
            rule(step)
        except QueueServerError:  # law 1
            assert not step.changes
            assert not step.effects
            assert self.state is before
            assert codec.to_json(snapshot(before, WHOLE)) == seen
            raise
        assert codec.to_json(snapshot(before, WHOLE)) == seen, "the old state was changed in place"
        self.store.commit(step.changes, step.state)
        self.state = step.state
        self._publish(before, step)
        self.wishes.extend(step.effects)
        self._check(before, step, method)
        if step.changes and rule is not conclude and self.state.autostart:
            self.submit(conclude, "conclude")

    def _publish(self, before: State, step: Step) -> None:
        """Laws 2 and 3, and the tables."""
        environment, execution = before.environment.state, before.execution.state
        for seq, change in enumerate(step.changes, before.seq + 1):
            sent = over_the_wire(public(change), ch.AnyChange)
            assert self.mirror.apply(seq, codec.to_plain(sent), self._now)
            assert not self.mirror.apply(seq, sent, self._now)
            if isinstance(change, ch.EnvironmentSet) and change.environment.state != environment:
                assert change.environment.state in ENVIRONMENT_TABLE[environment]
                environment = change.environment.state
            if isinstance(change, ch.ExecutionSet) and change.execution.state != execution:
                assert change.execution.state in EXECUTION_TABLE[execution]
                execution = change.execution.state
            self._since_anchor.append(over_the_wire(change, ch.AnyChange))
        assert self.mirror.snapshot() == snapshot(self.state, WHOLE)
        over_the_wire(snapshot(self.state), Snapshot)

    def _check(self, before: State, step: Step, method: str) -> None:
        state = self.state
        places = [item.item_uid for item in (*state.queue, *self.entries)]
        places += [state.running.item_uid] if state.running else []
        assert len(places) == len(set(places)), "law 4: a uid is in two places"
        left = {item.item_uid for item in before.queue if item.is_plan} - set(places)
        assert not left or method in _REMOVERS, "law 4: an item vanished from the queue"
        if before.running is not None:
            assert before.running.item_uid in places, "law 4: the running item vanished"
        if method.startswith("queue_item_move"):
            assert Counter(item.text for item in before.queue) == Counter(item.text for item in state.queue), "law 5"
        for effect in step.effects:
            if isinstance(effect, effects.StartItem):
                assert state.is_open, "law 6: started without an environment"
                assert state.running == effect.item
            if isinstance(effect, effects.StartTask):
                assert state.is_open, "law 6: a task was started without an environment"
                assert effect.task in state.tasks
                assert effect.task.payload
        self._check_tasks(before, method)
        assert (state.running is None) == (state.execution.state == "idle")
        if state.environment.state == "closed":
            assert state.running is None
            assert state.engine is None
            assert not state.runs
            assert not state.tasks
        assert max(self.executed.values(), default=0) <= 1, "law 6: executed twice"
        shown = status(state, epoch="e", time_text="", version="0", kernel="shown")
        over_the_wire(shown, dict[str, Any])

    def _check_tasks(self, before: State, method: str) -> None:
        """The laws of items, for tasks."""
        state = self.state
        tasks = [task.task_uid for task in state.tasks]
        results = [result.task_uid for result in state.task_results]
        assert len({*tasks, *results}) == len(tasks) + len(results), "a task is in two places"
        foreground = [task for task in state.tasks if not task.background]
        assert len(foreground) <= 1
        assert not foreground or state.running is None, "a foreground task beside a plan"
        left = {task.task_uid for task in before.tasks} - {*tasks, *results}
        assert not left or state.environment.state == "closed" or method == _REFUSED, "a task vanished"
        for result in before.task_results:
            if result.task_uid not in results:
                assert state.time - result.time_known > task_rules.KEPT, "a result was forgotten too early"

    # effects and reports

    def carry_out(self) -> None:
        """Do the oldest wish."""
        if not self.wishes:
            return
        effect, worker = self.wishes.pop(0), self.worker
        match effect:
            case effects.OpenEnvironment():
                self.worker = ModelWorker(effect.environment_id, self.executed)
            case effects.StartItem() if worker:
                worker.start(effect.item)
            case effects.PauseEngine() if worker and not worker.pause():
                self.submit(execution_rules.pause_failed)
            case effects.ContinueEngine() if worker and not worker.continue_(effect.command):
                self.submit(execution_rules.continue_failed)
            case effects.BreakOffPlan() if worker and not worker.break_off(effect.command):
                command, before = effect.command, effect.before
                self.submit(lambda step: pending_rules.break_off_failed(step, command=command, before=before))
            case effects.CloseEnvironment() if worker and not worker.close():
                self.submit(environment_rules.close_failed)
            case effects.DestroyEnvironment() if worker:
                worker.alive = False
            case effects.StartTask() if worker:
                self._start_task(worker, effect.task)
            case effects.InterruptKernel() if worker and worker.engine == "running" and not worker.pause():
                self.submit(execution_rules.pause_failed)

    def _start_task(self, worker: ModelWorker, task: Task) -> None:
        taken = worker.start_task(task)
        if taken is not None:
            rule = task_rules.accepted if taken else task_rules.refused
            self.submit(lambda step: rule(step, task.task_uid), "" if taken else _REFUSED)

    def pull(self, count: int = WHOLE) -> None:
        """Apply the worker's next reports."""
        if self.worker is None:
            return
        done = self.state.environment.reports_applied
        numbered = list(enumerate(self.worker.reports, 1))[done : done + count]
        for _, report in numbered:
            over_the_wire(report, AnyReport)
        self.apply(self.worker.environment_id, numbered)

    def apply(self, environment_id: str, numbered: list[tuple[int, AnyReport]]) -> None:
        self.submit(lambda step: apply_reports(step, environment_id, numbered))

    def notice_death(self, *, spool_lost: bool = False) -> None:
        """The worker's process is gone."""
        worker = self.worker
        if worker is None or worker.alive or worker.environment_id != self.state.environment.environment_id:
            return
        self.submit(environment_rules.worker_ends)
        if not spool_lost:
            self.pull()
        running = self.state.running
        never_taken = running.item_uid if running is not None and worker.has_not_taken(running.item_uid) else None
        lost = WorkerLost(time=self._now, reason="The worker was killed.", spool_lost=spool_lost, never_taken=never_taken)
        self.submit(lambda step: apply_report(lost, step))
        assert self.state.environment.state == "closed"

    # lives

    def restart(self) -> None:
        """The manager dies with its wishes, and another one begins: law 7."""
        self.check_replay()
        self.wishes.clear()
        before = self.state
        self.store = MemoryStore(self.disk)
        self.store.acquire(_OWNER)
        loaded = self.store.load()
        if loaded is None:
            assert before.seq == 0
            loaded = before
        assert _without_counting(loaded) == _without_counting(before)
        self.state = ch.begin_life(loaded)
        assert self.state.seq == 0
        self._watch()
        self._reconcile()
        if self.state.autostart:
            self.submit(conclude, "conclude")

    def _reconcile(self) -> None:
        worker, environment = self.worker, self.state.environment
        if worker and worker.alive and worker.environment_id == environment.environment_id:
            self.pull()
            self.submit(worker_adopted)
        elif environment.state != "closed":
            if worker is None or worker.environment_id != environment.environment_id:
                assert environment.state in ("opening", "destroying")  # it was never started
                assert environment.environment_id is not None
                self.worker = ModelWorker(environment.environment_id, self.executed)
                self.worker.alive = False
            self.notice_death()

    def _watch(self) -> None:
        self.mirror = Mirror(codec.from_json(codec.to_json(snapshot(self.state, WHOLE))))
        self.anchor()

    def anchor(self) -> None:
        """Remember this state, to replay from it."""
        self._anchor, self._since_anchor = self.state, []

    def check_replay(self) -> None:
        """Law 2: the changes since any earlier state give the present one."""
        state = self._anchor
        for change in self._since_anchor:
            state = ch.apply(state, change, self.state.time)
        assert state == self.state


def _without_counting(state: State) -> State:
    return replace(ch.begin_life(state), time=0.0)
