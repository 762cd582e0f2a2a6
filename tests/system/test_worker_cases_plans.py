"""Named cases of plans: pauses, the ladder from a deferred pause to destroy, plans that hold the RunEngine, deaths in a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from casehall import OPTIONS, Case, MakeCase, endings, pending, wait_closed, wait_overdue, wait_paused
from harness import Server, kill, until, wait_dead
from pool import Pool, is_healthy


@pytest.fixture(scope="module")
def kept(pool: Pool) -> Iterator[Callable[[], Server]]:
    """Gives the server of this module, started again if a test has broken it."""
    made: list[Server] = []

    def get() -> Server:
        if not made or not is_healthy(made[-1]):
            for old in made:
                old.kill_all()
            made.append(pool.new(*OPTIONS))
            made[-1].start()
        return made[-1]

    yield get
    if made and is_healthy(made[-1]):
        made[-1].stop()


@pytest.fixture
def server(kept: Callable[[], Server]) -> Server:
    """A server with short limits, idle, with an open environment."""
    server = kept()
    if not server.status()["worker_environment_exists"]:
        server.open()
    server.ok("queue_clear")
    server.ok("history_clear")
    return server


@pytest.fixture
def case(server: Server, tmp_path: Path) -> MakeCase:
    """Adds a plan to the queue."""
    return lambda plan, **kwargs: Case(server, tmp_path, plan, **kwargs)


# -- the worker's death in a plan --------------------------------------------------------------


def test_memory_error_in_a_plan(server: Server, case: MakeCase) -> None:
    """Python could say no: the plan has failed, the worker lives and runs the next one."""
    worker = server.worker
    plan = case("eats_memory")
    plan.started()
    server.wait_for(lambda status: status["items_in_history"] == 1, "the plan to fail")
    server.wait_state("idle")
    (item,) = server.history()
    assert (item["item_uid"], item["result"]["ending"]) == (plan.uid, "failed")
    assert "MemoryError" in item["result"]["traceback"]
    server.ok("queue_clear")
    case("brief").started()
    server.wait_for(lambda status: status["items_in_history"] == 2, "the next plan to end")
    assert endings(server) == ["failed", "completed"]
    assert server.worker == worker


def test_killed_by_a_stranger(server: Server, case: MakeCase) -> None:
    """As the kernel does it when memory runs out: nobody here asked for it, and the reason says who may have done it."""
    case("hold").started()
    kill(server.worker)
    status = wait_closed(server)
    (item,) = server.history()
    assert item["result"]["ending"] == "interrupted"
    assert "killed by signal 9 (SIGKILL)" in item["result"]["msg"]
    assert "by somebody, or by the system for lack of memory" in item["result"]["msg"]
    assert status["environment_failure"]["msg"] == item["result"]["msg"]
    assert server.queue()[0]["result"]["msg"] == item["result"]["msg"]


def test_segfault(server: Server, case: MakeCase) -> None:
    """What faulthandler wrote is kept in the console file, and the reason names the place."""
    console = server.environment.console
    case("segfaults").started()
    wait_closed(server)
    (item,) = server.history()
    assert item["result"]["ending"] == "interrupted"
    text = console.read_text()
    assert "Fatal Python error: Segmentation fault" in text
    for word in ("SIGSEGV", "Segmentation fault", "segfaults (", str(console)):
        assert word in item["result"]["msg"]


def test_death_of_an_adopted_worker_is_explained_too(server: Server, case: MakeCase) -> None:
    """A manager that is not its parent cannot know the signal; the console file still tells what happened."""
    manager = server.manager
    kill(manager)
    server.wait_new_manager(manager)
    server.wait_for(lambda status: status["worker_environment_state"] == "idle", "the worker to be taken over")
    case("segfaults").started()
    wait_closed(server)
    (item,) = server.history()
    assert item["result"]["ending"] == "interrupted"
    assert "Segmentation fault" in item["result"]["msg"]


# -- pauses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["deferred", "immediate"])
def test_pause_of_a_plan_that_holds_the_run_engine(server: Server, case: MakeCase, option: str) -> None:
    """The answer comes at once and is true; it is done when the plan lets go."""
    plan = case("spin").started()
    reply = server.ok("re_pause", option=option)
    assert "when the plan lets go" in reply["msg"]
    found = pending(server)
    assert found is not None
    assert (found["command"], found["next"]) == (f"{option}_pause", None)
    found = wait_overdue(server, f"{option}_pause")
    expected = {"method": "re_pause", "params": {"option": "immediate"}}
    assert found["next"] == (expected if option == "deferred" else {"method": "re_abort", "params": {}})
    assert server.ok("re_pause", option=option)["msg"] == found["msg"]
    assert server.status()["manager_state"] == "executing_queue"
    plan.go()
    wait_paused(server)
    assert pending(server) is None
    server.ok("re_resume")
    server.wait_state("idle")
    assert endings(server) == ["completed"]


def test_plan_that_holds_the_run_engine_for_ever(server: Server, case: MakeCase) -> None:
    """The whole ladder: pause, abort, halt, each in vain and each said to be; the worker's end ends it."""
    plan, worker = case("spin").started(), server.worker
    server.ok("re_pause", option="immediate")
    assert server.refused("re_abort")["error"]["code"] == "not_paused"
    for command, method in (("immediate_pause", "re_abort"), ("abort", "re_halt")):
        found = wait_overdue(server, command)
        assert found["next"] == {"method": method, "params": {}}
        assert method in found["msg"]
        assert "when the plan lets go" in server.ok(method)["msg"]
        server.add("brief", trace=plan._trace.with_suffix(".more"))  # others are served meanwhile
    found = wait_overdue(server, "halt")
    assert found["next"] == {"method": "environment_destroy", "params": {}}
    assert server.refused("re_halt")["error"]["hint"] == found["msg"]
    server.ok("environment_destroy")
    status = wait_closed(server)
    wait_dead(worker)
    assert status["re_pending"] is None
    assert endings(server) == ["interrupted"]
    assert len(server.queue()) == 3


def test_abort_of_a_plan_that_lets_go_at_last(server: Server, case: MakeCase) -> None:
    plan = case("spin").started()
    server.ok("re_pause", option="immediate")
    wait_overdue(server, "immediate_pause")
    server.ok("re_abort")
    plan.go()
    server.wait_state("idle")
    assert endings(server) == ["aborted"]
    assert plan.lines == ["begin"]
    assert server.status()["re_state"] == "idle"


def test_deferred_pause_without_checkpoint(server: Server, case: MakeCase) -> None:
    """The next rung is an immediate pause; it goes back to the last checkpoint."""
    plan = case("no_checkpoint").started()
    server.ok("re_pause", option="deferred")
    found = wait_overdue(server, "deferred_pause")
    assert "checkpoint" in found["msg"]
    assert server.refused("re_abort")["error"]["hint"] == found["msg"]
    server.ok("re_pause", option="immediate")
    wait_paused(server)
    server.ok("re_stop")
    server.wait_state("idle")
    assert endings(server) == ["stopped"]
    assert plan.lines == ["begin"]


def test_pause_in_the_first_step(server: Server, case: MakeCase) -> None:
    """Asked for again and again from the start on: refused until there is something to pause, then paused."""
    case("hold")
    server.ok("queue_start")

    def asked() -> bool:
        reply = server.call("re_pause", option="immediate")
        assert reply["success"] or reply["error"]["code"] == "wrong_state", reply
        return reply["success"]

    until(asked, "a pause to be taken")
    status = wait_paused(server)
    assert status["re_state"] == "paused"
    server.ok("re_abort")
    server.wait_state("idle")
    assert endings(server) == ["aborted"]


def test_pause_twice_and_while_pausing(server: Server, case: MakeCase) -> None:
    plan = case("with_device", mode="pause waits").started()
    server.ok("re_pause", option="immediate")
    server.wait_for(lambda status: status["re_state"] == "pausing", "the RunEngine to be pausing")
    reply = server.refused("re_pause", option="immediate")
    assert "pausing" in reply["msg"]
    assert server.status()["pause_pending"] is True
    wait_overdue(server, "immediate_pause")
    server.ok("re_abort")
    server.wait_state("idle")
    assert endings(server) == ["aborted"]
    assert server.status()["re_state"] == "idle"
    assert plan.lines[0] == "begin"


def test_pause_at_the_last_point(server: Server, case: MakeCase) -> None:
    """The plan is through before the checkpoint comes: it has completed, the queue stops there, the wish is forgotten."""
    plan, second = case("last_point"), case("brief")
    plan.started()
    server.ok("re_pause", option="deferred")
    plan.go()
    status = server.wait_state("idle")
    assert (status["pause_pending"], status["re_pending"]) == (False, None)
    assert endings(server) == ["completed"]
    assert [item["item_uid"] for item in server.queue()] == [second.uid]


def test_pauses_between_plans(server: Server, case: MakeCase) -> None:
    """Immediate pauses thrown at a queue of short plans: each is refused or taken, and nothing runs twice or is lost."""
    plans = [case("brief") for _ in range(30)]
    server.ok("queue_start")
    while (status := server.status())["items_in_history"] < len(plans):
        if status["manager_state"] == "paused":
            server.ok("re_resume")
        elif status["manager_state"] == "idle":
            server.call("queue_start")
        else:
            server.call("re_pause", option="deferred")
    server.wait_state("idle")
    assert [item["item_uid"] for item in server.history()] == [plan.uid for plan in plans]
    assert [plan.lines for plan in plans] == [["begin", "end"]] * len(plans)


@pytest.mark.parametrize(
    ("mode", "ending"), [("pause raises", "failed"), ("stop raises", "aborted")], ids=["pause-raises", "stop-raises"]
)
def test_pause_with_a_device_that_raises(server: Server, case: MakeCase, mode: str, ending: str) -> None:
    """``pause`` that raises ends the plan as failed, by bluesky's own rule; ``stop`` that raises is logged and passed over."""
    case("with_device", mode=mode).started()
    server.ok("re_pause", option="immediate")
    if ending == "aborted":
        wait_paused(server)
        server.ok("re_abort")
    server.wait_state("idle")
    (item,) = server.history()
    assert item["result"]["ending"] == ending
    if ending == "failed":
        assert "the device refuses to pause" in item["result"]["msg"]
    assert server.status()["re_pending"] is None


@pytest.mark.parametrize("mode", ["pause waits", "stop waits"])
def test_pause_with_a_device_that_hangs(server: Server, case: MakeCase, mode: str) -> None:
    """The pause is overdue; halt is accepted then and ends the plan."""
    case("with_device", mode=mode).started()
    server.ok("re_pause", option="immediate")
    wait_overdue(server, "immediate_pause")
    server.ok("re_halt")
    server.wait_state("idle")
    assert endings(server) == ["halted"]
    assert server.status()["re_state"] == "idle"


def test_pause_with_a_device_that_blocks(server: Server, case: MakeCase) -> None:
    """It holds the RunEngine itself: only destroy is left, and the status leads there."""
    case("with_device", mode="pause blocks").started()
    server.ok("re_pause", option="immediate")
    wait_overdue(server, "immediate_pause")
    server.ok("re_halt")
    assert wait_overdue(server, "halt")["next"]["method"] == "environment_destroy"
    server.ok("environment_destroy")
    wait_closed(server)
    assert endings(server) == ["interrupted"]


def test_resume_that_hangs(server: Server, case: MakeCase) -> None:
    case("with_device", mode="resume waits").started()
    server.ok("re_pause", option="immediate")
    wait_paused(server)
    server.ok("re_resume")
    assert wait_overdue(server, "resume")["next"]["method"] == "environment_destroy"
    server.ok("environment_destroy")
    wait_closed(server)
    assert endings(server) == ["interrupted"]


# -- stop, abort, halt -------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "ending"), [("stop", "stopped"), ("abort", "aborted"), ("halt", "halted")])
def test_ending_twice_and_in_every_state(server: Server, case: MakeCase, command: str, ending: str) -> None:
    """Idle, running, paused, just told, ended: done once, refused otherwise, each refusal with the state in it."""
    method = f"re_{command}"
    assert "idle" in server.refused(method)["msg"]
    plan = case("hold").started()
    assert "executing_queue" in server.refused(method)["msg"]
    server.ok("re_pause", option="immediate")
    wait_paused(server)
    server.ok(method)
    again = server.refused(method)
    assert again["error"]["code"] == "not_paused"
    server.wait_state("idle")
    assert "idle" in server.refused(method)["msg"]
    assert endings(server) == [ending]
    assert plan.lines == (["begin"] if command == "halt" else ["begin", "cleanup"])
    server.ok("environment_close")
    assert server.refused(method)["error"]["code"] == "not_paused"
    wait_closed(server)
    assert server.refused(method)["error"]["code"] == "not_paused"


@pytest.mark.parametrize("command", ["stop", "abort"])
def test_cleanup_that_hangs(server: Server, case: MakeCase, command: str) -> None:
    """Nothing goes further by itself; halt skips what the clean-up waits for."""
    plan = case("hanging_cleanup").started()
    server.ok("re_pause", option="immediate")
    wait_paused(server)
    server.ok(f"re_{command}")
    plan.wait("cleanup")
    found: dict[str, Any] = wait_overdue(server, command)
    assert found["next"] == {"method": "re_halt", "params": {}}
    assert server.refused("re_abort")["error"]["hint"] == found["msg"]
    assert server.status()["manager_state"] == "executing_queue"
    server.ok("re_halt")
    server.wait_state("idle")
    assert endings(server) == ["halted"]
    assert "cleaned" not in plan.lines
    assert server.status()["re_state"] == "idle"
    server.ok("queue_clear")
    case("brief").started()
    server.wait_for(lambda status: status["items_in_history"] == 2, "the next plan to end")
    assert endings(server) == ["halted", "completed"]
