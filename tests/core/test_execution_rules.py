"""What happens to the running plan and to the queue, by the tables of the interface."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from core_stage import ME, QUEUE_STOP, Stage
from msgspec.structs import replace

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core import effects
from jupyter_queueserver.core.decision import Step
from jupyter_queueserver.core.errors import QueueServerError
from jupyter_queueserver.core.reports import Alarm, CellState, EngineState, EnvironmentReady, ItemEnded
from jupyter_queueserver.core.rules.execution import begin, start_queue
from jupyter_queueserver.core.rules.recovery import foreign_worker_adopted, worker_adopted, worker_unreachable
from jupyter_queueserver.core.rules.reports import apply_report
from jupyter_queueserver.core.state import Environment
from jupyter_queueserver.core.status import manager_state, status


def state_of(stage: Stage) -> str:
    return manager_state(stage.state)


def shown(stage: Stage) -> dict[str, Any]:
    return status(stage.state, epoch="e", time_text="", version="0", kernel="shown")


def test_a_queue_is_worked_off_in_order() -> None:
    stage = Stage.opened(1, 2, 3)
    stage.ok("queue_start")
    assert state_of(stage) == "starting_queue"
    stage.go_on()
    assert (state_of(stage), stage.running, stage.numbers) == ("executing_queue", 1, [2, 3])
    assert stage.state.running is not None
    assert stage.state.running.fields["properties"].keys() == {"time_start"}
    stage.end()
    assert (state_of(stage), stage.running, stage.numbers) == ("executing_queue", 2, [3])
    stage.end()
    stage.end()
    assert (state_of(stage), stage.running) == ("idle", None)
    assert stage.past == [(n, "completed", "completed") for n in (1, 2, 3)]


def test_the_result_of_a_plan() -> None:
    stage = Stage.opened(1)
    uid = stage.uids[0]
    stage.started()
    assert [(run.uid, run.is_open) for run in stage.state.runs] == [(f"run-{uid}", True)]
    stage.end("failed")
    entry = next(iter(stage.state.history)).fields
    assert entry["item_uid"] == uid
    assert "properties" not in entry
    result = entry["result"]
    assert set(result) == {
        "exit_status", "ending", "run_uids", "scan_ids", "time_start", "time_stop", "msg", "traceback", "summary"
    }  # fmt: skip
    assert (result["run_uids"], result["scan_ids"], result["msg"]) == ([f"run-{uid}"], [None], "failed")
    assert result["time_start"] < result["time_stop"]
    assert stage.state.runs == ()


def test_an_empty_queue_starts_and_ends_at_once() -> None:
    stage = Stage.opened()
    stage.ok("queue_start")
    assert state_of(stage) == "idle"
    assert not stage.wishes


#: ending -> exit status, what is queued afterwards ("new": it came back with a new uid), whether the queue goes on
_TABLE: list[tuple[str, dict[str, bool], list[int], bool]] = [
    ("completed", {}, [2], True),
    ("completed", {"loop": True}, [2, 1], True),
    ("failed", {}, [1, 2], False),
    ("failed", {"loop": True}, [1, 2], False),
    ("failed", {"ignore_failures": True}, [2], True),
    ("failed", {"ignore_failures": True, "loop": True}, [2, 1], True),
    ("stopped", {}, [2], False),
    ("stopped", {"loop": True}, [2, 1], False),
    ("aborted", {"ignore_failures": True, "loop": True}, [1, 2], False),
    ("halted", {"ignore_failures": True, "loop": True}, [1, 2], False),
    ("refused", {"ignore_failures": True, "loop": True}, [1, 2], False),
]


@pytest.mark.parametrize(("ending", "mode", "queue", "goes_on"), _TABLE)
def test_what_follows_an_ending(ending: str, mode: dict[str, bool], queue: list[int], goes_on: bool) -> None:
    stage = Stage.opened(1, 2, **mode)
    uid = stage.uids[0]
    stage.ok("queue_start")
    if ending == "refused":
        stage.carry_out()
    else:
        stage.go_on()
    stage.end(ending)
    assert stage.past == [(1, "failed" if ending == "refused" else ending, ending)]
    assert [item.item_uid for item in stage.state.history] == [uid]
    if goes_on:
        assert (state_of(stage), stage.running) == ("executing_queue", 2)
        queue = queue[1:]
    else:
        assert (state_of(stage), stage.running) == ("idle", None)
    assert stage.numbers == queue
    assert uid not in stage.uids
    if queue[:1] == [1] and not goes_on and ending != "stopped":
        front = stage.state.queue.at(0).fields
        assert front["result"]["ending"] == ending
        assert "properties" not in front


@pytest.mark.parametrize(("command", "ending"), [("re_stop", "stopped"), ("re_abort", "aborted"), ("re_halt", "halted")])
def test_commands_to_a_paused_plan(command: str, ending: str) -> None:
    stage = Stage.opened(1, 2).paused()
    assert (state_of(stage), shown(stage)["pause_pending"], shown(stage)["worker_environment_state"]) == ("paused", False, "idle")
    assert shown(stage)["re_state"] == "paused"
    stage.ok(command)
    assert state_of(stage) == "executing_queue"
    stage.go_on()
    assert state_of(stage) == "idle"
    assert stage.past == [(1, ending, ending)]
    assert stage.numbers == ([2] if ending == "stopped" else [1, 2])


def test_resume_goes_on_and_the_command_is_not_for_the_next_plan() -> None:
    stage = Stage.opened(1, 2).paused()
    stage.ok("re_resume")
    assert state_of(stage) == "executing_queue"
    stage.go_on()
    stage.end()
    assert (stage.running, stage.state.execution.command) == (2, None)


def test_a_refused_command_leaves_it_paused() -> None:
    stage = Stage.opened(1).paused()
    assert stage.worker
    stage.worker.engine = "aborting"  # a console was quicker
    stage.ok("re_resume")
    stage.carry_out()
    assert (state_of(stage), stage.state.execution.command) == ("paused", None)


def test_a_plan_that_a_console_resumed_ends_the_queue() -> None:
    stage = Stage.opened(1, 2).paused()
    stage.end("completed")
    assert stage.past == [(1, "unknown", "completed")]
    assert (state_of(stage), stage.running, stage.numbers) == ("idle", None, [2])


@pytest.mark.parametrize("command", ["re_resume", "re_stop", "re_abort", "re_halt"])
def test_commands_are_for_paused_plans(command: str) -> None:
    stage = Stage.opened(1)
    assert stage.refused(command)["msg"] == "RE Manager is not paused: current state is 'idle'"
    stage.started()
    assert stage.refused(command)["msg"] == "RE Manager is not paused: current state is 'executing_queue'"


def test_a_pause_that_comes_too_late_stops_the_queue() -> None:
    stage = Stage.opened(1, 2).started()
    stage.ok("re_pause")
    stage.ok("re_pause")
    stage.go_on()
    assert shown(stage)["pause_pending"]
    stage.end("completed")
    assert (state_of(stage), stage.numbers, shown(stage)["pause_pending"]) == ("idle", [2], False)


def test_a_refused_pause_is_not_pending() -> None:
    stage = Stage.opened(1).started()
    stage.ok("re_pause")
    assert stage.worker
    stage.worker.end("completed")
    stage.go_on()
    assert not shown(stage)["pause_pending"]


def test_a_plan_of_a_console_can_be_paused() -> None:
    stage = Stage.opened(1)
    assert stage.worker
    stage.worker.say(EngineState(time=1.0, state="running"))
    stage.pull()
    assert stage.refused("queue_start")["msg"] == "IPython kernel (RE Worker) is busy."
    stage.ok("re_pause", option="immediate")
    assert shown(stage)["pause_pending"]
    stage.worker.say(EngineState(time=1.0, state="paused"))
    stage.pull()
    assert not shown(stage)["pause_pending"]


@pytest.mark.parametrize("option", ["never", None, 5, []])
def test_pause_options(option: Any) -> None:
    reply = Stage.opened(1).started().refused("re_pause", option=option)
    assert reply["msg"] == f"Option '{option}' is not supported. Available options: ('deferred', 'immediate')"


def test_pause_needs_a_running_engine() -> None:
    assert Stage().refused("re_pause")["msg"] == "Environment does not exist. Can not pause Run Engine."
    stage = Stage.opened(1)
    assert stage.refused("re_pause")["msg"] == "Run engine can be paused only in 'running' state. Current state: 'idle'"
    stage.submit(lambda step: step.emit(ch.EngineSet(engine=None)))
    assert stage.refused("re_pause")["msg"] == "Run Engine is not found in the RE Worker environment."
    assert stage.refused("queue_start")["msg"] == "Run Engine is not found in the RE Worker environment."


def test_queue_stop_and_cancel() -> None:
    stage = Stage.opened(1, 2, 3)
    stage.ok("queue_stop_cancel")
    refusal = "Failed to pause the queue. Queue is not running. Manager state: MState.IDLE"
    assert stage.refused("queue_stop")["msg"] == refusal
    stage.started()
    stage.ok("queue_stop")
    stage.ok("queue_stop")
    assert shown(stage)["queue_stop_pending"]
    stage.ok("queue_stop_cancel")
    assert not shown(stage)["queue_stop_pending"]
    stage.end()
    assert stage.running == 2
    stage.ok("queue_stop")
    stage.end()
    assert (state_of(stage), stage.numbers, shown(stage)["queue_stop_pending"]) == ("idle", [3], False)


def test_queue_stop_is_refused_when_paused() -> None:
    assert Stage.opened(1).paused().refused("queue_stop")["msg"].endswith("Manager state: MState.PAUSED")


@pytest.mark.parametrize("loop", [False, True])
def test_the_instruction_stops_the_queue(loop: bool) -> None:
    stage = Stage.opened(1, loop=loop)
    instruction = stage.ok("queue_item_add", item=QUEUE_STOP, **ME)["item"]["item_uid"]
    stage.add(2)
    stage.started().end()
    assert state_of(stage) == "idle"
    assert stage.numbers == ([2, 1, "stop"] if loop else [2])
    assert instruction not in stage.uids
    assert [entry[0] for entry in stage.past] == [1]  # not in the history


def test_start_is_refused_in_this_order() -> None:
    stage = Stage()
    assert stage.refused("queue_start")["msg"] == "RE Worker environment does not exist."
    stage = Stage.opened(1).started()
    assert stage.refused("queue_start")["msg"] == "RE Manager is busy."


def test_destroy_in_the_middle() -> None:
    stage = Stage.opened(1, 2, loop=True, ignore_failures=True).started()
    uid = stage.state.running.item_uid if stage.state.running else ""
    stage.ok("queue_stop")
    stage.ok("environment_destroy")
    stage.ok("environment_destroy")
    assert state_of(stage) == "destroying_environment"
    while stage.wishes:
        stage.carry_out()
    stage.notice_death()
    assert (state_of(stage), shown(stage)["worker_environment_state"]) == ("idle", "closed")
    assert stage.past == [(1, "failed", "interrupted")]
    result = next(iter(stage.state.history)).fields["result"]
    assert (result["msg"], result["run_uids"]) == ("RE Worker environment was destroyed", [f"run-{uid}"])
    assert stage.numbers == [1, 2]
    assert stage.state.environment.failure is None
    assert not shown(stage)["queue_stop_pending"]
    assert shown(stage)["re_state"] is None


def test_a_plan_that_ends_while_its_environment_is_destroyed_has_no_successor() -> None:
    stage = Stage.opened(1, 2).started()
    stage.ok("environment_destroy")
    assert stage.worker
    stage.worker.end("completed")
    stage.pull()
    assert (stage.running, stage.numbers) == (None, [2])
    assert stage.past == [(1, "completed", "completed")]


@pytest.mark.parametrize("mode", [{}, {"loop": True, "ignore_failures": True}])
def test_the_death_of_the_worker(mode: dict[str, bool]) -> None:
    stage = Stage.opened(1, 2, **mode).started()
    stage.kill()
    assert stage.past == [(1, "failed", "interrupted")]
    assert (state_of(stage), stage.numbers) == ("idle", [1, 2])
    front = stage.state.queue.at(0).fields["result"]
    assert (front["ending"], front["msg"]) == ("interrupted", "The worker was killed.")
    failure = shown(stage)["environment_failure"]
    assert failure["msg"] == "The worker was killed."
    stage.ok("environment_open")
    stage.go_on()
    assert shown(stage)["environment_failure"] is None
    assert state_of(stage) == "idle"


def test_a_fate_that_is_not_known_is_not_tried_again() -> None:
    stage = Stage.opened(1, 2, loop=True).started()
    assert stage.worker
    stage.worker.alive = False
    stage.notice_death(spool_lost=True)
    assert stage.past == [(1, "unknown", "lost")]
    assert (state_of(stage), stage.numbers) == ("idle", [2])
    assert "lost due to restart" in next(iter(stage.state.history)).fields["result"]["msg"]


@pytest.mark.parametrize("ending", ["completed", "failed", "aborted", "refused"])
def test_an_item_started_by_itself_never_comes_back(ending: str) -> None:
    stage = Stage.opened(1, 2, loop=True)

    def execute(step: Step) -> None:
        item = step.state.queue.at(0)
        step.emit(ch.QueueRemoved(uids=(item.item_uid,)))
        begin(step, item, alone=True)

    stage.submit(execute)
    assert state_of(stage) == "starting_queue"
    assert stage.state.running is not None
    assert stage.state.running.fields["properties"]["immediate_execution"] is True
    if ending == "refused":
        stage.carry_out()
    else:
        stage.go_on()
    stage.end(ending)
    assert (state_of(stage), stage.numbers) == ("idle", [2])
    assert "properties" not in next(iter(stage.state.history)).fields


# environment


def test_opening() -> None:
    stage = Stage()
    stage.ok("environment_open")
    assert (state_of(stage), shown(stage)["worker_environment_exists"]) == ("creating_environment", False)
    text = "Manager is already in the process of creating the RE Worker environment."
    assert stage.refused("environment_open")["msg"] == text
    assert stage.refused("environment_close")["msg"] == "RE Worker environment does not exist."
    stage.go_on()
    assert (state_of(stage), shown(stage)["worker_environment_exists"], shown(stage)["re_state"]) == ("idle", True, "idle")
    assert stage.refused("environment_open")["msg"] == "RE Worker environment already exists."


def test_opening_that_fails() -> None:
    stage = Stage()
    stage.ok("environment_open")
    stage.carry_out()
    assert stage.worker
    stage.worker.say(EngineState(time=1.0, state="idle"))
    stage.worker.load(fails=True)
    stage.worker.say(EnvironmentReady(time=1.0, plans={}, devices={}, engine="idle"))
    stage.pull()
    assert (state_of(stage), shown(stage)["worker_environment_exists"], shown(stage)["re_state"]) == ("idle", False, None)
    failure = shown(stage)["environment_failure"]
    assert (failure["msg"], failure["file"], failure["line"], failure["traceback"]) == ("It failed.", "00.py", 3, "...")
    stage.ok("environment_open")


def test_opening_that_is_cancelled() -> None:
    stage = Stage()
    stage.ok("environment_open")
    stage.ok("environment_destroy")
    assert state_of(stage) == "destroying_environment"
    while stage.wishes:
        stage.carry_out()
    stage.notice_death()
    assert state_of(stage) == "idle"


def test_closing() -> None:
    stage = Stage.opened(1).started()
    assert stage.refused("environment_close")["msg"] == "Queue execution is in progress."
    paused = Stage.opened(1).paused()
    assert paused.refused("environment_close")["msg"] == "Manager state is not idle. Current state: paused"
    stage.end()
    stage.ok("environment_close")
    assert (state_of(stage), shown(stage)["worker_environment_exists"]) == ("closing_environment", True)
    text = "Manager is already in the process of closing the RE Worker environment."
    assert stage.refused("environment_close")["msg"] == text
    assert stage.refused("queue_start")["msg"] == "RE Manager is busy."
    assert stage.refused("environment_open")["msg"] == "RE Worker environment already exists."
    stage.carry_out()
    stage.notice_death()
    assert (state_of(stage), stage.state.environment.failure) == ("idle", None)
    assert stage.state.catalogue.plans  # the lists stay


def test_closing_that_is_refused() -> None:
    stage = Stage.opened(1)
    assert stage.worker
    stage.ok("environment_close")
    stage.worker._running = "by hand"
    stage.carry_out()
    assert shown(stage)["worker_environment_state"] == "idle"


def test_destroying_needs_an_environment() -> None:
    assert Stage().refused("environment_destroy")["msg"] == "RE environment does not exist"


def test_manager_stop() -> None:
    stage = Stage.opened(1).started()
    text = "Error: Closing RE Manager with option 'safe_on' is allowed only in 'idle' state. Current state: 'executing_queue'"
    assert stage.refused("manager_stop")["msg"] == text
    wrong = stage.refused("manager_stop", option="now")["msg"]
    assert wrong == "Error: Option 'now' is not allowed. Allowed options: ('safe_off', 'safe_on')"
    stage.ok("manager_stop", option="safe_off")
    assert stage.wishes == [effects.StopManager()]


# a new life of the manager


def adopted(stage: Stage) -> list[effects.AnyEffect]:
    step = Step(stage.state, 1.0, stage.new_uid)
    worker_adopted(step)
    return step.effects


@pytest.mark.parametrize(
    ("by_hand", "status", "goes_on"), [(False, "completed", True), (True, "unknown", False), (None, "unknown", False)]
)
def test_who_resumed_a_plan_is_told_by_the_worker(by_hand: bool | None, status: str, goes_on: bool) -> None:
    """Found by the fault campaign: a resume was granted while the store was away, then the manager died."""
    stage = Stage.opened(1, 2).paused()
    running = stage.state.running
    assert running is not None
    step = Step(stage.state, 1.0, stage.new_uid)
    apply_report(ItemEnded(time=1.0, item_uid=running.item_uid, ending="completed", by_hand=by_hand), step)
    entry = next(iter(step.state.history)).fields
    assert entry["result"]["exit_status"] == status
    assert (step.state.running is not None) == goes_on
    assert manager_state(step.state) == ("executing_queue" if goes_on else "idle")


def test_a_start_that_was_not_heard_is_made_again() -> None:
    stage = Stage.opened(1)
    stage.ok("queue_start")
    stage.restart()
    stage.go_on()
    assert state_of(stage) == "executing_queue"
    stage.restart()
    stage.go_on()
    assert set(stage.executed.values()) == {1}


def test_the_end_of_a_plan_while_no_manager_was_there() -> None:
    stage = Stage.opened(1, 2).started()
    assert stage.worker
    stage.worker.end("completed")
    stage.restart()
    stage.go_on()
    assert stage.past == [(1, "completed", "completed")]
    assert stage.running == 2


def test_the_end_of_plan_and_worker_while_no_manager_was_there() -> None:
    stage = Stage.opened(1, 2).started()
    assert stage.worker
    stage.worker.end("completed")
    stage.worker.alive = False
    stage.restart()
    assert stage.past == [(1, "completed", "completed")]
    assert stage.executed.total() == 1
    assert stage.numbers == [2]
    assert state_of(stage) == "idle"


def test_wishes_are_repeated_to_an_adopted_worker() -> None:
    stage = Stage.opened(1).paused()
    running = stage.state.running
    assert running is not None
    assert adopted(stage) == [effects.StartItem(item=running)]
    stage.ok("re_abort")
    assert adopted(stage) == [effects.StartItem(item=running), effects.ContinueEngine(command="abort")]
    stage = Stage.opened(1).started()
    stage.ok("re_pause", option="immediate")
    assert adopted(stage)[1:] == [effects.PauseEngine(deferred=False)]
    stage.ok("environment_destroy")
    assert adopted(stage) == [effects.DestroyEnvironment()]
    stage = Stage.opened()
    assert adopted(stage) == []
    stage.ok("environment_close")
    assert adopted(stage) == [effects.CloseEnvironment()]
    stage.submit(lambda step: (step.emit(ch.EngineSet()), step.emit(ch.EnvironmentSet(environment=Environment()))))
    assert adopted(stage) == [effects.DestroyEnvironment()]


def test_a_step_that_raises_did_not_touch_the_state() -> None:
    stage = Stage()
    step = Step(stage.state, 1.0, stage.new_uid)
    with pytest.raises(QueueServerError):
        start_queue(step)
    assert step.state is stage.state


@pytest.mark.parametrize(("stop_queue", "expected"), [(False, [1]), (True, [])])
def test_lost_documents_raise_an_alarm_and_stop_the_queue_if_wished(stop_queue: bool, expected: list[int]) -> None:
    stage = Stage.opened(0, 1).started()
    stage.submit(lambda step: apply_report(Alarm(time=1.0, msg="The disk is full.", stop_queue=stop_queue), step))
    assert shown(stage)["environment_alarm"] == "The disk is full."
    stage.end()
    assert [stage.running] == (expected or [None])
    assert stage.numbers == ([] if expected else [1])


def test_an_outdated_worker_finishes_its_plan_and_starts_no_other() -> None:
    stage = Stage.opened(1, 2).started()
    stage.submit(lambda step: worker_adopted(step, outdated=True))
    assert shown(stage)["environment_outdated"]
    stage.end()
    assert (state_of(stage), stage.numbers, stage.past) == ("idle", [2], [(1, "completed", "completed")])
    assert stage.refused("queue_start")["error"]["code"] == "worker_outdated"
    stage.ok("environment_close")


def test_a_worker_that_cannot_be_reached_is_named_and_starts_nothing() -> None:
    stage = Stage.opened(1)
    known = stage.state.environment.environment_id
    assert known is not None
    stage.submit(lambda step: worker_unreachable(step, "another", "It is mute."))
    assert shown(stage)["environment_unreachable"] is None
    stage.submit(lambda step: worker_unreachable(step, known, "It is mute."))
    assert shown(stage)["environment_unreachable"] == "It is mute."
    assert stage.refused("queue_start")["error"]["code"] == "worker_unreachable"
    stage.submit(worker_adopted)
    assert shown(stage)["environment_unreachable"] is None
    stage.ok("queue_start")


def test_a_worker_of_another_store_is_left_to_its_plan() -> None:
    stage = Stage.opened(1)
    stage.submit(lambda step: foreign_worker_adopted(step, "theirs", engine="running", last_report=7))
    environment = stage.state.environment
    assert (environment.state, environment.environment_id, environment.reports_applied) == ("open", "theirs", 7)
    assert (shown(stage)["re_state"], state_of(stage)) == ("running", "idle")
    stage.submit(worker_adopted)  # by the next manager
    assert stage.refused("queue_start")["error"]["code"] == "worker_outdated"
    stage.ok("environment_destroy")


def test_no_second_worker_beside_one_that_does_not_answer() -> None:
    """Also if the store knows nothing of it, as after it was moved away."""
    stage = Stage.opened(1)
    rule = functools.partial(foreign_worker_adopted, environment_id="theirs", last_report=7)
    stage.submit(lambda step: rule(step, engine="running", unreachable="It is mute."))
    assert shown(stage)["environment_unreachable"] == "It is mute."
    assert stage.refused("environment_open")["error"]["code"] == "worker_unreachable"
    stage.submit(lambda step: rule(step, engine="idle"))
    assert shown(stage)["environment_unreachable"] is None
    assert stage.refused("environment_open")["error"]["code"] == "environment_exists"
    stage.submit(lambda step: worker_unreachable(step, "theirs", "It is mute."))
    stage.ok("environment_destroy")
    stage.submit(lambda step: rule(step, engine="idle"))  # it was adopted all the same: what was wished stays
    assert stage.state.environment.state == "destroying"


def test_a_worker_that_should_have_ended_is_destroyed() -> None:
    stage = Stage.opened(1)
    ended = replace(stage.state.environment, state="closed")
    stage.submit(lambda step: (step.emit(ch.EngineSet(engine=None)), step.emit(ch.EnvironmentSet(environment=ended))))
    stage.submit(lambda step: worker_unreachable(step, ended.environment_id or "", "It is mute."))
    assert stage.state.environment.state == "destroying"


def test_a_cell_of_a_console_holds_the_kernel() -> None:
    stage = Stage.opened(1)
    assert stage.worker
    stage.worker.say(CellState(time=1.0, running=True))
    stage.pull()
    assert (shown(stage)["ip_kernel_state"], shown(stage)["ip_kernel_captured"]) == ("busy", False)
    assert stage.refused("queue_start")["msg"] == "IPython kernel (RE Worker) is busy."
    execute = {"item": {"item_type": "plan", "name": "count"}, **ME}
    assert "IPython kernel (RE Worker) is busy." in stage.refused("queue_item_execute", **execute)["msg"]
    stage.ok("queue_autostart", enable=True)
    stage.worker.say(CellState(time=2.0, running=False))
    stage.pull()
    stage.go_on()
    assert stage.running == 1
    stage.config = replace(stage.config, kernel="hidden")
    stage.end()
    stage.worker.say(CellState(time=3.0, running=True))
    stage.pull()
    stage.add(2)
    stage.go_on()
    assert stage.running == 2, "no console is known to be there"
