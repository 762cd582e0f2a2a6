"""What the plan was told and has not done: it becomes overdue, names the next rung, and nothing climbs by itself."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from core_stage import Stage

from jupyter_queueserver.core import effects
from jupyter_queueserver.core.rules.pending import fell_due
from jupyter_queueserver.core.rules.recovery import worker_answers, worker_unreachable
from jupyter_queueserver.core.status import status


def re_pending(stage: Stage) -> dict[str, Any] | None:
    """The key of the status."""
    shown = status(stage.state, epoch="e", time_text="t", version="1", kernel="hidden")
    return shown["re_pending"]


def fall_due(stage: Stage) -> dict[str, Any]:
    """The limit has passed; returns what the status says then."""
    pending = stage.state.execution.pending
    assert pending is not None
    stage.submit(functools.partial(fell_due, since=pending.since))
    found = re_pending(stage)
    assert found is not None
    assert found["overdue"]
    return found


def test_nothing_is_pending_at_rest() -> None:
    stage = Stage.opened(1).started()
    assert re_pending(stage) is None


@pytest.mark.parametrize(
    ("option", "method", "params"), [("deferred", "re_pause", {"option": "immediate"}), ("immediate", "re_abort", {})]
)
def test_pause_is_pending_then_overdue(option: str, method: str, params: dict[str, Any]) -> None:
    stage = Stage.opened(1).started()
    stage.ok("re_pause", option=option)
    found = re_pending(stage)
    assert found is not None
    assert (found["command"], found["overdue"], found["next"], found["msg"]) == (f"{option}_pause", False, None, "")
    found = fall_due(stage)
    assert found["next"] == {"method": method, "params": params}
    assert method in found["msg"]
    assert [type(wish) for wish in stage.wishes] == [effects.PauseEngine]


def test_limit_of_something_else_is_no_news() -> None:
    stage = Stage.opened(1).started()
    stage.ok("re_pause", option="deferred")
    stage.submit(functools.partial(fell_due, since=1.0))
    found = re_pending(stage)
    assert found is not None
    assert not found["overdue"]


def test_same_request_again_does_not_begin_anew_another_one_does() -> None:
    stage = Stage.opened(1).started()
    stage.ok("re_pause", option="deferred")
    first = fall_due(stage)
    assert stage.call("re_pause", option="deferred") == {"success": True, "msg": first["msg"]}
    assert re_pending(stage) == first
    stage.ok("re_pause", option="immediate")
    now = re_pending(stage)
    assert now is not None
    assert (now["command"], now["overdue"]) == ("immediate_pause", False)
    stage.ok("re_pause", option="deferred")
    assert re_pending(stage) == now


def test_ladder_is_climbed_by_requests_only() -> None:
    stage = Stage.opened(1).started()
    stage.ok("re_pause", option="immediate")
    assert stage.refused("re_abort")["error"]["code"] == "not_paused"
    late = fall_due(stage)
    assert stage.refused("re_resume")["error"]["hint"] == late["msg"]
    stage.wishes.clear()
    stage.ok("re_abort")
    assert [type(wish) for wish in stage.wishes] == [effects.BreakOffPlan]
    stage.wishes.clear()
    assert stage.refused("re_halt")["error"]["code"] == "not_paused"
    assert fall_due(stage)["next"] == {"method": "re_halt", "params": {}}
    stage.ok("re_halt")
    assert fall_due(stage)["next"] == {"method": "environment_destroy", "params": {}}
    assert stage.refused("re_halt")["error"]["code"] == "not_paused"


def test_broken_off_plan_ends_as_it_was_told() -> None:
    stage = Stage.opened(1).started()
    stage.ok("re_pause", option="immediate")
    fall_due(stage)
    stage.ok("re_halt")
    stage.go_on()
    assert stage.past == [(1, "halted", "halted")]
    assert re_pending(stage) is None
    assert stage.numbers == [1]


def test_refused_breaking_off_leaves_what_was_pending() -> None:
    stage = Stage.opened(1).started()
    stage.ok("re_pause", option="immediate")
    before = fall_due(stage)
    stage.wishes.clear()
    stage.ok("re_abort")
    assert stage.worker
    stage.worker.break_off = lambda command: False  # type: ignore[method-assign]
    stage.hand_over()
    assert re_pending(stage) == before


def test_silent_worker_is_told_nothing() -> None:
    stage = Stage.opened(1).started()
    environment_id = stage.state.environment.environment_id
    assert environment_id is not None
    stage.submit(functools.partial(worker_unreachable, environment_id=environment_id, reason="It is silent."))
    assert stage.refused("re_pause")["error"]["code"] == "worker_unreachable"
    stage.submit(functools.partial(worker_answers, environment_id=environment_id))
    stage.ok("re_pause")


def test_environment_that_is_meant() -> None:
    stage = Stage.opened(1).started()
    present = stage.state.environment.environment_id
    refusal = stage.refused("re_pause", environment_id="another")
    assert (refusal["error"]["code"], refusal["error"]["path"]) == ("other_environment", "environment_id")
    assert stage.refused("re_pause", environment_id=5)["error"]["code"] == "wrong_type"
    stage.ok("re_pause", environment_id=present)
    stage.kill()
    assert stage.refused("environment_destroy", environment_id=present)["error"]["code"] == "other_environment"
