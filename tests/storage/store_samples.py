"""States, items and changes for the tests of the stores."""

from __future__ import annotations

import time
from collections.abc import Callable

from hypothesis import strategies as st

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.codec import Verbatim
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.locks import Lock, key_digest
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.reports import StartupFile
from jupyter_queueserver.core.requests import RequestRecord
from jupyter_queueserver.core.state import Environment, Execution, Failure, QueueMode, Run, State
from jupyter_queueserver.core.tasks import Task, TaskResult
from jupyter_queueserver.instance import identity_of
from jupyter_queueserver.storage import Owner

OTHER_PERMISSIONS = {"user_groups": {"root": {"allowed_plans": [None]}, "primary": {"allowed_plans": ["count"]}}}
FAILURE = Failure(time=5.5, msg="It broke: 'ü'", file="00.py", line=3, traceback="Traceback\n  ...")
FILES = (StartupFile(name="00.py", seconds=0.5, names=("RE",), error="KeyError: 'x'", line=3),)
RUNS = (
    Run(uid="r1", scan_id=7, is_open=False, exit_status="success"),
    Run(uid="r2", scan_id=None, is_open=True, exit_status=None),
)
LOCK = Lock(environment=True, user="me", note="ü", time=1.5, uid="l1", salt="s", digest=key_digest("s", "key"))
SCRIPT = Task(task_uid="t1", kind="script", background=False, time_start=1.5, payload='{"script": "x = \'ü\'"}')
FUNCTION = Task(task_uid="t2", kind="function", background=True, time_start=2.5, payload="{}")
RESULT = TaskResult(
    task_uid="t2", success=True, return_value=Verbatim([1, 10**30, float("inf"), "ü"]), time_start=2.5, time_stop=3.5
)
FAILED = TaskResult(task_uid="t1", success=False, msg="It broke", traceback="Traceback\n", time_start=1.5, time_stop=4.5)


def owner(address: str = "ipc:///tmp/a") -> Owner:
    """This process as an owner."""
    return Owner(host="beamline", identity=identity_of(), address=address, since=time.time())


def item(uid: str, **fields: object) -> Item:
    """A plan of that uid."""
    return Item({"item_uid": uid, "item_type": "plan", "name": "count", "user_group": "primary", **fields})


def items(*uids: str) -> tuple[Item, ...]:
    return tuple(map(item, uids))


def first_state() -> State:
    return State(catalogue=Catalogue({}, {}, Permissions.default()))


def kept(state: State) -> dict[str, object]:
    """What a store must give back of a state."""
    return {
        "queue": [one.text for one in state.queue],
        "history": (state.history.first, state.history.end, [one.text for one in state.history.tail]),
        "running": state.running,
        "mode": state.mode,
        "environment": state.environment,
        "execution": state.execution,
        "engine": state.engine,
        "runs": state.runs,
        "plans": state.catalogue.plans,
        "devices": state.catalogue.devices,
        "permissions": state.catalogue.permissions.to_wire(),
        "autostart": state.autostart,
        "lock": state.lock,
        "tasks": state.tasks,
        "task_results": state.task_results,
        "requests": list(state.requests),
    }


def recorded(request_id: str, reply: object = None) -> ch.RequestRecorded:
    """A request that was done, with that reply."""
    text = Verbatim(reply).text
    record = RequestRecord(request_id=request_id, digest=f"d-{request_id}", time=1.5, size=len(text))
    return ch.RequestRecorded(record=record, reply=text)


#: one of every change, each sensible after those before it
EVERY_CHANGE: tuple[ch.AnyChange, ...] = (
    ch.QueueInserted(items=items("a", "b", "c")),
    ch.QueueInserted(items=(item("n", kwargs={"x": float("inf"), "big": 10**30, "s": "\ud800 ü"}),), before="a"),
    ch.QueueInserted(items=items("d", "e"), before="b"),
    ch.QueueMoved(uids=("c", "d"), before="n"),
    ch.QueueMoved(uids=("n", "e"), before=None),
    ch.QueueReplaced(uid="b", item=item("b2", kwargs={"num": 3})),
    ch.QueueReplaced(uid="d", item=item("d", kwargs={"num": 4})),
    ch.QueueRemoved(uids=("a", "unknown")),
    ch.RunningSet(item=item("a", properties={"time_start": 1.25})),
    ch.HistoryAppended(items=items("h1", "h2", "h3")),
    ch.HistoryTrimmed(count=2),
    ch.HistoryAppended(items=items("h4")),
    ch.ModeSet(mode=QueueMode(loop=True, ignore_failures=True)),
    ch.EnvironmentSet(environment=Environment(state="opening", environment_id="e1", reports_applied=0)),
    ch.ReportApplied(number=41),
    ch.EnvironmentSet(
        environment=Environment(
            state="closed", environment_id="e1", reports_applied=42, failure=FAILURE, files=FILES, problems=("p",)
        )
    ),
    ch.ReportApplied(number=43),
    ch.ExecutionSet(execution=Execution(state="running", stop_pending=True, pause_pending=True, alone=True)),
    ch.ExecutionSet(execution=Execution(state="running", command="abort")),
    ch.EngineSet(engine="running"),
    ch.RunsSet(runs=RUNS),
    ch.RunAdded(run=Run(uid="r3", scan_id=8, is_open=True, exit_status=None)),
    ch.RunEnded(uid="r2", exit_status="fail"),
    ch.RunEnded(uid="unknown", exit_status="success"),
    ch.PlansSet(plans={"count": {"name": "count", "parameters": [{"name": "num", "max": 1e300}]}}),
    ch.DevicesSet(devices={"det": {"classname": "D", "components": {"x": {}}}}),
    ch.PermissionsSet(permissions=OTHER_PERMISSIONS),
    ch.EngineSet(engine=None),
    ch.RunsSet(),
    ch.RunningSet(item=None),
    ch.QueueCleared(),
    ch.AutostartSet(enabled=True),
    ch.CellSet(running=True),
    ch.LockSet(lock=LOCK),
    ch.LockSet(lock=Lock(uid="l2")),
    ch.TaskStarted(task=SCRIPT),
    ch.TaskStarted(task=FUNCTION),
    ch.TaskAccepted(task_uid="t2"),
    ch.TaskFinished(result=RESULT),
    ch.TaskFinished(result=FAILED),
    ch.TaskStarted(task=SCRIPT),
    ch.TasksDropped(task_uids=("t1", "unknown")),
    ch.TaskResultsForgotten(task_uids=("t2",)),
    ch.AutostartSet(enabled=False),
    recorded("q1", {"success": True, "x": float("inf"), "s": "\ud800 ü"}),
    recorded("q ü", {"success": True}),
    ch.RequestsForgotten(request_ids=("q1", "unknown")),
    recorded("q1", {"success": True, "items": [1]}),
    recorded("q2"),
)


def change_for(state: State, new_uid: Callable[[], str]) -> st.SearchStrategy[ch.AnyChange]:
    """Any change that may follow in that state."""
    uids = [one.item_uid for one in state.queue]
    before = st.sampled_from([None, *uids])
    new_items = st.integers(1, 4).map(lambda count: items(*(new_uid() for _ in range(count))))
    choices: list[st.SearchStrategy[ch.AnyChange]] = [
        st.builds(lambda new, place: ch.QueueInserted(items=new, before=place), new_items, before),
        st.builds(lambda new: ch.HistoryAppended(items=new), new_items),
        st.builds(lambda count: ch.HistoryTrimmed(count=count), st.integers(0, 5)),
        st.builds(lambda: ch.RunningSet(item=item(new_uid()))),
        st.sampled_from(EVERY_CHANGE[12:]),
    ]
    if uids:
        some = st.lists(st.sampled_from(uids), min_size=1, max_size=4, unique=True)
        choices.append(st.builds(lambda gone: ch.QueueRemoved(uids=tuple(gone)), some))
        choices.append(st.builds(lambda uid: ch.QueueReplaced(uid=uid, item=item(new_uid())), st.sampled_from(uids)))
        choices.append(st.builds(_moved, some, before))
    return st.one_of(choices)


def _moved(uids: list[str], before: str | None) -> ch.QueueMoved:
    return ch.QueueMoved(uids=tuple(uids), before=None if before in uids else before)
