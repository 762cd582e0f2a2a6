"""The eight laws of the core, under every call and every report in any order (the shell checks them at each step)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from model_shell import Shell
from model_worker import DEVICES, PLANS

from jupyter_queueserver.api import methods
from jupyter_queueserver.core import codec, history
from jupyter_queueserver.core import reports as rp
from jupyter_queueserver.core.changes import ModeSet
from jupyter_queueserver.core.rules.pending import fell_due
from jupyter_queueserver.core.rules.recovery import worker_answers, worker_unreachable
from jupyter_queueserver.core.state import QueueMode

_ENDINGS = ("completed", "failed", "stopped", "aborted", "halted", "refused")
_ABSURD = st.sampled_from([5, -1.5, True, [], {}, "\ud800", "", b"x", 10**30, float("nan")])
_GOOD = {"item_type": "plan", "name": "count", "kwargs": {"num": 3}}
#: of a backup
_KEPT = st.sampled_from([_GOOD | {"item_uid": f"kept{number}"} for number in range(4)])
_ITEMS = st.sampled_from(
    [
        _GOOD,
        _GOOD,
        {"item_type": "plan", "name": "count", "args": [2], "properties": {"time_start": 1, "immediate_execution": True}},
        {"item_type": "instruction", "name": "queue_stop"},
        {"item_type": "plan", "name": "count", "kwargs": {"nom": 3}},
        {"item_type": "plan", "name": "nobody"},
        {"item_type": "plan", "name": "count", "properties": []},
        {"item_type": "plan"},
        {"item_type": "instruction", "name": ["x"]},
        {"item_type": ["plan"], "name": "count"},
        {"name": "count"},
        {"item_type": "plan", "name": "count", "kwargs": {"num": b"bytes"}},
        {"item_type": "plan", "name": "count", "meta": {"a": b"bytes", "\ud800": 10**30}},
        {"item_type": "plan", "name": "count", "result": 1, "meta": {"a": "\ud800", "b": 1}},
        {"item_type": "function", "name": "f", "args": [1, "\ud800"]},
        {"item_type": "function", "name": "f", "kwargs": {"num": 10**30}},
        {"item_type": "function", "name": "_f"},
        {"item_type": "function", "name": "f", "args": {}},
        {"item_type": "function", "name": "f", "kwargs": {"num": b"bytes"}},
        {"item_type": "function"},
    ]
)
_POSITIONS = st.one_of(st.none(), st.sampled_from(["front", "back", "middle"]), st.integers(-8, 8), _ABSURD)
_WRITERS = [name for name, method in methods().items() if method.kind == "write" and name != "manager_kill"]
_RACERS = ("environment_destroy", "environment_destroy", "environment_close", "queue_stop", "re_pause", "re_resume", "re_halt")
_WORKING = ("queue_start", "queue_item_add", "queue_item_add", "environment_open", "queue_item_add_batch", "history_clear")


@pytest.fixture(autouse=True)
def _short_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of a long history is in the store only; here that is so from the third entry on."""
    monkeypatch.setattr(history, "TAIL_ENTRIES", 2)


class Laws(RuleBasedStateMachine):
    """Every input that a manager may get, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.shell = Shell()
        self.requests: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}

    def _uid(self) -> st.SearchStrategy[Any]:
        state = self.shell.state
        known = [item.item_uid for item in (*state.queue, *self.shell.entries)]
        known += [state.running.item_uid] if state.running else []
        return st.one_of(st.none(), st.sampled_from([*known, "unknown"]), _ABSURD)

    def _parameter(self, name: str) -> st.SearchStrategy[Any]:
        return {
            "item": st.one_of(_ITEMS, _ABSURD),
            "items": st.one_of(st.lists(_ITEMS, max_size=4), st.just([_GOOD] * 3), st.lists(_KEPT, max_size=4), _ABSURD),
            "user": st.sampled_from(["me", "me", "me", None, 5]),
            "user_group": st.sampled_from(["primary", "primary", "primary", "nobody", None, 5, []]),
            "pos": _POSITIONS,
            "pos_dest": _POSITIONS,
            "size": st.one_of(st.integers(-2, 8), _ABSURD),
            "option": st.one_of(st.sampled_from(["deferred", "immediate", "safe_on", "safe_off"]), _ABSURD),
            "lock_key": st.sampled_from([None, "key", "key", "emergency", "", 5]),
            "uid": self._uid(),
            "item_uid": self._uid(),
            "uids": st.one_of(st.lists(self._uid(), max_size=4), _ABSURD),
            "history": st.one_of(st.lists(_KEPT, max_size=4, unique_by=lambda item: item["item_uid"]), st.none(), _ABSURD),
            "running": st.one_of(_KEPT, st.none(), _ABSURD),
            "how": st.sampled_from(["empty", "replace", "append"]),
            "ignore_missing": st.booleans(),
            "reorder": st.booleans(),
            "replace": st.booleans(),
            "keep_first": st.booleans(),
            "enable": st.one_of(st.booleans(), st.booleans(), _ABSURD),
            "negative_pos": st.sampled_from(["index", "insert", "other"]),
            "mode": st.one_of(st.sampled_from([{"loop": True}, {"ignore_failures": True}, {}, "default", {"lop": 1}]), _ABSURD),
            "environment": st.one_of(st.booleans(), _ABSURD),
            "queue": st.one_of(st.booleans(), _ABSURD),
            "note": st.one_of(st.none(), st.just("note"), _ABSURD),
            "test_name": st.sampled_from(["reserve_kernel", "other", None]),
            "user_group_permissions": st.one_of(st.just({"user_groups": {"root": {}, "primary": {}}}), _ABSURD),
            "restore_permissions": st.booleans(),
            "script": st.one_of(st.sampled_from(["x = 1", "x = '\ud800'", None]), _ABSURD),
            "update_lists": st.booleans(),
            "update_re": st.one_of(st.booleans(), _ABSURD),
            "run_in_background": st.one_of(st.booleans(), _ABSURD),
            "interrupt_task": st.booleans(),
            "interrupt_plan": st.booleans(),
            "restore_plans_devices": st.booleans(),
            "confirm_returned": st.one_of(st.booleans(), _ABSURD),
            "before_uid": self._uid(),
            "after_uid": self._uid(),
            "environment_id": st.sampled_from([None, self.shell.state.environment.environment_id, "other", 5]),
        }[name]

    @initialize(stage=st.sampled_from([0, 1, 2, 2, 2, 3, 3]), items=st.integers(0, 6), loop=st.booleans())
    def begin(self, stage: int, items: int, loop: bool) -> None:
        """Most histories begin in the middle of normal life: with an environment, with a running plan."""
        self.set_mode(loop, False)
        for step in ("environment_open", "queue_start", "re_pause")[:stage]:
            self.shell.call(step)
            self.everything_goes_well()
            if step == "environment_open":
                for _ in range(items):
                    self.sensible_call("queue_item_add", "back")
        if stage == 3 and self.shell.worker:
            self.shell.worker.reach_checkpoint()

    @rule(data=st.data())
    def any_call(self, data: st.DataObject) -> None:
        method = data.draw(st.sampled_from(_WRITERS))
        names = methods()[method].parameter_names
        chosen = data.draw(st.lists(st.sampled_from(names), unique=True) if names else st.just([]))
        if data.draw(st.integers(0, 5)):
            required = [parameter.name for parameter in methods()[method].parameters if parameter.required]
            chosen = list(dict.fromkeys([*chosen, *required]))
        params = {name: data.draw(self._parameter(name), label=name) for name in chosen}
        if data.draw(st.integers(0, 20)) == 0:
            params["surplus"] = 1
        self._call_once(method, params)

    def _call_once(self, method: str, params: dict[str, Any]) -> None:
        """A request with an id of its own; that of a refused one stays free."""
        request_id = f"request {len(self.requests)}"
        before = len(self.shell.state.requests)
        reply = self.shell.call(method, **params, request_id=request_id)
        assert len(self.shell.state.requests) - before == (1 if reply["success"] else 0)
        if reply["success"]:
            self.requests[request_id] = method, params, reply

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """What comes again is answered as before, whatever has happened meanwhile, and nothing is done."""
        request_id = data.draw(st.sampled_from(sorted(self.requests)))
        method, params, reply = self.requests[request_id]
        state, wishes = self.shell.state, list(self.shell.wishes)
        again = self.shell.call(method, **params, request_id=request_id)
        assert codec.to_json(again) == codec.to_json(reply)
        assert self.shell.state is state
        assert self.shell.wishes == wishes

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), method=st.sampled_from(_WORKING))
    def reuse_an_id(self, data: st.DataObject, method: str) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.requests)))
        state = self.shell.state
        reply = self.shell.call(method, request_id=request_id, lock_key=f"not that of {request_id}")
        assert reply["error"]["code"] == "request_id_reused"
        assert self.shell.state is state

    @rule(method=st.sampled_from(_WORKING), pos=st.one_of(st.sampled_from(["front", "back"]), st.integers(-4, 4)))
    def sensible_call(self, method: str, pos: Any) -> None:
        params: dict[str, Any] = {}
        if method.startswith("queue_item_add"):
            what = {"items": [_GOOD] * 2} if method.endswith("batch") else {"item": _GOOD}
            params = {**what, "user": "me", "user_group": "primary", "pos": pos}
        self.shell.call(method, **params)

    @rule(background=st.booleans(), cell=st.sampled_from([False, False, False, True]), restarted=st.booleans())
    def task(self, background: bool, cell: bool, restarted: bool) -> None:
        """A task is started; it may cross a cell that holds the kernel, or the manager may end before the worker hears of it."""
        if self.shell.worker:
            self.shell.worker.cell_running = cell
        self.shell.call("script_upload", script="x = 1", run_in_background=background)
        if restarted:
            self.shell.restart()
        while self.shell.wishes:
            self.shell.carry_out()

    @rule(success=st.booleans(), value=st.sampled_from([None, "[1, NaN]", '"\\ud800"']), seen=st.booleans())
    def end_task(self, success: bool, value: str | None, seen: bool) -> None:
        if self.shell.worker:
            self.shell.worker.end_task(success, value)
        if seen:
            self.shell.pull()

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        size = len(self.shell.state.queue)
        place = st.integers(-size - 1, size)
        assert self.shell.call("queue_item_move", pos=data.draw(place), pos_dest=data.draw(place))["msg"] or size

    @rule(loop=st.booleans(), ignore_failures=st.booleans())
    def set_mode(self, loop: bool, ignore_failures: bool) -> None:
        mode = QueueMode(loop=loop, ignore_failures=ignore_failures)
        self.shell.submit(lambda step: step.emit(ModeSet(mode=mode)))

    @rule()
    def carry_out(self) -> None:
        self.shell.carry_out()

    @rule()
    def everything_goes_well(self) -> None:
        """Wishes, worker and reports go on until a plan runs."""
        while self.shell.wishes:
            self.shell.carry_out()
        if self.shell.worker:
            self.shell.worker.load(fails=False)
            self.shell.worker.take()
            self.shell.pull()

    @rule(items=st.integers(0, 3))
    def back_to_work(self, items: int) -> None:
        """Whatever was, an environment is opened and the queue is started: most of what can go wrong needs a running plan."""
        self.shell.notice_death()
        self.everything_goes_well()
        if self.shell.state.environment.state == "closed":
            self.shell.call("environment_open")
            self.everything_goes_well()
        for _ in range(items):
            self.sensible_call("queue_item_add", "back")
        if self.shell.state.execution.state == "idle":
            self.shell.call("queue_start")
        self.everything_goes_well()

    @rule(ending=st.sampled_from(_ENDINGS), items=st.integers(1, 3), method=st.sampled_from(_RACERS), restarted=st.booleans())
    def race_at_work(self, ending: str, items: int, method: str, restarted: bool) -> None:
        self.back_to_work(items)
        self.race(method, ending, restarted)

    @rule(count=st.integers(1, 4))
    def pull(self, count: int) -> None:
        self.shell.pull(count)

    @rule(fails=st.sampled_from([False, False, False, True]))
    def load(self, fails: bool) -> None:
        if self.shell.worker:
            self.shell.worker.load(fails)

    @rule()
    def take(self) -> None:
        if self.shell.worker:
            self.shell.worker.take()

    @rule(ending=st.sampled_from(("completed", "completed", *_ENDINGS)))
    def end(self, ending: str) -> None:
        if self.shell.worker:
            self.shell.worker.end(ending)

    @rule(ending=st.sampled_from(_ENDINGS), others=st.integers(0, 2))
    def work_off(self, ending: str, others: int) -> None:
        """Items are run one after another; the last one ends so."""
        for chosen in ("completed",) * others + (ending,):
            self.everything_goes_well()
            if self.shell.worker:
                self.shell.worker.end(chosen)
            self.shell.pull()

    @rule(method=st.sampled_from(_RACERS), ending=st.sampled_from(("completed", *_ENDINGS)), restarted=st.booleans())
    def race(self, method: str, ending: str, restarted: bool) -> None:
        """A request and the plan's end cross each other, or the manager ends between commit and effect."""
        self.shell.call(method)
        if self.shell.worker:
            self.shell.worker.end(ending)
        if restarted:
            self.shell.restart()
        self.shell.pull()

    @rule(silent=st.booleans())
    def silence(self, silent: bool) -> None:
        """The worker does not answer any more, or answers again."""
        environment_id = self.shell.state.environment.environment_id
        if environment_id is not None and silent:
            self.shell.submit(lambda step: worker_unreachable(step, environment_id, "It is silent."))
        elif environment_id is not None:
            self.shell.submit(lambda step: worker_answers(step, environment_id))

    @rule(method=st.sampled_from(["re_pause", "re_abort", "re_halt"]), heard=st.booleans())
    def next_rung(self, method: str, heard: bool) -> None:
        """What the plan was told takes too long, and somebody goes a rung further."""
        pending = self.shell.state.execution.pending
        if pending is not None:
            self.shell.submit(lambda step: fell_due(step, pending.since))
            self.shell.call(method)
            while heard and self.shell.wishes:
                self.shell.carry_out()

    @rule()
    def pause_and_reach_it(self) -> None:
        self.shell.call("re_pause", option="immediate")
        while self.shell.wishes:
            self.shell.carry_out()
        if self.shell.worker:
            self.shell.worker.reach_checkpoint()
            self.shell.pull()

    @rule(command=st.sampled_from(["re_resume", "re_stop", "re_abort", "re_halt", "queue_stop", "queue_stop_cancel"]))
    def command(self, command: str) -> None:
        self.shell.call(command)

    @rule(spool_lost=st.sampled_from([False, False, False, True]), seen=st.booleans())
    def die(self, spool_lost: bool, seen: bool) -> None:
        if self.shell.worker:
            self.shell.worker.alive = False
        if seen:
            self.shell.notice_death(spool_lost=spool_lost)

    @rule()
    def notice_death(self) -> None:
        self.shell.notice_death()

    @rule()
    def restart(self) -> None:
        self.shell.restart()

    @rule(data=st.data())
    def confused_worker(self, data: st.DataObject) -> None:
        """It says things about items that are not running, or at the wrong time."""
        worker = self.shell.worker
        if worker is None:
            return
        running = self.shell.state.running
        uids = [item.item_uid for item in (*self.shell.state.queue, *self.shell.entries)]
        uid = data.draw(st.sampled_from([*uids, "nobody"]))
        stray: list[rp.AnyReport] = [
            rp.ItemEnded(time=1.0, item_uid=uid, ending="completed", run_uids=("r",)),
            rp.ItemTaken(time=1.0, item_uid=uid),
            rp.ItemPaused(time=1.0, item_uid=uid),
            rp.RunOpened(time=1.0, item_uid=uid, run_uid="r", scan_id=None),
            rp.RunClosed(time=1.0, item_uid=None, run_uid="r", exit_status="fail"),
            rp.EnvironmentFailed(time=1.0, msg="late"),
            rp.EnvironmentClosed(time=1.0),
            rp.TaskEnded(time=1.0, task_uid=uid, success=True, time_start=0.5),
            rp.ListsUpdated(time=1.0, plans=PLANS, devices={}, problems=("odd: left out",)),
            rp.EnvironmentReady(time=1.0, plans=PLANS, devices=DEVICES, engine=worker.engine),
        ]
        report = data.draw(st.sampled_from(stray))
        if running is None or uid != running.item_uid:
            worker.say(report)

    @rule(data=st.data())
    def repeated_or_foreign_reports(self, data: st.DataObject) -> None:
        worker = self.shell.worker
        if worker is None or not worker.reports:
            return
        state = self.shell.state
        done = list(enumerate(worker.reports, 1))[: state.environment.reports_applied]
        if worker.environment_id == state.environment.environment_id and done:
            self.shell.apply(worker.environment_id, [data.draw(st.sampled_from(done))])
            assert self.shell.state is state
        self.shell.apply("another environment", [(10**6, worker.reports[-1])])
        assert self.shell.state is state

    @rule()
    def anchor(self) -> None:
        self.shell.check_replay()
        self.shell.anchor()

    def teardown(self) -> None:
        self.shell.restart()


class LawsAtLength(Laws):
    """The same, for a campaign."""


def _limits(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


TestLaws = Laws.TestCase
TestLaws.settings = _limits(30)
TestLawsAtLength = pytest.mark.timeout(1200)(pytest.mark.long(LawsAtLength.TestCase))
TestLawsAtLength.settings = _limits(1000)
