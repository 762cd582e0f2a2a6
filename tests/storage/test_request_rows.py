"""Requests that were done, in all stores: the record with the state, the reply on demand, both gone together."""

from __future__ import annotations

from store_samples import first_state, owner, recorded
from test_contract import Opener, committed, opener, reopened  # noqa: F401 - the fixture

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.codec import Verbatim
from jupyter_queueserver.core.state import QueueMode

BIG = {"success": True, "items": [{"name": "count", "n": n, "x": float("nan"), "s": "\ud800 ü"} for n in range(1000)]}


def test_a_reply_comes_back_as_it_was(opener: Opener) -> None:  # noqa: F811
    store = opener()
    store.acquire(owner())
    state = committed(store, first_state(), ch.ModeSet(mode=QueueMode()))
    state = committed(store, state, recorded("r", BIG), recorded("ü b", {"success": True}))
    for _ in range(2):
        assert store.request_reply("r") == Verbatim(BIG).text
        assert store.request_reply("ü b") == b'{"success":true}'
        assert store.request_reply("unknown") is None
        store = reopened(store, opener)
        loaded = store.load()
        assert loaded is not None
        assert loaded.requests == state.requests
    store.close()


def test_the_first_commit_keeps_the_reply_too(opener: Opener) -> None:  # noqa: F811
    store = opener()
    store.acquire(owner())
    committed(store, first_state(), recorded("r", BIG))
    store = reopened(store, opener)
    assert store.request_reply("r") == Verbatim(BIG).text
    store.close()


def test_record_and_reply_are_forgotten_together(opener: Opener) -> None:  # noqa: F811
    store = opener()
    store.acquire(owner())
    state = committed(store, first_state(), *(recorded(f"r{n}", {"n": n}) for n in range(5)))
    state = committed(store, state, ch.RequestsForgotten(request_ids=("r0", "r3", "unknown")))
    state = committed(store, state, recorded("r0", {"n": "again"}))
    store = reopened(store, opener)
    loaded = store.load()
    assert loaded is not None
    assert [record.request_id for record in loaded.requests] == ["r1", "r2", "r4", "r0"]
    assert store.request_reply("r3") is None
    assert store.request_reply("r0") == b'{"n":"again"}'
    store.close()


def test_replies_outlive_many_commits(opener: Opener) -> None:  # noqa: F811
    """A store may fold what it has written."""
    store = opener()
    store.acquire(owner())
    state = committed(store, first_state(), recorded("r", BIG))
    for number in range(1100):
        state = committed(store, state, ch.ReportApplied(number=number))
    store = reopened(store, opener)
    loaded = store.load()
    assert loaded is not None
    assert [record.request_id for record in loaded.requests] == ["r"]
    assert store.request_reply("r") == Verbatim(BIG).text
    store.close()
