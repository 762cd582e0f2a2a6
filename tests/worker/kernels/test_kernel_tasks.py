"""Tasks in a real kernel: scripts, functions, interrupts, and what becomes of lists and RunEngine.  One kernel for all."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from kernel_rig import run_cell

from jupyter_queueserver.core.errors import WorkerRefused
from jupyter_queueserver.core.reports import CellState, EngineState, ItemEnded, ItemPaused, ListsUpdated, RunOpened, TaskEnded
from jupyter_queueserver.core.tasks import Task, TaskKind

pytestmark = pytest.mark.timeout(60)

_uids = itertools.count()


def task(kind: TaskKind, background: bool, **payload: Any) -> Task:
    return Task(task_uid=f"task-{next(_uids)}", kind=kind, background=background, time_start=1.0, payload=json.dumps(payload))


def script(text: str, *, background: bool = False, update_lists: bool = False, update_re: bool = False) -> Task:
    return task("script", background, script=text, update_lists=update_lists, update_re=update_re)


def function(name: str, *args: Any, background: bool = False, **kwargs: Any) -> Task:
    return task("function", background, name=name, args=list(args), kwargs=kwargs)


async def begin(rig: Any, wanted: Task) -> str:
    reply = await rig.link.start_task(wanted, rig.fence)
    assert reply.accepted
    return wanted.task_uid


async def result(rig: Any, wanted: Task) -> TaskEnded:
    return await rig.until(TaskEnded, task_uid=await begin(rig, wanted))


async def value(rig: Any, expression: str) -> Any:
    """What an expression gives in the namespace."""
    ended = await result(rig, script(f"def _look():\n    return {expression}\n"))
    assert ended.success, ended
    ended = await result(rig, function("_look"))
    assert ended.success, ended
    return None if ended.return_value is None else json.loads(ended.return_value)


def test_a_script_runs_as_startup_code(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        before = rig.link.console.size
        ended = await result(rig, script("import sys\nx1 = __name__\nprint('hello', x1)\n%pwd\n!echo from the shell"))
        assert (ended.success, ended.msg, ended.traceback, ended.return_value) == (True, "", "", None)
        assert ended.time >= ended.time_start > 1e9
        assert await value(rig, "x1") == "__main__"
        _, text = rig.link.console.read(before, 10_000)
        assert b"hello __main__" in text
        assert b"from the shell" in text
        assert (await rig.link.status()).tasks == ()
        assert rig.pulled(ListsUpdated) == []

    run(scenario())


def test_what_a_failing_script_has_done_stays_done_and_the_traceback_shows_its_lines(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        text = "x2 = 'done'\ndef later(): yield\n\ndef f():\n    raise ValueError('no beam')  # here\n\nf()\nx2 = 'not reached'\n"
        ended = await result(rig, script(text, update_lists=True))
        assert not ended.success
        assert ended.msg == "Error occurred while executing 'Load script': Failed to execute stript: no beam"
        assert "line 5, in f\n    raise ValueError('no beam')  # here\n" in ended.traceback
        assert "line 7, in <module>\n    f()\n" in ended.traceback
        assert "jupyter_queueserver" not in ended.traceback
        assert ended.return_value is None
        assert "later" in rig.pulled(ListsUpdated)[-1].plans
        assert await value(rig, "x2") == "done"

    run(scenario())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = = 1", "invalid syntax"),
        ("import sys\nsys.exit(3)", "3"),
        ("exit_code = 1\nraise SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("x = 'a\0b'", "null bytes"),
        ("raise ExceptionGroup('several', [ValueError(1)])", "several"),
        ("class Odd(BaseException):\n    def __str__(self):\n        raise ValueError\n    __repr__ = __str__\nraise Odd", "Odd"),
        ("raise RuntimeError('half \\ud800')", "half"),
        ("def f(): f()\nf()", "recursion"),
    ],
)
def test_whatever_a_script_does_the_task_ends_and_the_worker_lives(shared: Any, text: str, words: str) -> None:
    rig, run = shared

    async def scenario() -> None:
        ended = await result(rig, script(text))
        assert not ended.success
        assert words in ended.msg
        assert ended.traceback
        assert len(ended.traceback) < 110_000
        assert await value(rig, "1 + 1") == 2

    run(scenario())


def test_a_script_may_redefine_a_plan_and_the_new_one_runs(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, _ = rig.paths()
        text = "def fresh(trace: str):\n    _write(trace, 'old')\n    yield from bps.null()\n"
        assert (await result(rig, script(text, update_lists=True))).success
        lists = rig.pulled(ListsUpdated)[-1]
        assert [parameter["name"] for parameter in lists.plans["fresh"]["parameters"]] == ["trace"]
        text = "def fresh(trace: str, word: str):\n    _write(trace, word)\n    yield from bps.null()\n"
        assert (await result(rig, script(text, update_lists=True))).success
        assert len(rig.pulled(ListsUpdated)[-1].plans["fresh"]["parameters"]) == 2
        uid = await rig.start("fresh", str(trace), "new")
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"
        assert trace.read_text() == "new\n"

    run(scenario())


def test_a_plan_that_cannot_be_described_fails_the_task_and_is_left_out_alone(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        text = "def good(): yield\ndef bad(x=object()): yield\n"
        ended = await result(rig, script(text, update_lists=True))
        assert not ended.success
        assert "1 plan(s) cannot be described" in ended.msg
        assert "bad" in ended.msg
        lists = rig.pulled(ListsUpdated)[-1]
        assert "good" in lists.plans
        assert "bad" not in lists.plans
        assert (await result(rig, script("del bad", update_lists=True))).success

    run(scenario())


def test_a_function_gets_its_arguments_and_its_value_comes_back(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        text = "def gives(*args, **kwargs):\n    return args, {1: kwargs}, float('nan'), 10**30\n"
        await result(rig, script(text))
        ended = await result(rig, function("gives", 1, "ü", x=[None]))
        assert ended.success
        assert ended.return_value is not None
        got = json.loads(ended.return_value)
        assert got[:2] == [[1, "ü"], {"1": {"x": [None]}}]
        assert got[2] != got[2]
        assert got[3] == 10**30
        assert await value(rig, "None") is None

    run(scenario())


@pytest.mark.parametrize(
    ("code", "call", "words"),
    [
        ("", function("nobody"), "'nobody' is not found"),
        ("number = 5", function("number"), "'number' in the worker namespace is not a function but int"),
        ("def odd(): return {1, 2}", function("odd"), "Task result can not be serialized as JSON: Object of type set"),
        ("def circle():\n    a = []\n    a.append(a)\n    return a", function("circle"), "can not be serialized as JSON"),
        (
            "def deep():\n    a = []\n    for _ in range(70): a = [a]\n    return a",
            function("deep"),
            "nested more than 64 levels deep",
        ),
        ("async def later(): return 1", function("later"), "can not be serialized as JSON: Object of type coroutine"),
        ("def big(): return 'x' * 5_000_000", function("big"), "at most 4194304 are kept"),
        ("def raises(): raise RuntimeError('no beam')", function("raises"), "'Execute function': no beam"),
        ("def one(a): pass", function("one"), "missing 1 required positional argument: 'a'"),
        ("import sys", function("one", 1, b=2), "unexpected keyword argument 'b'"),
    ],
)
def test_a_function_that_fails_says_why(shared: Any, code: str, call: Task, words: str) -> None:
    rig, run = shared

    async def scenario() -> None:
        assert (await result(rig, script(code))).success
        ended = await result(rig, call)
        assert not ended.success
        assert ended.msg.startswith("Error occurred while executing 'Execute function': ")
        assert words in ended.msg
        assert ended.return_value is None
        assert (ended.traceback == "") == ("raises" not in code and "def one" not in code and code != "import sys")

    run(scenario())


def test_a_background_task_works_beside_a_plan_and_a_foreground_one_is_refused(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        item = await rig.start("until", str(trace), str(go))
        await rig.until(RunOpened, item_uid=item)
        wait = f"import time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\n"
        waiting = await begin(rig, script(wait, background=True))
        ended = await result(rig, script("x3 = 3\ndef added(): yield", background=True, update_lists=True))
        assert ended.success
        assert "added" in rig.pulled(ListsUpdated)[-1].plans
        facts = await rig.link.status()
        assert (facts.running, facts.tasks) == (item, (waiting,))
        with pytest.raises(WorkerRefused) as refusal:
            await rig.link.start_task(script("x3 = 4"), rig.fence)
        assert refusal.value.code == "busy"
        with pytest.raises(WorkerRefused):
            await rig.link.close(rig.fence)
        go.touch()
        assert (await rig.until(ItemEnded, item_uid=item)).ending == "completed"
        await rig.wait_for(lambda: [rig._next((), {})] and rig.pulled(TaskEnded, task_uid=waiting))
        assert await value(rig, "x3") == 3

    run(scenario())


def test_a_task_is_done_once_however_often_it_is_handed_over(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        for background in (False, True):
            wanted = script("times = globals().get('times', 0) + 1", background=background)
            await result(rig, wanted)
            again = await rig.link.start_task(wanted, rig.fence)
            assert (again.accepted, again.fate) == (False, "ended")
        assert await value(rig, "times") == 2
        await rig.adopt()
        assert (await rig.link.start_task(wanted, rig.fence)).accepted is False
        with pytest.raises(WorkerRefused) as refusal:
            await rig.link.start_task(script("times = 0"), rig.fence - 1)
        assert refusal.value.code == "older_fence"

    run(scenario())


def test_an_interrupt_ends_a_task(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        _, here = rig.paths()
        for text in ("while True: pass", "import time; time.sleep(1000)", "import threading; threading.Event().wait()"):
            here.unlink(missing_ok=True)
            uid = await begin(rig, script(f"open({str(here)!r}, 'w').close()\n{text}\n"))
            await rig.wait_for(here.exists)
            with pytest.raises(WorkerRefused) as refusal:
                await rig.link.interrupt(rig.fence, plan=True, task=False)
            assert refusal.value.code == "task_running"
            assert (await rig.link.status()).tasks == (uid,)
            await rig.link.interrupt(rig.fence, plan=False, task=True)
            ended = await rig.until(TaskEnded, task_uid=uid)
            assert not ended.success
            assert "It was interrupted." in ended.msg
        await rig.link.interrupt(rig.fence, plan=False, task=False)  # idle: nothing happens
        assert await value(rig, "2") == 2

    run(scenario())


def test_an_interrupt_that_comes_at_once_is_not_lost(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        for _ in range(5):
            wanted = script("import time\ntime.sleep(1000)")
            await rig.link.start_task(wanted, rig.fence)
            await rig.link.interrupt(rig.fence, plan=False, task=True)
            ended = await rig.until(TaskEnded, task_uid=wanted.task_uid)
            assert ended.msg.endswith("It was interrupted.")
        assert await value(rig, "3") == 3

    run(scenario())


def test_a_plan_that_a_script_runs_can_be_paused_and_its_interrupt_ends_the_task(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        for pausing in (lambda: rig.link.pause(False, rig.fence), lambda: rig.link.interrupt(rig.fence, plan=False, task=True)):
            trace, go = rig.paths()
            uid = await begin(rig, script(f"RE(until({str(trace)!r}, {str(go)!r}))"))
            await rig.wait_for(trace.exists)
            await pausing()
            ended = await rig.until(TaskEnded, task_uid=uid)
            assert not ended.success
            assert rig.pulled(EngineState)[-1].state == "paused"
            assert (await result(rig, script("RE.abort()"))).success
            assert rig.pulled(EngineState)[-1].state == "idle"

    run(scenario())


def test_a_task_that_swallows_interrupts_or_blocks_in_c_holds_up_nobody_else(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        _, here = rig.paths()
        _, go = rig.paths()
        text = (
            f"import time\nswallowed = 0\nopen({str(here)!r}, 'w').close()\nwhile not os.path.exists({str(go)!r}):\n"
            "    try:\n        time.sleep(0.01)\n    except KeyboardInterrupt:\n        swallowed += 1\n"
        )
        uid = await begin(rig, script(text))
        await rig.wait_for(here.exists)
        for _ in range(3):
            await rig.link.interrupt(rig.fence, plan=False, task=True)
            assert (await rig.link.status()).tasks == (uid,)
        go.touch()
        assert (await rig.until(TaskEnded, task_uid=uid)).success
        assert 1 <= await value(rig, "swallowed") <= 3
        # C code that holds the main thread, but not Python's lock, and does not look at signals
        blocks = (
            f"import ctypes\nopen({str(here)!r} + '2', 'w').close()\n"
            "for _ in range(100):\n    ctypes.CDLL(None).poll(None, 0, 300)\n"
        )
        uid = await begin(rig, script(blocks))
        await rig.wait_for((here.parent / f"{here.name}2").exists)
        await rig.link.interrupt(rig.fence, plan=False, task=True)
        assert not (await rig.until(TaskEnded, task_uid=uid)).success

    run(scenario())


def test_an_interrupt_pauses_a_plan_at_once(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        item = await rig.start("until", str(trace), str(go))
        await rig.until(RunOpened, item_uid=item)
        with pytest.raises(WorkerRefused) as refusal:
            await rig.link.interrupt(rig.fence, plan=False, task=True)
        assert refusal.value.code == "plan_running"
        await rig.link.interrupt(rig.fence, plan=True, task=False)
        await rig.until(ItemPaused, item_uid=item)
        await rig.link.interrupt(rig.fence, plan=False, task=False)  # the kernel is idle
        await rig.link.continue_("abort", rig.fence)
        assert (await rig.until(ItemEnded, item_uid=item)).ending == "aborted"

    run(scenario())


def test_an_interrupt_ends_a_cell_and_a_busy_kernel_refuses_foreground_tasks(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        _, here = rig.paths()
        shell = rig.stranger("shell")
        cell = asyncio.ensure_future(run_cell(shell, f"open({str(here)!r}, 'w').close()\nwhile True: pass"))
        await rig.wait_for(here.exists)
        with pytest.raises(WorkerRefused) as refusal:
            await rig.link.start_task(script("pass"), rig.fence)
        assert refusal.value.code == "kernel_busy"
        assert (await result(rig, script("x4 = 4", background=True))).success
        await rig.link.interrupt(rig.fence, plan=False, task=False)
        assert (await cell)["ename"] == "KeyboardInterrupt"
        await shell.close()

    run(scenario())


def test_a_script_makes_a_new_engine_only_if_it_may(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        await result(rig, script("kept, kept_md = RE, RE.md"))
        assert (await result(rig, script("RE = RunEngine({}); db = 5; raise ValueError"))).success is False
        assert await value(rig, "[RE is kept, 'db' in globals()]") == [True, False]
        scan_id = await value(rig, "RE.md.get('scan_id', 0)")
        ended = await result(rig, script("RE = RunEngine({}); db = 5", update_re=True))
        assert ended.success, ended.msg
        assert await value(rig, "[RE is kept, db, kept.preprocessors, kept.state_hook]") == [False, 5, [], None]
        trace, go = rig.paths()
        go.touch()
        item = await rig.start("until", str(trace), str(go))
        ended_item = await rig.until(ItemEnded, item_uid=item)
        assert ended_item.ending == "completed"
        assert ended_item.scan_ids == (scan_id + 1,)  # the metadata persist in the new one too
        failed = await result(rig, script("RE = 5", update_re=True))
        assert "'RE' in the namespace is not a RunEngine but int." in failed.msg
        refused = await rig.until(ItemEnded, item_uid=await rig.start("noop"))
        assert refused.ending == "refused"
        assert "not a RunEngine" in refused.msg
        assert (await result(rig, script("del RE", update_re=True))).success
        assert rig.pulled(EngineState)[-1].state is None
        assert (await result(rig, script("RE = kept", background=True, update_re=True))).success
        await rig.wait_for(lambda: [rig._next((), {})] and rig.pulled(EngineState)[-1].state == "idle")
        item = await rig.start("noop")
        assert (await rig.until(ItemEnded, item_uid=item)).ending == "completed"

    run(scenario())


def test_a_cell_that_awaits_holds_the_kernel_to_its_end(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        before = len(rig.pulled(CellState))
        cell = rig.stranger("shell")
        reply = await run_cell(cell, "import asyncio\nawait asyncio.sleep(0.3)\nawaited = 5")
        await cell.close()
        assert reply["status"] == "ok", reply
        assert await value(rig, "awaited") == 5
        begun, ended = rig.pulled(CellState)[before:]
        assert (begun.running, ended.running) == (True, False)
        assert ended.time - begun.time >= 0.3

    run(scenario())


def test_update_tells_the_lists_again(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        cell = rig.stranger("shell")
        await run_cell(cell, "def by_hand(): yield")
        await cell.close()
        assert (await result(rig, task("update", False))).success
        assert "by_hand" in rig.pulled(ListsUpdated)[-1].plans
        assert (await result(rig, task("update", True))).success

    run(scenario())


def test_metadata_are_read_while_a_plan_runs(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        await result(rig, script("RE.md['sample'] = {'name': 'Cu', 'x': float('nan')}; RE.md['array'] = {1, 2}"))
        _, go = rig.paths()
        item = await rig.start("blocks", str(go))
        await rig.until(EngineState, state="running")
        assert json.loads(await rig.link.metadata(("/sample/name", "/nothing"))) == {"sample": {"name": "Cu"}}
        assert json.loads(await rig.link.metadata(())) == {}
        with pytest.raises(WorkerRefused) as refusal:
            await rig.link.metadata(("/",))
        assert refusal.value.code == "metadata_not_json"
        assert refusal.value.msg == "Failed to serialize RE metadata with JSON: Object of type set is not JSON serializable"
        go.touch()
        await rig.until(ItemEnded, item_uid=item)
        await result(rig, script("del RE.md['array']"))
        everything = json.loads(await rig.link.metadata(("/",)))
        assert everything["sample"]["name"] == "Cu"
        assert "versions" in everything

    run(scenario())


def test_metadata_that_take_for_ever_block_nobody(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        _, go = rig.paths()
        text = (
            "import collections, time\nclass Slow(collections.UserDict):\n    def keys(self):\n"
            f"        while not os.path.exists({str(go)!r}):\n            time.sleep(0.01)\n        return []\n"
            "kept_md = RE.md\nRE.md = Slow()\n"
        )
        assert (await result(rig, script(text))).success
        with pytest.raises(WorkerRefused) as refusal:
            await rig.link.metadata(("/",))
        assert refusal.value.code == "metadata_slow"
        go.touch()
        assert (await result(rig, script("RE.md = kept_md"))).success

    run(scenario())


def test_closing_does_not_wait_for_background_tasks(rig: Any) -> None:
    made, run = rig

    async def scenario() -> None:
        await made.open()
        uid = await begin(made, script("import time\ntime.sleep(1000)", background=True))
        await begin(made, function("print", background=True))
        await made.link.close(made.fence)
        async with asyncio.timeout(15.0):
            assert await made.link.died == "The worker process ended with exit code 0."
        assert made.pulled(TaskEnded, task_uid=uid) == []

    run(scenario())
