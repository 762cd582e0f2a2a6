"""Requests with an id at the manager: done once, whenever the retry comes and whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from manager_parts import Rig, open_state, rig

from jupyter_queueserver.api import Context
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.changes import QueueInserted, RequestRecorded, apply
from jupyter_queueserver.core.effects import AnyEffect, StopManager
from jupyter_queueserver.core.errors import StoreUnavailable, WorkerRefused
from jupyter_queueserver.core.requests import RequestRecord, packed
from jupyter_queueserver.core.rules import requests as rules
from jupyter_queueserver.core.rules.requests import KEPT, PROMISED
from jupyter_queueserver.manager.replies import Answerer
from jupyter_queueserver.manager.requests import Recent
from jupyter_queueserver.manager.writer import Writer

STOP = {"item_type": "instruction", "name": "queue_stop"}
BATCH = {"items": [STOP, STOP], "user": "me", "user_group": "primary"}


def answerer_of(made: Rig) -> Answerer:
    return Answerer(made.writer, lambda: Context(epoch="e", version="0", local_time=str))


async def ask(answerer: Answerer, method: str, request_id: str | None = "r", encoding: Any = "json", **params: Any) -> Any:
    request = {"method": method, "params": params | {"request_id": request_id}}
    if encoding == "msgpack":
        return codec.from_msgpack(await answerer.answer(codec.to_msgpack(request), "msgpack"))
    return codec.from_json(await answerer.answer(codec.python_json(request)))


def run(story: Callable[[Rig, Answerer], Any], *queued: str, running: str | None = None) -> None:
    async def main() -> None:
        async with rig(open_state(*queued, running=running)) as made:
            await story(made, answerer_of(made))

    asyncio.run(main())


def test_a_retry_is_answered_from_the_store_in_both_encodings() -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        first = await ask(answerer, "queue_item_add_batch", **BATCH)
        assert first["success"]
        seq = made.writer.state.seq
        assert await ask(answerer, "queue_item_add_batch", **BATCH) == first
        assert await ask(answerer, "queue_item_add_batch", encoding="msgpack", **BATCH) == first
        assert made.writer.state.seq == seq
        assert len(made.writer.state.queue) == 2

    run(story)


def test_what_it_did_and_that_it_was_done_are_one_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[list[type]] = []

    async def story(made: Rig, answerer: Answerer) -> None:
        commit = made.store.commit
        monkeypatch.setattr(
            made.store, "commit", lambda changes, after: (commits.append([*map(type, changes)]), commit(changes, after))
        )
        await ask(answerer, "queue_item_add_batch", **BATCH)

    run(story)
    assert commits == [[QueueInserted, RequestRecorded]]


def test_retries_that_come_at_once_get_the_one_answer() -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        replies = await asyncio.gather(*(ask(answerer, "queue_item_add_batch", **BATCH) for _ in range(20)))
        assert all(reply == replies[0] for reply in replies)
        assert len(made.writer.state.queue) == 2

    run(story)


def test_another_request_with_the_id_of_one_under_way_is_refused() -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        first, other = await asyncio.gather(ask(answerer, "queue_item_add_batch", **BATCH), ask(answerer, "queue_clear"))
        assert first["success"]
        assert other["error"]["code"] == "request_id_reused"
        assert len(made.writer.state.queue) == 2

    run(story)


def test_who_asked_first_may_go_away() -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        first = asyncio.create_task(ask(answerer, "queue_item_add_batch", **BATCH))
        second = asyncio.create_task(ask(answerer, "queue_item_add_batch", **BATCH))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)["success"]
        assert len(made.writer.state.queue) == 2

    run(story)


class SlowWorker:
    """Answers an effect when it is told to."""

    def __init__(self, made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.effects: list[AnyEffect] = []
        self.begun = asyncio.Event()
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(made.writer, "_act", self._act)

    def _act(self, effect: AnyEffect) -> asyncio.Task[None]:
        self.effects.append(effect)
        self.begun.set()
        return asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        await asyncio.shield(self.answer)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_retry_waits_for_the_worker_too(refuses: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        worker = SlowWorker(made, monkeypatch)
        first = asyncio.create_task(ask(answerer, "script_upload", script="x = 1"))
        await worker.begun.wait()
        retry = asyncio.create_task(ask(answerer, "script_upload", script="x = 1"))
        await asyncio.sleep(0)
        assert not retry.done()
        if refuses:
            worker.answer.set_exception(WorkerRefused("No.", code="kernel_busy"))
        else:
            worker.answer.set_result(None)
        one, two = await asyncio.gather(first, retry)
        assert one == two
        assert one["success"] is not refuses
        assert len(worker.effects) == 1
        # what the worker refused is judged anew, everything else is known
        assert len(made.writer.state.requests) == (0 if refuses else 1)
        assert made.store.request_reply("r") is None or not refuses

    run(story)


def test_a_refused_commit_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        def fail(*_: Any) -> None:
            raise StoreUnavailable("The disk is full.")

        await ask(answerer, "queue_item_add_batch", "before", **BATCH)
        with monkeypatch.context() as broken:
            broken.setattr(made.store, "commit", fail)
            refused = await ask(answerer, "queue_item_add_batch", **BATCH)
            assert refused["error"]["code"] == "store_unavailable"
        assert (await ask(answerer, "queue_item_add_batch", **BATCH))["success"]
        assert len(made.writer.state.queue) == 4

    run(story)


def test_what_is_done_without_the_store_is_known_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        def fail(*_: Any) -> None:
            raise StoreUnavailable("The disk is full.")

        with monkeypatch.context() as broken:
            broken.setattr(made.store, "commit", fail)
            paused = await ask(answerer, "re_pause", option="immediate")
            assert paused["success"]
            assert await ask(answerer, "re_pause", option="immediate") == paused
        assert len(made.effects) == 1
        await ask(answerer, "queue_clear", None)  # takes everything along
        assert made.store.request_reply("r") == codec.to_json(paused)

    run(story, running="a")


def test_a_retry_of_the_end_is_answered_while_the_manager_ends() -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        first = await ask(answerer, "manager_stop")
        assert first["success"]
        assert await ask(answerer, "manager_stop") == first
        assert (await ask(answerer, "manager_stop", "another"))["error"]["code"] == "manager_ending"
        assert [effect for effect in made.effects if isinstance(effect, StopManager)] == [StopManager()]

    run(story)


def test_a_new_manager_on_the_same_store_knows_the_request() -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        first = await ask(answerer, "queue_item_add_batch", **BATCH)
        loaded = made.store.load()
        assert loaded is not None
        writer = Writer(made.store, loaded, made, made._act, lambda: None)
        running = asyncio.create_task(writer.run())
        again = Answerer(writer, lambda: Context(epoch="f", version="0", local_time=str))
        assert await ask(again, "queue_item_add_batch", **BATCH) == first
        assert len(writer.state.queue) == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        writer.close()

    run(story)


def test_a_lost_reply_is_said_and_nothing_is_done_again() -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        await ask(answerer, "queue_item_add_batch", **BATCH)
        made.store.disk.replies.clear()
        lost = await ask(answerer, "queue_item_add_batch", **BATCH)
        assert lost["error"]["code"] == "reply_lost"
        assert len(made.writer.state.queue) == 2

    run(story)


def test_a_clock_that_jumps_forgets_nothing_too_early() -> None:
    """The wall clock jumps by a day; only the other one counts."""
    wall, steady = [1000.0], [0.0]

    async def main() -> None:
        async with rig(open_state()) as made:
            writer = Writer(
                made.store, made.writer.state, made, made._act, lambda: None, None, lambda: wall[0], Recent(lambda: steady[0])
            )
            running = asyncio.create_task(writer.run())
            answerer = Answerer(writer, lambda: Context(epoch="e", version="0", local_time=str))
            await ask(answerer, "queue_clear", "first")
            wall[0] += 86400
            steady[0] += PROMISED - 1
            await ask(answerer, "queue_clear", "second")
            assert [record.request_id for record in writer.state.requests] == ["first", "second"]
            steady[0] += 2
            await ask(answerer, "queue_clear", "third")
            assert [record.request_id for record in writer.state.requests] == ["second", "third"]
            wall[0] += KEPT - 1
            steady[0] += KEPT - 1
            await ask(answerer, "queue_clear", "fourth")
            assert [record.request_id for record in writer.state.requests] == ["second", "third", "fourth"]
            assert made.store.request_reply("first") is None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            writer.close()

    asyncio.run(main())


def test_a_long_reply_is_kept_short_and_given_whole() -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        batch = {**BATCH, "items": [STOP] * 300}
        first = await ask(answerer, "queue_item_add_batch", **batch)
        whole = codec.to_json(first)
        assert made.store.request_reply("r") == packed(whole)
        assert made.writer.state.requests.reply_bytes < len(whole) / 2
        assert await ask(answerer, "queue_item_add_batch", **batch) == first
        made.store.disk.replies["r"] = packed(whole)[:-9]
        assert (await ask(answerer, "queue_item_add_batch", **batch))["error"]["code"] == "reply_lost"

    run(story)


def test_ids_that_find_no_room_are_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def story(made: Rig, answerer: Answerer) -> None:
        with monkeypatch.context() as full:
            full.setattr(rules, "REQUEST_IDS_LIMIT", 0)
            for name in "abc":
                assert (await ask(answerer, "queue_clear", name))["error"]["code"] == "too_many_request_ids"
        (line,) = [record for record in caplog.records if "id are refused" in record.getMessage()]
        assert line.levelname == "WARNING"

    run(story)


def test_what_an_earlier_manager_left_is_forgotten_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_AT_ONCE", 2)

    async def story(made: Rig, answerer: Answerer) -> None:
        state = made.writer.state
        for number in range(5):
            old = RequestRecord(request_id=f"old{number}", digest="d", time=1.0, size=2)
            state = apply(state, RequestRecorded(record=old, reply=b"{}"), 1.0)
        done = asyncio.Event()
        made.store.commit([RequestRecorded(record=record, reply=b"{}") for record in state.requests], state)

        class Watching:
            def publish(self, changes: Any, first_seq: int, state: Any) -> None:
                if not len(state.requests):
                    done.set()

        writer = Writer(made.store, state, Watching(), made._act, lambda: None)
        running = asyncio.create_task(writer.run())
        await asyncio.wait_for(done.wait(), 30)
        assert made.store.request_reply("old4") is None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        writer.close()

    run(story)
