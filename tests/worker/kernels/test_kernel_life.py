"""Exactly-once start, adoption, strangers, deaths: real kernels and real kills."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from typing import Any

import msgspec
import pytest
from kernel_rig import run_cell

from jupyter_queueserver.core.errors import WorkerRefused
from jupyter_queueserver.core.reports import (
    EnvironmentClosed,
    EnvironmentFailed,
    EnvironmentReady,
    ItemEnded,
    ItemPaused,
    ItemTaken,
    RunOpened,
    StartupLoading,
)
from jupyter_queueserver.link.environment import read_environment, remove_environment, write_environment
from jupyter_queueserver.link.errors import NotAdoptable, WorkerUnreachable
from jupyter_queueserver.link.launch import ENDED, read_connection_file
from jupyter_queueserver.link.messages import REQUEST_TYPE, Hello, Status, to_content
from jupyter_queueserver.link.worker import WorkerLink, spool_of
from jupyter_queueserver.worker.ledger import read_ledger

pytestmark = pytest.mark.timeout(60)


async def refusal(request: Any) -> str:
    with pytest.raises(WorkerRefused) as caught:
        await request
    return caught.value.code


def test_the_same_item_is_never_run_twice(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        item = rig.item("until", str(trace), str(go))
        first, second = await asyncio.gather(rig.link.start(item, rig.fence), rig.link.start(item, rig.fence))
        assert [first.accepted, second.accepted] == [True, False]
        await rig.wait_for(trace.exists)
        assert (await rig.link.start(item, rig.fence)).fate == "taken"
        go.touch()
        await rig.until(ItemEnded, item_uid=item.item_uid)
        assert (await rig.link.start(item, rig.fence)).fate == "ended"
        later = await rig.start("noop")
        await rig.until(ItemEnded, item_uid=later)
        assert trace.read_text() == "begin\nend\n"
        assert len(rig.pulled(ItemTaken, item_uid=item.item_uid)) == 1

    run(scenario())


@pytest.mark.parametrize("lost_reply", [False, True])
def test_manager_dies_between_accept_and_take(shared: Any, lost_reply: bool) -> None:
    """A cell holds the kernel; the next manager finds the item accepted, and it runs once."""
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        _, release = rig.paths()
        cell = rig.stranger("shell")
        code = f"import os, time\nwhile not os.path.exists({str(release)!r}): time.sleep(0.01)"
        running = asyncio.create_task(run_cell(cell, code))
        while not (await rig.link.status()).cell_running:
            pass
        item = rig.item("until", str(trace), str(go))
        if lost_reply:  # the manager dies with the request under way
            request = asyncio.create_task(rig.link.start(item, rig.fence))
            await rig.wait_for(lambda: item.item_uid in read_ledger(rig.link.record.accepted))
            request.cancel()
        else:
            assert (await rig.link.start(item, rig.fence)).accepted
        link = await rig.adopt()
        assert link.facts.accepted == item.item_uid
        assert (await link.start(item, rig.fence)) == msgspec.structs.replace(
            await link.start(item, rig.fence), accepted=False, fate="accepted"
        )
        release.touch()
        await running
        await cell.close()
        go.touch()
        ended = await rig.until(ItemEnded, item_uid=item.item_uid)
        assert ended.ending == "completed"
        assert trace.read_text() == "begin\nend\n"
        assert len(rig.pulled(ItemTaken, item_uid=item.item_uid)) == 1

    run(scenario())


def test_an_accepted_item_can_be_withdrawn_until_it_is_taken(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        _, release = rig.paths()
        cell = rig.stranger("shell")
        code = f"import os, time\nwhile not os.path.exists({str(release)!r}): time.sleep(0.01)"
        running = asyncio.create_task(run_cell(cell, code))
        while not (await rig.link.status()).cell_running:
            pass
        assert await refusal(rig.link.close(rig.fence)) == "kernel_busy"
        withdrawn = await rig.start("noop")
        await rig.link.withdraw(withdrawn, rig.fence)
        other = await rig.start("noop")
        release.touch()
        await running
        await cell.close()
        await rig.until(ItemEnded, item_uid=other)
        assert not rig.pulled(ItemTaken, item_uid=withdrawn)

    run(scenario())


def test_a_replaced_manager_is_refused(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        old = await WorkerLink.adopt(rig.instance, rig.fence)
        await rig.adopt()
        assert await refusal(old.start(rig.item("noop"), rig.fence - 1)) == "older_fence"
        assert await refusal(old.start(rig.item("noop"), rig.fence)) == "not_manager"
        assert await refusal(old.hello(rig.fence - 1)) == "older_fence"
        await old.detach()
        uid = await rig.start("noop")
        await rig.until(ItemEnded, item_uid=uid)
        assert [report.item_uid for report in rig.pulled(ItemTaken)][-1] == uid

    run(scenario())


def test_strangers_cannot_command_and_nonsense_is_refused(shared: Any) -> None:
    rig, run = shared

    async def scenario() -> None:
        stranger = rig.stranger()
        head = {"environment_id": rig.link.environment_id, "fence": rig.fence}

        async def answer(content: Any) -> str:
            return (await stranger.request(REQUEST_TYPE, content, 5))["code"]

        assert await answer(to_content(Status(**head))) == "not_manager"
        assert await answer(to_content(Hello(**head, nonce="guessed"))) == "wrong_nonce"
        assert await answer({**to_content(Status(**head)), "environment_id": "x"}) == "wrong_environment"
        too_old = to_content(Hello(**head, nonce=rig.link.record.nonce, protocol=0))
        assert await answer(too_old) == "wrong_protocol"
        for nonsense in (
            {},
            {"request": "hello"},
            {"request": "dance", **head},
            {"request": "status", **head, "fence": "7"},
            {"request": "status", **head, "extra": 1},
            {"request": "ack", **head, "n": None},
            {"request": ["status"]},
        ):
            assert await answer(nonsense) == "malformed_request"
        await stranger.close()
        assert (await rig.link.status()).phase == "open"

    run(scenario())


@pytest.mark.parametrize("channel", ["control", "shell"])
def test_foreign_shutdown_and_interrupt_do_nothing(shared: Any, channel: str) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        uid = await rig.start("until", str(trace), str(go))
        await rig.wait_for(trace.exists)
        stranger = rig.stranger(channel)
        requests = [
            asyncio.create_task(stranger.request(kind, content, 20))
            for kind, content in (
                ("interrupt_request", {}),
                ("shutdown_request", {"restart": False}),
                ("shutdown_request", {"restart": True}),
            )
        ]
        if channel == "control":
            replies = await asyncio.gather(*requests)
        go.touch()
        ended = await rig.until(ItemEnded, item_uid=uid)
        assert ended.ending == "completed"
        replies = await asyncio.gather(*requests)
        assert [reply["status"] for reply in replies] == ["error"] * 3
        assert "obeys its manager only" in replies[0]["evalue"]
        cell = rig.stranger("shell")
        assert (await run_cell(cell, "exit"))["status"] == "ok"
        await cell.close()
        await stranger.close()
        next_uid = await rig.start("noop")
        assert (await rig.until(ItemEnded, item_uid=next_uid)).ending == "completed"

    run(scenario())


@pytest.mark.parametrize("paused", [False, True])
def test_adoption_in_mid_plan(shared: Any, paused: bool) -> None:
    rig, run = shared

    async def scenario() -> None:
        trace, go = rig.paths()
        uid = await rig.start("until", str(trace), str(go))
        await rig.wait_for(trace.exists)
        if paused:
            await rig.link.pause(False, rig.fence)
            await rig.until(ItemPaused, item_uid=uid)
        link = await rig.adopt()
        assert (link.adopted, link.facts.running) == (True, uid)
        assert link.facts.engine == ("paused" if paused else "running")
        assert [number for number, _ in link.reports_since(0)] == list(range(1, link.facts.last_report + 1))
        go.touch()
        if paused:
            await link.continue_("resume", rig.fence)
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"

    run(scenario())


def test_only_the_recorded_process_is_adopted(shared: Any) -> None:
    rig, run = shared

    async def reason(**changes: Any) -> str:
        record = read_environment(rig.instance)
        assert record is not None
        write_environment(rig.instance, msgspec.structs.replace(record, **changes))
        try:
            with pytest.raises(NotAdoptable) as caught:
                await WorkerLink.adopt(rig.instance, rig.fence)
        finally:
            write_environment(rig.instance, record)
        return caught.value.reason

    async def scenario() -> None:
        known = rig.link.identity
        replace = msgspec.structs.replace
        assert "restarted" in await reason(identity=replace(known, boot_id="another"))
        assert "container" in await reason(identity=replace(known, namespace="pid:[1]"))
        assert "ended" in await reason(identity=replace(known, started=known.started + 1))
        assert "greeting" in await reason(nonce="another")
        other = replace(known, **{f: getattr(_own_identity(), f) for f in ("pid", "started")})
        assert "Another process answered" in await reason(identity=other)
        await rig.adopt()

    run(scenario())


def _own_identity() -> Any:
    from jupyter_queueserver.instance import identity_of

    return identity_of()


@pytest.mark.parametrize("pidfd", [True, False])
def test_a_killed_worker_is_seen_at_once_and_its_reports_remain(rig: Any, pidfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, run = rig
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    sockets: list[str] = []

    async def scenario() -> None:
        await rig.open()
        trace, go = rig.paths()
        uid = await rig.start("until", str(trace), str(go))
        await rig.wait_for(trace.exists)
        adopted = await WorkerLink.adopt(rig.instance, rig.fence)
        os.kill(rig.link.pid, signal.SIGKILL)
        reason = await rig.link.died
        assert reason.startswith("The worker process was killed by signal 9 (SIGKILL), ")
        assert re.search(r"by the system for lack of memory: it had used up to [1-9]\d+ MB of memory\.$", reason)
        assert (await adopted.died).startswith(ENDED)
        with pytest.raises(WorkerUnreachable):
            await rig.link.status()
        reports = [report for _, report in spool_of(rig.link.record).since(0)]
        assert [r.item_uid for r in reports if isinstance(r, RunOpened)] == [uid]
        assert not [r for r in reports if isinstance(r, ItemEnded)]
        assert read_ledger(rig.link.record.accepted) == {uid: "taken"}
        with pytest.raises(NotAdoptable) as caught:
            await WorkerLink.adopt(rig.instance, rig.fence)
        assert (caught.value.reason, caught.value.alive) == (ENDED, False)
        info = read_connection_file(rig.link.record)
        await adopted.kill()
        await adopted.detach()
        sockets.extend(info.socket_files())

    run(scenario())
    assert len(sockets) == 5
    assert not [name for name in sockets if os.path.exists(name)]


def test_close_ends_the_process_in_order_and_metadata_stay(rig: Any) -> None:
    rig, run = rig

    async def scan_id() -> int:
        trace, go = rig.paths()
        go.touch()
        await rig.start("until", str(trace), str(go))
        return (await rig.until(ItemEnded)).scan_ids[0]

    async def scenario() -> None:
        await rig.open()
        first = await scan_id()
        await rig.link.close(rig.fence)
        assert await rig.link.died == "The worker process ended with exit code 0."
        await rig.until(EnvironmentClosed)
        await rig.link.detach()
        await rig.open()
        assert await scan_id() == first + 1

    run(scenario())


BROKEN = "import os\nx = 1\n\ndef inner():\n    raise LookupError('no such motor')\n\n\ninner()\n"


def test_startup_code_that_raises_is_reported_with_file_line_and_traceback(rig: Any) -> None:
    rig, run = rig

    async def scenario() -> None:
        await rig.launch(BROKEN)
        report = await rig.until(EnvironmentFailed)
        assert await rig.link.died == "The worker process ended with exit code 3."
        assert report.msg == "Startup code '00-plans.py', line 8 failed: LookupError: no such motor"
        assert "line 5, in inner\n    raise LookupError('no such motor')" in report.traceback
        assert "loader.py" not in report.traceback
        (file,) = report.files
        assert (file.name, file.line, file.error) == ("00-plans.py", 8, "LookupError: no such motor")
        assert report.msg in rig.link.console.read(0, 100_000)[1].decode()

    run(scenario())


def test_an_orphan_ends_itself_but_not_before_its_plan(rig: Any) -> None:
    rig, run = rig

    async def scenario() -> None:
        await rig.open(orphan_check_seconds=0.1)
        trace, go = rig.paths()
        uid = await rig.start("until", str(trace), str(go))
        await rig.wait_for(trace.exists)
        remove_environment(rig.instance)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(rig.link.died), 0.5)
        go.touch()
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"
        async with asyncio.timeout(15):
            assert await rig.link.died == "The worker process ended with exit code 0."
        await rig.until(EnvironmentClosed)

    run(scenario())


def test_the_control_channel_answers_while_startup_code_loads(rig: Any) -> None:
    rig, run = rig

    async def scenario() -> None:
        _, go = rig.paths()
        await rig.launch(f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n")
        assert rig.link.facts.phase == "loading"
        assert await refusal(rig.link.start(rig.item("noop"), rig.fence)) == "not_open"
        loading = await rig.until(StartupLoading)
        assert (loading.name, loading.number, loading.count) == ("00-plans.py", 1, 1)
        go.touch()
        await rig.until(EnvironmentReady)
        assert (await rig.link.status()).phase == "open"
        assert await rig.link.kill() == "The worker process was killed by signal 9 (SIGKILL)."

    run(scenario())


OWN_ENGINE = """
import os
from bluesky.run_engine import RunEngine
import bluesky.plan_stubs as bps
states = []
RE = RunEngine({"proposal": 5})
RE.state_hook = lambda new, old: states.append(str(new))


def noop():
    yield from bps.null()


def crash():
    yield from bps.null()
    print("last words of Python")
    os.abort()
"""


def test_an_engine_of_the_startup_code_is_kept_and_last_words_are_heard(rig: Any) -> None:
    rig, run = rig

    async def scenario() -> None:
        await rig.open(OWN_ENGINE)
        await rig.start("noop")
        assert (await rig.until(ItemEnded)).ending == "completed"
        cell = rig.stranger("shell")
        code = "assert states == ['running', 'idle'] and type(RE.md) is dict and RE.md['proposal'] == 5, (states, RE.md)"
        reply = await run_cell(cell, code)
        await cell.close()
        assert reply["status"] == "ok", reply
        await rig.start("crash")
        assert await rig.link.died == "The worker process was killed by signal 6 (SIGABRT)."
        text = rig.link.console.read(0, 100_000)[1].decode()
        assert "last words of Python" in text
        assert "Fatal Python error: Aborted" in text

    run(scenario())


def test_a_worker_is_adopted_though_its_launcher_died_before_it_noted_it(rig: Any) -> None:
    rig, run = rig

    async def scenario() -> None:
        await rig.open()
        record = read_environment(rig.instance)
        assert record is not None
        write_environment(rig.instance, msgspec.structs.replace(record, identity=None))
        link = await rig.adopt()
        assert link.pid == link.facts.pid
        uid = await rig.start("noop")
        assert (await rig.until(ItemEnded, item_uid=uid)).ending == "completed"

    run(scenario())
