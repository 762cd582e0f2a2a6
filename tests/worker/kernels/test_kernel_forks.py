"""Forked children of users' code that return: they end, and the worker goes on as if there were none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kernel_rig import STARTUP, Rig, run_cell

from jupyter_queueserver.core.reports import EnvironmentReady, ItemEnded, RunClosed, RunOpened, TaskEnded
from jupyter_queueserver.core.tasks import Task, TaskKind
from jupyter_queueserver.documents.reader import JournalReader
from jupyter_queueserver.link.accepted import LedgerLine, read_ledger

FORKS = '''
import multiprocessing
import time

forked = os.fork()
if forked:
    STARTUP_CODE = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])


def _note(path, pid):
    """The parent writes how the child has ended; by then all that it did is done."""
    _write(path, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def forker(path: str, how: str):
    """The child comes back in one of many ways."""

    @bpp.run_decorator()
    def inner():
        yield from bps.null()
        pid = os.fork()
        if pid == 0:
            if how == "return":
                return
            if how == "deep" and os.fork() == 0:
                return
            if how == "clean up":
                raise RuntimeError("the steps of the clean-up are not for the child")
            if how == "_exit":
                os._exit(6)
            if how == "exec":
                os.execv("/bin/true", ["true"])
            yield from bps.sleep(0)
            _write(path, "a message of the child was obeyed")
        _note(path, pid)
        yield from bps.checkpoint()

    return (yield from inner())


def bare_forker(path: str, how: str):
    """Outside of a run: nothing is cleaned up."""
    yield from bps.null()
    pid = os.fork()
    if pid == 0:
        if how == "raise":
            raise RuntimeError("in the child")
        sys.exit(5)
    _note(path, pid)


class Forking:
    """A device that forks; its child returns into the RunEngine itself."""

    name = "forking"
    parent = None
    path = ""

    def trigger(self):
        from ophyd.status import Status

        pid = os.fork()
        if pid:
            _note(self.path, pid)
        status = Status()
        status.set_finished()
        return status


def device_forker(path: str):
    device = Forking()
    device.path = path
    yield from bps.trigger(device, wait=False)
    yield from bps.checkpoint()


def _work(path):
    _write(path, "process")


def processes(path: str):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_work, args=(path,))
    process.start()
    yield from bps.null()
    process.join()
    with context.Pool(1) as pool:
        assert pool.map(abs, [-1, 2]) == [1, 2]
    _write(path, str(process.exitcode))


def forking_function():
    pid = os.fork()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else "child"
'''


pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def forking(loop_runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An environment whose startup code has forked a child that came back."""

    async def make() -> Rig:
        made = Rig(tmp_path_factory.mktemp("forking"))
        await made.open(STARTUP + FORKS)
        return made

    made = loop_runner.run(make())
    yield made, loop_runner.run
    loop_runner.run(made.aclose())


async def undisturbed(rig: Any) -> None:
    """Another plan runs, and the worker's files tell of one worker only."""
    uid = await rig.start("noop")
    assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"
    assert rig.link.damage is None
    assert rig.link.take_contradiction() is None
    fates = [(line.uid, line.fate) for line in ledger_of(rig)]
    assert len(fates) == len(set(fates))


def ledger_of(rig: Any) -> list[LedgerLine]:
    path = rig.instance.environment_dir(rig.link.environment_id) / "accepted.log"
    assert read_ledger(path)
    return [msgspec.json.decode(line, type=LedgerLine) for line in path.read_bytes().splitlines()]


async def lines(rig: Any, path: Path, count: int = 1) -> list[str]:
    """Lines of a file, as soon as there are so many."""

    def read() -> list[str]:
        found = path.read_text().splitlines() if path.exists() else []
        return found if len(found) >= count else []

    return await rig.wait_for(read)


async def done(rig: Any, uid: str, kind: TaskKind, *, background: bool, **payload: Any) -> TaskEnded:
    wanted = Task(task_uid=uid, kind=kind, background=background, time_start=1.0, payload=json.dumps(payload))
    assert (await rig.link.start_task(wanted, rig.fence)).accepted
    return await rig.until(TaskEnded, task_uid=uid)


def test_startup_code_whose_child_returns(forking: Any) -> None:
    rig, run = forking

    async def scenario() -> None:
        assert len(rig.pulled(EnvironmentReady)) == 1
        cell = rig.stranger("shell")
        reply = await run_cell(cell, "assert STARTUP_CODE == 0, STARTUP_CODE")
        await cell.close()
        assert reply["status"] == "ok", reply
        await undisturbed(rig)

    run(scenario())


@pytest.mark.parametrize(
    ("how", "code"),
    [("return", 0), ("deep", 0), ("yield", 0), ("clean up", 0), ("_exit", 6), ("exec", 0)],
)
def test_a_plan_whose_child_returns(forking: Any, how: str, code: int) -> None:
    rig, run = forking

    async def scenario() -> None:
        path, _ = rig.paths()
        uid = await rig.start("forker", str(path), how)
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert ended.ending == "completed", ended
        assert await lines(rig, path) == [str(code)]
        assert len(rig.pulled(RunOpened, item_uid=uid)) == len(rig.pulled(RunClosed, item_uid=uid)) == 1
        await undisturbed(rig)

    run(scenario())


@pytest.mark.parametrize(("how", "code"), [("raise", 1), ("exit", 5)])
def test_how_a_child_ends_is_kept(forking: Any, how: str, code: int) -> None:
    rig, run = forking

    async def scenario() -> None:
        path, _ = rig.paths()
        before = rig.link.console.size
        uid = await rig.start("bare_forker", str(path), how)
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"
        assert await lines(rig, path) == [str(code)]
        _, text = rig.link.console.read(before, 100_000)
        assert (b"RuntimeError: in the child" in text) == (how == "raise")
        await undisturbed(rig)

    run(scenario())


def test_the_journal_holds_each_document_once(forking: Any) -> None:
    rig, run = forking

    async def scenario() -> None:
        path, _ = rig.paths()
        uid = await rig.start("forker", str(path), "return")
        (run_uid,) = (await rig.until(ItemEnded, item_uid=uid)).run_uids
        entries = list(JournalReader(rig.instance.journal))
        names = [entry.name for entry in entries if run_uid in (entry.doc["uid"], entry.doc.get("run_start"))]
        assert [entry.seq for entry in entries] == list(range(entries[0].seq, entries[0].seq + len(entries)))
        assert names == ["start", "stop"]

    run(scenario())


def test_a_device_whose_child_returns(forking: Any) -> None:
    rig, run = forking

    async def scenario() -> None:
        path, _ = rig.paths()
        uid = await rig.start("device_forker", str(path))
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"
        assert await lines(rig, path) == ["0"]
        await undisturbed(rig)

    run(scenario())


def test_multiprocessing_works_in_a_plan(forking: Any) -> None:
    rig, run = forking

    async def scenario() -> None:
        path, _ = rig.paths()
        uid = await rig.start("processes", str(path))
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert ended.ending == "completed", ended
        assert await lines(rig, path, 2) == ["process", "0"]
        await undisturbed(rig)

    run(scenario())


@pytest.mark.parametrize("background", [False, True])
def test_a_task_whose_child_returns(forking: Any, background: bool) -> None:
    rig, run = forking

    async def scenario() -> None:
        path, _ = rig.paths()
        text = f"pid = os.fork()\nif pid:\n    _note({str(path)!r}, pid)\n"
        options = {"script": text, "update_lists": False, "update_re": False}
        ended = await done(rig, f"script-{background}", "script", background=background, **options)
        assert ended.success, ended
        assert await lines(rig, path) == ["0"]
        options = {"name": "forking_function", "args": [], "kwargs": {}}
        ended = await done(rig, f"function-{background}", "function", background=background, **options)
        assert (ended.success, ended.return_value) == (True, "0"), ended
        await undisturbed(rig)

    run(scenario())


def test_a_cell_whose_child_returns(forking: Any) -> None:
    rig, run = forking

    async def scenario() -> None:
        path, _ = rig.paths()
        cell = rig.stranger("shell")
        reply = await run_cell(cell, f"pid = os.fork()\nif pid:\n    _note({str(path)!r}, pid)\n")
        assert reply["status"] == "ok", reply
        assert await lines(rig, path) == ["0"]
        await cell.close()
        await undisturbed(rig)

    run(scenario())
