"""Tasks by example: the words of every refusal, what is handed to the worker, and how long results are kept."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import ME, Stage
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_queueserver.api import Context, parse_request, read_call
from jupyter_queueserver.core import effects, limits
from jupyter_queueserver.core.changes import TaskFinished
from jupyter_queueserver.core.codec import Verbatim, from_json, to_json
from jupyter_queueserver.core.errors import WorkerRefused
from jupyter_queueserver.core.reports import ListsUpdated, TaskEnded
from jupyter_queueserver.core.rules import environment as environment_rules
from jupyter_queueserver.core.rules import tasks as rules
from jupyter_queueserver.core.rules.recovery import worker_adopted
from jupyter_queueserver.core.state import State
from jupyter_queueserver.core.status import status
from jupyter_queueserver.core.tasks import TaskResult

CONTEXT = Context(epoch="e", version="0", local_time=str)
CALL = {"item_type": "function", "name": "f"}


def ask(stage: Stage, method: str, **params: Any) -> dict[str, Any]:
    """A reading request, as a client gets the answer."""
    return from_json(to_json(read_call(parse_request({"method": method, "params": params}), stage.state, CONTEXT)))


def state_of(stage: Stage) -> tuple[str, str, int]:
    shown = status(stage.state, epoch="e", time_text="", version="0", kernel="shown")
    return shown["manager_state"], shown["worker_environment_state"], shown["worker_background_tasks"]


def ended(stage: Stage, success: bool = True, value: str | None = None) -> None:
    """The worker's oldest task ends."""
    assert stage.worker
    stage.worker.end_task(success, value)
    stage.pull()


def test_the_life_of_a_foreground_task() -> None:
    stage = Stage.opened(1)
    reply = stage.ok("script_upload", script="x = 'ü\ud800'", update_re=True)
    uid = reply["task_uid"]
    (wish,) = stage.wishes
    assert isinstance(wish, effects.StartTask)
    assert (wish.task.kind, wish.task.background) == ("script", False)
    assert from_json(wish.task.payload) == {"script": "x = 'ü\ud800'", "update_lists": True, "update_re": True}
    assert state_of(stage) == ("executing_task", "executing_task", 0)
    stage.go_on()
    assert stage.state.tasks[0].payload == ""
    running = {"task_uid": uid, "time_start": stage.state.tasks[0].time_start, "run_in_background": False}
    assert ask(stage, "task_result", task_uid=uid) == {
        "success": True,
        "msg": "",
        "task_uid": uid,
        "status": "running",
        "result": running,
    }
    version = stage.state.versions.task_results
    ended(stage, value="[1,NaN]")
    assert stage.state.versions.task_results > version
    assert state_of(stage) == ("idle", "idle", 0)
    raw = to_json(read_call(parse_request({"method": "task_result", "params": {"task_uid": uid}}), stage.state, CONTEXT))
    assert b'"return_value":[1,NaN],"time_start":4.0,"time_stop":5.0' in raw
    assert ask(stage, "task_status", task_uid=[uid, "x"])["status"] == {uid: "completed", "x": "not_found"}
    assert ask(stage, "task_status", task_uid=uid)["status"] == "completed"
    assert ask(stage, "task_status", task_uid=[])["status"] == {}
    assert ask(stage, "task_result", task_uid="x")["result"] == {}


def test_background_tasks_go_beside_everything() -> None:
    stage = Stage.opened(1, 2).paused()
    stage.ok("script_upload", script="", run_in_background=True)
    stage.ok("environment_update", run_in_background=1)
    stage.ok("function_execute", item=CALL, run_in_background=True, **ME)
    stage.go_on()
    assert state_of(stage) == ("paused", "idle", 3)
    stage.ok("re_resume")
    stage.go_on()
    stage.end()
    assert state_of(stage) == ("executing_queue", "executing_plan", 3)
    stage.end()
    stage.ok("environment_close")
    assert state_of(stage)[0] == "closing_environment"
    stage.go_on()
    stage.notice_death()
    assert state_of(stage) == ("idle", "closed", 0)
    assert stage.state.tasks == ()


@pytest.mark.parametrize("method", ["script_upload", "environment_update", "function_execute"])
def test_the_words_of_state_refusals(method: str) -> None:
    params: dict[str, Any] = {"script_upload": {"script": ""}, "function_execute": {"item": CALL, **ME}}.get(method, {})
    prefix = "Error: " if method == "function_execute" else ""
    stage = Stage()
    assert stage.refused(method, **params)["msg"] == f"{prefix}RE Worker environment is not open"
    stage.ok("environment_open")
    assert stage.refused(method, run_in_background=True, **params)["msg"] == f"{prefix}RE Worker environment is not open"
    stage = Stage.opened(1).started()
    text = f"{prefix}Failed to start the task: RE Manager must be in idle state. Current state: 'executing_queue'"
    reply = stage.refused(method, **params)
    assert reply["msg"] == text
    assert reply["task_uid"] is None
    if method == "function_execute":
        assert reply["item"] == {**CALL, **ME, "item_uid": reply["item"]["item_uid"]}
    stage.end()
    stage.ok("environment_close")
    assert stage.refused(method, run_in_background=True, **params)["msg"] == f"{prefix}RE Worker environment is not open"
    stage = Stage.opened()
    assert stage.worker
    stage.worker._engine_is("running")
    stage.pull()
    assert stage.refused(method, **params)["msg"] == "Error: Failed to start the task: IPython kernel (RE Worker) is busy."
    stage.worker._engine_is("paused")  # by a plan from a console: a script may end it
    stage.pull()
    stage.ok(method, **params)
    reply = stage.refused(method, surplus=1, **params)
    assert reply["msg"].startswith("Error: API request contains unsupported parameters: 'surplus'")


def test_what_the_worker_refuses_is_dropped() -> None:
    stage = Stage.opened()
    assert stage.worker
    stage.worker.cell_running = True
    stage.ok("script_upload", script="")
    stage.go_on()
    assert stage.state.tasks == ()
    assert state_of(stage)[0] == "idle"
    busy = rules.refusal("t1", WorkerRefused("A cell is running.", code="kernel_busy"))
    assert (busy.prefix, busy.msg) == ("Error: ", "Failed to start the task: IPython kernel (RE Worker) is busy.")
    other = rules.refusal("t1", WorkerRefused("It is closing.", code="not_open"))
    assert (other.prefix, other.msg) == (None, "Task 't1' was rejected by RE Worker process: It is closing.")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "Required 'script' parameter is is missing in API call."),
        ({"script": 5}, "Type of the 'script' parameter in API call is incorrect."),
    ],
)
def test_a_script_must_be_text(params: dict[str, Any], words: str) -> None:
    reply = Stage.opened().refused("script_upload", **params)
    assert (reply["msg"], reply["task_uid"]) == (f"Error: {words}", None)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (None, "Incorrect request format: request contains no item info"),
        ("f", "Incorrect request format: incorrect type ('str') of item parameter"),
        ({"name": "f"}, "Incorrect request format: 'item_type' key is not found"),
        ({"item_type": "plan", "name": "f"}, "unsupported 'item_type' value: 'plan', supported item types ('function',)"),
        ({"item_type": "function"}, "'name' of the function is not specified"),
        ({"item_type": "function", "name": 5}, "'name' must be a text: 5"),
        ({**CALL, "args": {}}, "'args' must be a list, not dict"),
        ({**CALL, "kwargs": []}, "'kwargs' must be a dictionary, not list"),
        ({**CALL, "name": "_f"}, "Function '_f' is not allowed for users from 'primary' group."),
        ({**CALL, "args": [b"bytes"]}, "Object of type bytes is not JSON serializable"),
    ],
)
def test_a_function_item_must_be_right_and_permitted(item: Any, words: str) -> None:
    params = {} if item is None else {"item": item}
    reply = Stage.opened().refused("function_execute", **params, **ME)
    assert reply["msg"].startswith("Error: ")
    assert words in reply["msg"]
    sendable = item is not None and words != "Object of type bytes is not JSON serializable"
    assert reply["item"] == (item if sendable else None)


def test_groups_and_functions() -> None:
    stage = Stage.opened()
    assert stage.refused("function_execute", item=CALL, user="me")["msg"].endswith("user group is not specified")
    assert stage.refused("function_execute", item=CALL, user_group="primary")["msg"].endswith("user name is not specified")
    assert "Unknown user group: 'x'" in stage.refused("function_execute", item=CALL, user="me", user_group="x")["msg"]
    groups = {"root": {"allowed_functions": [None], "forbidden_functions": ["g"]}, "primary": {"allowed_functions": ["f", "g"]}}
    stage.ok("permissions_set", user_group_permissions={"user_groups": groups})
    stage.ok("function_execute", item={**CALL, "kwargs": {"a": 1}}, run_in_background=True, **ME)
    for name in ("g", "h"):
        stage.refused("function_execute", item={**CALL, "name": name}, run_in_background=True, **ME)
    locked = {"lock_key": "key", "user": "me", "environment": True}
    stage.ok("lock", **locked)
    assert stage.refused("function_execute", item=CALL, **ME)["msg"].startswith("Error: Invalid lock key: ")
    stage.ok("function_execute", item=CALL, lock_key="key", run_in_background=True, **ME)


@pytest.mark.parametrize(
    ("method", "uid", "words"),
    [
        ("task_status", None, "Error: Parameter 'task_uid' must be a string or a list of strings"),
        ("task_status", 5, "Error: Parameter 'task_uid' must be"),
        ("task_status", [5], "Error: Parameter 'task_uid' must be"),
        ("task_result", None, "Error: Required 'task_uid' parameter is missing in the API call."),
        ("task_result", ["a"], "Error: Parameter 'task_uid' must be a string"),
    ],
)
def test_task_uids_must_be_text(method: str, uid: Any, words: str) -> None:
    reply = ask(Stage(), method, task_uid=uid)
    assert reply["msg"].startswith(words)
    assert (reply["status"], reply["task_uid"]) == (None, uid)
    assert reply.get("result") is None


def result_of(uid: str, known: float, size: int = 0) -> TaskResult:
    value = Verbatim("x" * size) if size else None
    return TaskResult(task_uid=uid, success=True, return_value=value, time_start=0.0, time_stop=0.0, time_known=known)


def with_results(stage: Stage, *results: TaskResult) -> None:
    def rule(step: Any) -> None:
        for result in results:
            step.emit(TaskFinished(result=result))

    stage.submit(rule)


def test_results_are_kept_for_their_time_and_purged_when_another_task_ends() -> None:
    stage = Stage.opened()
    stage.ok("script_upload", script="")
    stage.go_on()
    now = stage._now
    with_results(stage, result_of("old", now - rules.KEPT - 10), result_of("young", now - rules.KEPT + 10))
    assert ask(stage, "task_status", task_uid="old")["status"] == "completed"
    assert stage.worker
    stage.worker.end_task(True)
    stage.pull()
    assert [result.task_uid for result in stage.state.task_results][:-1] == ["young"]
    assert ask(stage, "task_status", task_uid="old")["status"] == "not_found"


@given(st.lists(st.tuples(st.floats(0, 400), st.sampled_from([0, 1000, limits.TASK_RESULT_LIMIT])), min_size=1, max_size=12))
def test_what_is_given_up_is_old_or_too_much_and_never_the_newest(made: list[tuple[float, int]]) -> None:
    results = tuple(result_of(str(index), known, size) for index, (known, size) in enumerate(made))
    gone = set(rules._outlived(results, 400.0))
    kept = [result for result in results if result.task_uid not in gone]
    assert results[-1] in kept
    assert all(result.time_known >= 400.0 - rules.KEPT for result in kept[:-1])
    if sum(map(rules._size, kept)) > limits.TASK_RESULTS_LIMIT:
        assert len(kept) == 1
    for result in results:
        newer = results[results.index(result) :]
        if sum(map(rules._size, newer)) <= limits.TASK_RESULTS_LIMIT and result.time_known >= 400.0 - rules.KEPT:
            assert result in kept


def test_a_new_manager_repeats_what_the_worker_may_not_have_heard() -> None:
    stage = Stage.opened()
    uid = stage.ok("script_upload", script="x = 1")["task_uid"]
    beside = stage.ok("script_upload", script="", run_in_background=True)["task_uid"]
    stage.restart()
    assert [wish.task.task_uid for wish in stage.wishes if isinstance(wish, effects.StartTask)] == [uid, beside]
    stage.go_on()
    assert state_of(stage) == ("executing_task", "executing_task", 1)
    stage.submit(worker_adopted)
    assert stage.wishes == []
    stage.restart()
    assert stage.wishes == []
    assert state_of(stage)[0] == "executing_task"
    ended(stage)
    assert stage.executed[uid] == 1
    assert state_of(stage)[0] == "idle"


def test_the_death_of_the_worker_forgets_tasks_but_not_what_it_told_last() -> None:
    stage = Stage.opened()
    first = stage.ok("script_upload", script="", run_in_background=True)["task_uid"]
    second = stage.ok("script_upload", script="")["task_uid"]
    stage.go_on()
    assert stage.worker
    stage.worker.end_task(True)
    stage.kill()
    assert ask(stage, "task_status", task_uid=[first, second])["status"] == {first: "completed", second: "not_found"}
    assert state_of(stage) == ("idle", "closed", 0)


def test_autostart_waits_for_the_end_of_a_task() -> None:
    stage = Stage.opened()
    stage.ok("script_upload", script="")
    stage.ok("queue_autostart", enable=True)
    stage.go_on()
    stage.add(1)
    assert stage.running is None
    ended(stage)
    assert stage.running == 1


def test_a_manager_with_a_foreground_task_does_not_end_by_itself() -> None:
    stage = Stage.opened()
    ends: list[bool] = []
    stage.ok("script_upload", script="")
    stage.submit(lambda step: ends.append(environment_rules.end_if_idle(step)))
    stage.go_on()
    stage.submit(lambda step: ends.append(environment_rules.end_if_idle(step)))
    ended(stage)
    stage.submit(lambda step: ends.append(environment_rules.end_if_idle(step)))
    assert ends == [False, False, True]


def test_lists_change_only_if_they_differ_and_a_stray_result_is_nothing() -> None:
    stage = Stage.opened()
    assert stage.worker
    plans, devices = stage.state.catalogue.plans, stage.state.catalogue.devices
    versions = stage.state.versions
    stage.worker.say(ListsUpdated(time=1.0, plans=dict(plans), devices=dict(devices)))
    stage.worker.say(TaskEnded(time=1.0, task_uid="nobody", success=True, time_start=0.5))
    stage.pull()
    assert stage.state.versions == versions
    assert stage.state.task_results == ()
    stage.worker.say(ListsUpdated(time=1.0, plans={}, devices=dict(devices), problems=("odd: left out",)))
    stage.pull()
    assert stage.state.catalogue.plans == {}
    assert stage.state.versions.plans_allowed > versions.plans_allowed
    assert stage.state.versions.devices_allowed == versions.devices_allowed
    assert stage.state.environment.problems == ("odd: left out",)


def test_interrupts() -> None:
    prefix = "Failed to interrupt IPython kernel: "
    stage = Stage()
    assert stage.refused("kernel_interrupt")["msg"] == f"{prefix}Worker environment does not exist"
    assert stage.refused("kernel_interrupt", surplus=1)["msg"].startswith("Error: API request")
    stage = Stage.opened(1)
    stage.ok("kernel_interrupt")
    stage.go_on()
    stage.ok("script_upload", script="")
    assert stage.refused("kernel_interrupt", interrupt_plan=True)["msg"] == f"{prefix}Not allowed to interrupt running task"
    stage.ok("kernel_interrupt", interrupt_task=True)
    assert stage.wishes[-1] == effects.InterruptKernel(plan=False, task=True)
    stage.go_on()
    ended(stage, success=False)
    stage.started()
    assert stage.refused("kernel_interrupt", interrupt_task=True)["msg"] == f"{prefix}Not allowed to interrupt running plan"
    stage.ok("kernel_interrupt", interrupt_plan=True)
    assert stage.state.execution.pause_pending
    stage.go_on()
    assert stage.worker
    stage.worker.reach_checkpoint()
    stage.pull()
    assert state_of(stage)[0] == "paused"
    assert not stage.state.execution.pause_pending
    stage.ok("kernel_interrupt")
    stage.config = replace(stage.config, kernel="hidden")
    assert stage.refused("kernel_interrupt")["msg"].startswith(f"{prefix}RE Manager is not in IPython mode: ")


def test_metadata_need_an_environment() -> None:
    reply = read_call(parse_request({"method": "re_metadata", "params": {}}), Stage().state, CONTEXT, None)
    assert reply["msg"] == "Environment does not exist. Cannot retrieve RE metadata."
    assert reply["re_metadata"] == {}
    state: State = Stage.opened().state
    call = parse_request({"method": "re_metadata", "params": {}})
    assert from_json(to_json(read_call(call, state, CONTEXT, '{"a": 1e400}')))["re_metadata"] == {"a": float("inf")}
    refused = read_call(call, state, CONTEXT, WorkerRefused("No.", code="no_engine"))
    assert (refused["msg"], refused["error"]["code"]) == ("Error: No.", "no_engine")
