"""The history beyond the tail of the state: read from the store, in threads, and always the truth of one moment."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from manager_parts import Rig, item, open_state, rig

from jupyter_queueserver.api import Context
from jupyter_queueserver.core import codec, history
from jupyter_queueserver.core.changes import HistoryAppended
from jupyter_queueserver.core.errors import StoreUnavailable
from jupyter_queueserver.core.limits import Encoding
from jupyter_queueserver.manager import history as reading
from jupyter_queueserver.manager import tidying
from jupyter_queueserver.manager.history import HistoryFetcher
from jupyter_queueserver.manager.replies import Answerer

SIZE = 700
TAIL = 10


@pytest.fixture(autouse=True)
def _short_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "TAIL_ENTRIES", TAIL)


class Talk:
    """A manager with a history, and who asks it."""

    def __init__(self, made: Rig) -> None:
        self.made = made
        self.store = made.store
        fetcher = HistoryFetcher(made.writer, made.store)
        self._answerer = Answerer(
            made.writer,
            lambda: Context(epoch="e", version="0", local_time=str),
            {"history_page": fetcher.page, "history_number": fetcher.number, "history_uids": fetcher.known},
        )

    async def append(self, *uids: str) -> None:
        await self.made.writer.submit(lambda step: step.emit(HistoryAppended(items=tuple(map(item, uids)))))

    async def ask(self, method: str, encoding: Encoding = "json", **params: Any) -> dict[str, Any]:
        request = {"method": method, "params": params}
        if encoding == "json":
            return codec.from_json(await self._answerer.answer(codec.to_json(request)))
        return codec.from_msgpack(await self._answerer.answer(codec.to_msgpack(request), "msgpack"))


def with_history(test: Callable[[Talk], Coroutine[Any, Any, None]], size: int = SIZE) -> None:
    """Run a test with a manager that has the entries h0, h1 ..."""

    async def main() -> None:
        async with _talk(size) as talk:
            await asyncio.wait_for(test(talk), 60)

    asyncio.run(main())


@contextlib.asynccontextmanager
async def _talk(size: int) -> AsyncIterator[Talk]:
    async with rig(open_state()) as made:
        talk = Talk(made)
        await talk.append(*(f"h{n}" for n in range(size)))
        yield talk


def uids(reply: dict[str, Any]) -> list[str]:
    assert reply["success"], reply["msg"]
    return [entry["item_uid"] for entry in reply["items"]]


def expected(first: int, stop: int) -> list[str]:
    return [f"h{n}" for n in range(first, stop)]


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("limit", [None, 3, TAIL, 100, 10_000])
def test_pages_together_are_the_history(encoding: Encoding, limit: int | None) -> None:
    async def test(talk: Talk) -> None:
        found: list[str] = []
        before: dict[str, Any] = {}
        while True:
            reply = await talk.ask("history_get", encoding, **({} if limit is None else {"limit": limit}), **before)
            assert reply["items_in_history"] == SIZE
            if not reply["items"]:
                break
            assert len(reply["items"]) <= (limit or SIZE)
            found = uids(reply) + found
            before = {"before_uid": found[0]}
        assert found == expected(0, SIZE)
        reply = await talk.ask("history_get", encoding, before_uid="nobody")
        assert (reply["success"], reply["error"]["code"]) == (False, "not_in_history")

    with_history(test)


def test_a_trim_between_state_and_store_is_seen_whole() -> None:
    async def test(talk: Talk) -> None:
        loop = asyncio.get_running_loop()
        read = talk.store.history
        trims = iter((600, 300))

        def hooked(begin: int, end: int) -> list[bytes]:
            if (size := next(trims, None)) is not None:
                asyncio.run_coroutine_threadsafe(talk.ask("history_clear", size=size), loop).result(timeout=30)
            return read(begin, end)

        talk.store.history = hooked  # type: ignore[method-assign]
        reply = await talk.ask("history_get")
        assert uids(reply) == expected(SIZE - 300, SIZE)
        status = await talk.ask("status")
        assert reply["plan_history_uid"] == status["plan_history_uid"]
        assert reply["items_in_history"] == status["items_in_history"] == 300

    with_history(test)


def test_entries_that_were_appended_meanwhile_are_not_half_there() -> None:
    async def test(talk: Talk) -> None:
        loop = asyncio.get_running_loop()
        read = talk.store.history
        news = iter(range(SIZE, SIZE + 2 * TAIL))
        before = await talk.ask("status")

        def hooked(begin: int, end: int) -> list[bytes]:
            for n in news:
                asyncio.run_coroutine_threadsafe(talk.append(f"h{n}"), loop).result(timeout=30)
            return read(begin, end)

        talk.store.history = hooked  # type: ignore[method-assign]
        reply = await talk.ask("history_get")
        assert uids(reply) == expected(0, SIZE)
        assert reply["plan_history_uid"] == before["plan_history_uid"]
        assert uids(await talk.ask("history_get")) == expected(0, SIZE + 2 * TAIL)

    with_history(test)


def test_a_reply_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(talk: Talk) -> None:
        whole = codec.to_json((await talk.ask("history_get"))["items"])
        monkeypatch.setattr(reading, "HISTORY_REPLY_LIMIT", len(whole) // 2)
        asked: list[dict[str, Any]] = [{}, {"limit": SIZE - 1}, {"before_uid": f"h{SIZE - 1}"}]
        for params in asked:
            reply = await talk.ask("history_get", **params)
            assert (reply["success"], reply["items"]) == (False, [])
            assert reply["error"]["code"] == "reply_too_large"
            assert "before_uid" in reply["error"]["hint"]
        assert len(uids(await talk.ask("history_get", limit=SIZE // 3))) == SIZE // 3
        read = talk.store.history
        talk.store.history = None  # type: ignore[assignment] - what was too much once is not read again to be refused
        assert (await talk.ask("history_get"))["error"]["code"] == "reply_too_large"
        talk.store.history = read  # type: ignore[method-assign]
        assert (await talk.ask("history_clear", size=SIZE // 3))["success"]
        assert len(uids(await talk.ask("history_get"))) == SIZE // 3

    with_history(test)


def test_a_slow_store_holds_up_nobody_else() -> None:
    async def test(talk: Talk) -> None:
        entered, go_on = threading.Event(), threading.Event()
        read = talk.store.history

        def hooked(begin: int, end: int) -> list[bytes]:
            entered.set()
            assert go_on.wait(30)
            return read(begin, end)

        talk.store.history = hooked  # type: ignore[method-assign]
        asking = asyncio.create_task(talk.ask("history_get"))
        await asyncio.to_thread(entered.wait, 30)
        assert (await talk.ask("status"))["items_in_history"] == SIZE
        assert uids(await talk.ask("history_get", limit=TAIL)) == expected(SIZE - TAIL, SIZE)
        assert (await talk.ask("history_clear", item_uid="h5"))["success"]
        assert not asking.done()
        go_on.set()
        assert uids(await asking) == expected(6, SIZE)

    with_history(test)


def test_what_the_store_cannot_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(talk: Talk) -> None:
        def failing(*_: object) -> Any:
            raise StoreUnavailable("The disk is gone.")

        talk.store.history = talk.store.history_number = failing  # type: ignore[method-assign]
        asked: list[dict[str, Any]] = [{}, {"before_uid": "h5"}]
        for params in asked:
            reply = await talk.ask("history_get", **params)
            assert (reply["success"], reply["msg"], reply["error"]["code"]) == (
                False,
                "Error: The disk is gone.",
                "store_unavailable",
            )
        assert uids(await talk.ask("history_get", limit=2)) == expected(SIZE - 2, SIZE)
        assert (await talk.ask("history_clear", item_uid="h5"))["error"]["code"] == "store_unavailable"
        assert (await talk.ask("history_clear", item_uid=f"h{SIZE - 3}"))["success"]
        talk.store.history = lambda begin, end: []  # type: ignore[method-assign]
        await talk.append(*(f"new{n}" for n in range(2 * TAIL)))
        monkeypatch.setattr(reading, "_PAUSE", 0.0)
        assert (await talk.ask("history_get"))["error"]["code"] == "store_unavailable"

    with_history(test)


@pytest.mark.parametrize(("uid", "left"), [("h0", SIZE - 1), ("h350", SIZE - 351), (f"h{SIZE - 1}", 0), ("nobody", SIZE)])
def test_clearing_up_to_an_entry(uid: str, left: int) -> None:
    async def test(talk: Talk) -> None:
        assert (await talk.ask("history_clear", item_uid=uid))["success"]
        assert uids(await talk.ask("history_get")) == expected(SIZE - left, SIZE)

    with_history(test)


@pytest.mark.parametrize(("size", "left"), [(600, 600), (100, 100)])
def test_a_trim_that_comes_first_counts(size: int, left: int) -> None:
    """The number of the entry is known, then others trim and append, then it is its turn."""

    async def test(talk: Talk) -> None:
        loop = asyncio.get_running_loop()
        find = talk.store.history_number

        def hooked(uid: str) -> int | None:
            found = find(uid)
            asyncio.run_coroutine_threadsafe(talk.ask("history_clear", size=size), loop).result(timeout=30)
            asyncio.run_coroutine_threadsafe(talk.append("later"), loop).result(timeout=30)
            return found

        talk.store.history_number = hooked  # type: ignore[method-assign]
        assert (await talk.ask("history_clear", item_uid="h50"))["success"]
        assert uids(await talk.ask("history_get")) == [*expected(SIZE - left, SIZE), "later"]

    with_history(test)


def test_what_was_trimmed_is_cleared_away_in_slices_also_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "_PAUSE", 0.0)

    async def test(talk: Talk) -> None:
        left: list[Any] = []
        turns, emptied = [], asyncio.Event()
        loop = asyncio.get_running_loop()

        def tidy() -> bool:
            turns.append(threading.current_thread().name)
            what = left.pop(0) if left else False
            if not left:
                loop.call_soon_threadsafe(emptied.set)
            if isinstance(what, Exception):
                raise what
            return what

        talk.store.tidy = tidy  # type: ignore[method-assign]
        plans: list[list[Any]] = [[True, True, False], [True, StoreUnavailable("Full.")], [False], [OSError("odd")], [False]]
        for plan in plans:
            left[:] = plan
            emptied.clear()
            await talk.ask("history_clear", size=(await talk.ask("status"))["items_in_history"] - 1)
            await asyncio.wait_for(emptied.wait(), 30)
        assert not left
        assert {name.split("_")[0] for name in turns} == {"store"}  # the thread of the commits
        assert (await talk.ask("history_get", limit=1))["success"]

    with_history(test)


def test_two_restores_at_once_put_nothing_in_twice() -> None:
    """Both have looked up what is there before either was decided: the second is refused, or knows what the first did."""

    async def test(talk: Talk) -> None:
        entries = [item(f"new{number}").fields | {"result": {"exit_status": "completed"}} for number in range(5 * TAIL)]
        restore = {"items": [], "history": entries, "how": "append"}
        replies = await asyncio.gather(*(talk.ask("queue_restore", **restore) for _ in range(3)))
        assert [reply["error"]["code"] for reply in replies if not reply["success"]] == ["history_moved"] * 2
        again = await talk.ask("queue_restore", **restore)
        assert (again["restored_entries"], again["left_out"]) == (0, len(entries))
        history = (await talk.ask("history_get"))["items"]
        uids = [entry["item_uid"] for entry in history]
        assert len(uids) == len(set(uids)) == SIZE + len(entries)

    with_history(test)
