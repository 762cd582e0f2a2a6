"""Autostart: the queue starts by itself whenever it can, until somebody or something stops it."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import ME, QUEUE_STOP, Stage, plan

from jupyter_queueserver.core.status import manager_state


def on(*numbers: int, **mode: bool) -> Stage:
    stage = Stage.opened(*numbers, **mode)
    stage.ok("queue_autostart", enable=True)
    stage.go_on()
    return stage


def running(stage: Stage) -> int | None:
    return stage.state.running.fields["kwargs"]["num"] if stage.state.running else None


@pytest.mark.parametrize("value", [None, 1, "true", []])
def test_only_booleans(value: Any) -> None:
    reply = Stage().refused("queue_autostart", enable=value)
    assert reply["msg"].startswith("Error: The 'enable' parameter must be a boolean")


def test_starts_when_switched_on_and_when_items_come() -> None:
    assert running(on(1)) == 1
    stage = on()
    assert manager_state(stage.state) == "idle"
    stage.add(7)
    stage.go_on()
    assert running(stage) == 7
    stage.end()
    stage.go_on()
    assert stage.state.autostart
    stage.ok("queue_item_add_batch", items=[plan(8), plan(9)], **ME)
    stage.go_on()
    assert running(stage) == 8


def test_starts_when_the_environment_opens() -> None:
    stage = Stage()
    stage.ok("environment_open")
    stage.ok("queue_autostart", enable=True)
    stage.go_on()
    stage.add(1)
    stage.go_on()
    assert running(stage) == 1


def test_a_stopped_queue_stays_stopped() -> None:
    stage = on(1, 2)
    stage.ok("queue_stop")
    stage.end()
    assert running(stage) is None
    assert not stage.state.autostart
    last = on(1)
    last.ok("queue_stop")
    last.end()
    assert not last.state.autostart


def test_a_cancelled_stop_changes_nothing() -> None:
    stage = on(1, 2)
    stage.ok("queue_stop")
    stage.ok("queue_stop_cancel")
    stage.end()
    stage.go_on()
    assert running(stage) == 2
    assert stage.state.autostart


@pytest.mark.parametrize("method", ["queue_item_add", "queue_item_execute"])
def test_the_instruction_switches_it_off(method: str) -> None:
    stage = on()
    stage.ok(method, item=QUEUE_STOP, **ME)
    assert not stage.state.autostart
    assert manager_state(stage.state) == "idle"
    assert stage.state.history.size == 0


@pytest.mark.parametrize("ending", ["stopped", "aborted", "halted", "failed", "refused"])
def test_endings_that_switch_it_off(ending: str) -> None:
    stage = Stage.opened(1, 2)
    stage.ok("queue_autostart", enable=True)
    (stage.hand_over if ending == "refused" else stage.go_on)()
    stage.end(ending)
    stage.go_on()
    assert running(stage) is None
    assert not stage.state.autostart


def test_ignored_failures_do_not() -> None:
    stage = on(1, 2, ignore_failures=True)
    stage.end("failed")
    stage.go_on()
    assert running(stage) == 2
    assert stage.state.autostart


def test_a_refused_item_is_not_tried_again_and_again() -> None:
    stage = Stage.opened(1, ignore_failures=True)
    stage.ok("queue_autostart", enable=True)
    stage.hand_over()
    stage.end("refused")
    stage.go_on()
    assert stage.state.history.size == 1
    assert not stage.state.autostart


def test_one_item_by_itself_leaves_it_on() -> None:
    stage = on()
    stage.ok("queue_item_execute", item=plan(1), **ME)
    stage.go_on()
    stage.add(2)
    assert running(stage) == 1
    stage.end()
    stage.go_on()
    assert running(stage) == 2
    assert stage.state.autostart


def test_destroying_keeps_it_and_a_death_does_not() -> None:
    stage = on(1)
    stage.ok("environment_destroy")
    while stage.wishes:
        stage.carry_out()
    stage.notice_death()
    assert stage.state.autostart
    stage.ok("environment_open")
    stage.go_on()
    stage.go_on()
    assert running(stage) == 1
    assert stage.worker is not None
    stage.worker.alive = False
    stage.notice_death()
    assert not stage.state.autostart


def test_kept_over_a_restart_of_the_manager() -> None:
    stage = on(1, 2)
    stage.restart()
    assert stage.state.autostart
    stage.end()
    stage.go_on()
    assert running(stage) == 2
