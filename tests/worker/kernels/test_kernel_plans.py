"""Plans in a real kernel: how they run, pause, go on and end, and what is reported of it.  One kernel for all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from kernel_rig import run_cell

from jupyter_queueserver.core.errors import WorkerRefused
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.reports import (
    EngineState,
    EnvironmentReady,
    ItemEnded,
    ItemPaused,
    ItemTaken,
    RunClosed,
    RunOpened,
)
from jupyter_queueserver.link.messages import Allowed

pytestmark = pytest.mark.timeout(60)


def test_a_plan_runs_and_its_reports_come_in_order(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        go.touch()
        uid = await rig.start("until", str(trace), str(go))
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert trace.read_text() == "begin\nend\n"
        first = next(i for i, r in enumerate(rig.reports) if isinstance(r, ItemTaken) and r.item_uid == uid)
        kinds = [(type(r).__name__, getattr(r, "state", getattr(r, "exit_status", None))) for r in rig.reports[first:]]
        assert kinds == [
            ("ItemTaken", None),
            ("EngineState", "running"),
            ("RunOpened", None),
            ("RunClosed", "success"),
            ("EngineState", "idle"),
            ("ItemEnded", None),
        ]
        opened = rig.pulled(RunOpened, item_uid=uid)
        assert ended.ending == "completed"
        assert ended.run_uids == tuple(r.run_uid for r in opened)
        assert ended.scan_ids == tuple(r.scan_id for r in opened)
        assert (await rig.link.status()).running is None

    run(scenario())


def test_metadata_of_the_item_reach_the_run(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        go.touch()
        cell = rig.stranger("shell")
        await run_cell(cell, "seen = []; token = RE.subscribe(lambda n, d: seen.append(d), 'start')")
        meta = [{"sample": "Cu", "a": 1}, {"sample": "Fe", "b": 2}]
        await rig.start("until", str(trace), str(go), meta=meta)
        await rig.until(ItemEnded)
        code = "assert (seen[-1]['sample'], seen[-1]['a'], seen[-1]['b']) == ('Cu', 1, 2), seen; RE.unsubscribe(token)"
        reply = await run_cell(cell, code)
        await cell.close()
        assert reply["status"] == "ok", reply

    run(scenario())


def test_a_failing_plan_is_reported_with_its_traceback_and_runs(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        uid = await rig.start("fails", "no beam")
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert ended.ending == "failed"
        assert ended.msg == "Plan failed: no beam"
        assert "raise RuntimeError(text)\nRuntimeError: no beam" in ended.traceback
        assert "runner.py" not in ended.traceback
        assert len(ended.run_uids) == len(ended.scan_ids) == 1
        assert rig.pulled(RunClosed, item_uid=uid)[0].exit_status == "fail"

    run(scenario())


def test_sys_exit_in_a_plan_fails_the_item_and_not_the_worker(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        uid = await rig.start("exits")
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert ended.ending == "failed"
        assert (await rig.link.status()).phase == "open"

    run(scenario())


def test_a_plan_that_was_cancelled_inside_is_not_completed(shared: Any) -> None:
    """The RunEngine returns from it as if all were well."""
    rig, run = shared

    async def scenario() -> None:
        uid = await rig.start("cancelled")
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert (ended.ending, len(ended.run_uids)) == ("aborted", 1)
        assert "'abort'" in ended.msg

    run(scenario())


@pytest.mark.parametrize(("name", "words"), [("raises_odd", "Odd"), ("raises_half", "half")])
def test_exceptions_whose_text_is_trouble_end_the_item_at_once(shared: Any, name: str, words: str) -> None:
    rig, run = shared

    async def scenario() -> None:
        async with asyncio.timeout(15.0):
            ended = await rig.until(ItemEnded, item_uid=await rig.start(name))
        assert ended.ending == "failed"
        assert words in ended.msg

    run(scenario())


def test_an_item_ends_though_nothing_can_be_printed(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        uid = await rig.start("spoils_stdout", "no beam")
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert (ended.ending, ended.msg) == ("failed", "Plan failed: no beam")
        uid = await rig.start("mends_stdout")
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"

    run(scenario())


@pytest.mark.parametrize(
    ("name", "args", "allowed", "words"),
    [
        ("no_such_plan", [], None, "Plan 'no_such_plan' is not in the list of allowed plans."),
        ("until", ["a"], None, "missing a required argument"),
        (
            "noop",
            [],
            Allowed(group="primary", permissions='{"user_groups": {"root": {}, "primary": {}}}'),
            "Plan 'noop' is not in the list of allowed plans.",
        ),
    ],
)
def test_what_cannot_be_bound_fails_before_the_start(
    shared: Any, name: str, args: list[Any], allowed: Allowed | None, words: str
) -> None:
    rig, run = shared

    async def scenario() -> None:
        item = rig.item(name, *args)
        await rig.link.start(item, rig.fence, allowed)
        ended = await rig.until(ItemEnded, item_uid=item.item_uid)
        assert ended.ending == "refused"
        assert any(words in problem for problem in ended.problems)
        assert ended.msg.startswith("Plan failed: Error occurred while processing plan parameters or starting the plan: ")
        assert words in ended.msg
        assert ended.run_uids == ()

    run(scenario())


def test_what_is_permitted_runs(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        permissions = json.dumps(Permissions.default().to_wire())
        for _ in range(2):
            item = rig.item("noop")
            await rig.link.start(item, rig.fence, Allowed(group="primary", permissions=permissions))
            assert (await rig.until(ItemEnded, item_uid=item.item_uid)).ending == "completed"

    run(scenario())


@pytest.mark.parametrize("deferred", [True, False])
@pytest.mark.parametrize(
    ("command", "ending", "exit_status"),
    [
        ("resume", "completed", "success"),
        ("stop", "stopped", "success"),
        ("abort", "aborted", "abort"),
        ("halt", "halted", "abort"),
    ],
)
def test_pause_and_what_comes_after(shared: Any, command: Any, ending: str, exit_status: str, deferred: bool) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        uid = await rig.start("until", str(trace), str(go))
        await rig.wait_for(trace.exists)
        await rig.link.pause(deferred, rig.fence)
        await rig.until(ItemPaused, item_uid=uid)
        if deferred:
            assert rig.pulled(EngineState, deferred=True)
        facts = await rig.link.status()
        assert (facts.engine, facts.running) == ("paused", uid)
        go.touch()
        await rig.link.continue_(command, rig.fence)
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert ended.ending == ending
        assert ended.msg == ""
        assert rig.pulled(RunClosed, item_uid=uid)[0].exit_status == exit_status
        assert trace.read_text() == ("begin\nend\n" if command == "resume" else "begin\n")

    run(scenario())


def test_commands_at_the_wrong_moment_are_refused(shared: Any) -> None:
    rig, run = shared

    async def refused(request: Any) -> str:
        with pytest.raises(WorkerRefused) as caught:
            await request
        return caught.value.code

    async def scenario() -> None:
        link, fence = rig.link, rig.fence
        assert await refused(link.pause(False, fence)) == "not_running"
        assert await refused(link.continue_("resume", fence)) == "not_paused"
        assert await refused(link.withdraw("never seen", fence)) == "unknown_item"
        trace, go = rig.paths()
        uid = await rig.start("until", str(trace), str(go))
        await rig.wait_for(trace.exists)
        assert await refused(link.continue_("resume", fence)) == "not_paused"
        assert await refused(link.withdraw(uid, fence)) == "already_taken"
        assert await refused(link.start(rig.item("noop"), fence)) == "busy"
        assert await refused(link.close(fence)) == "busy"
        go.touch()
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"

    run(scenario())


def test_a_pause_answers_though_the_plan_holds_the_engines_loop(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        _, go = rig.paths()
        uid = await rig.start("blocks", str(go))
        await rig.until(EngineState, state="running")
        await rig.link.pause(True, rig.fence)  # raises if no answer comes in time
        go.touch()
        await rig.until(ItemPaused, item_uid=uid)
        await rig.link.continue_("resume", rig.fence)
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"

    run(scenario())


def test_a_paused_plan_that_is_resumed_by_hand_ends_truthfully(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        uid = await rig.start("until", str(trace), str(go))
        await rig.wait_for(trace.exists)
        await rig.link.pause(False, rig.fence)
        await rig.until(ItemPaused, item_uid=uid)
        go.touch()
        cell = rig.stranger("shell")
        assert (await run_cell(cell, "RE.resume()"))["status"] == "ok"
        await cell.close()
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert ended.ending == "completed"
        assert "by hand" in ended.msg
        assert ended.by_hand
        assert (await rig.link.status()).running is None

    run(scenario())


def test_an_item_is_refused_while_the_engine_is_used_by_hand(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        cell = rig.stranger("shell")
        code = "import bluesky.plan_stubs as bps\nRE([m for m in bps.checkpoint()] + [m for m in bps.pause()])"
        assert (await run_cell(cell, code))["status"] == "error"
        uid = await rig.start("noop")
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert ended.ending == "refused"
        assert "paused" in ended.msg
        assert (await run_cell(cell, "RE.stop()"))["status"] == "ok"
        await cell.close()
        uid = await rig.start("noop")
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"

    run(scenario())


def test_all_that_is_printed_reaches_the_console_and_rings(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        offset = rig.link.console.size
        await rig.start("prints", "hello")
        await rig.until(ItemEnded)

        def text() -> str:
            return rig.link.console.read(offset, 10_000)[1].decode()

        await rig.wait_for(lambda: "low level hello" in text())
        lines = text().splitlines()
        assert lines[:3] == ["hello", "low level hello", "child hello"]

    run(scenario())


def test_the_environment_lists_its_plans(shared: Any) -> None:
    rig, _ = shared
    ready = next(report for report in rig.reports if isinstance(report, EnvironmentReady))
    assert {"noop", "until", "fails", "prints", "exits", "blocks"} <= set(ready.plans)
    assert ready.engine == "idle"
    assert [file.name for file in ready.files] == ["00-plans.py"]
    assert "until" in ready.files[0].names
