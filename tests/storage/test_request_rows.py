"""Requests that were done, in all stores: the record with the state, the reply on demand, both gone together."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from store_samples import first_state, owner, recorded
from test_contract import Opener, committed, opener, reopened  # noqa: F401 - the fixture

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.codec import Verbatim
from jupyter_queueserver.core.requests import RequestRecord
from jupyter_queueserver.core.state import QueueMode
from jupyter_queueserver.storage.row_sums import give_row_sum, row_sum
from jupyter_queueserver.storage.sqlite import SqliteStore
from jupyter_queueserver.storage.statements import migrations
from jupyter_queueserver.storage.texts import request_text

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


# -- in an SQLite file -------------------------------------------------------------------------


def sqlite_in(directory: Path) -> SqliteStore:
    return SqliteStore(directory / "queue.sqlite", directory / "lease")


def test_a_reply_that_was_altered_is_not_given(tmp_path: Path) -> None:
    """What a retry is known by is all that a start needs: only this one answer is lost."""
    store = sqlite_in(tmp_path)
    store.acquire(owner())
    state = committed(store, first_state(), recorded("a", {"n": "original"}), recorded("b", {"n": "another"}))
    store.close()
    path = tmp_path / "queue.sqlite"
    path.write_bytes(path.read_bytes().replace(b"original", b"forgery!"))
    store.acquire(owner())
    loaded = store.load()
    assert loaded is not None
    assert loaded.requests == state.requests
    assert store.request_reply("a") is None
    assert store.request_reply("b") == b'{"n":"another"}'
    store.close()


def test_requests_of_an_earlier_version_keep_their_replies(tmp_path: Path) -> None:
    store = sqlite_in(tmp_path)
    store.acquire(owner())
    committed(store, first_state(), recorded("other"))
    store.close()
    old = migrations()[:5]
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as connection:
        give_row_sum(connection)
        for _, script in old:
            connection.executescript(script)
        connection.execute("ATTACH ? AS present", (str(tmp_path / "queue.sqlite"),))
        connection.execute("INSERT INTO parts SELECT * FROM present.parts")
        connection.execute("INSERT OR REPLACE INTO meta SELECT * FROM present.meta")
        for number in (3, 5):
            record = RequestRecord(request_id=f"r{number}", digest="d", time=1.5, size=2)
            values = record.request_id, request_text(record), b'"%d"' % number
            connection.execute("INSERT INTO requests VALUES (?, ?, ?, ?, ?)", (number, *values, row_sum(*values)))
        connection.execute(f"PRAGMA user_version = {len(old)}")
        connection.execute(f"PRAGMA application_id = {0x6A717376}")
        connection.commit()
    (tmp_path / "old.sqlite").replace(tmp_path / "queue.sqlite")
    store.acquire(owner())
    loaded = store.load()
    assert loaded is not None
    assert [record.request_id for record in loaded.requests] == ["r3", "r5"]
    assert [store.request_reply(name) for name in ("r3", "r5")] == [b'"3"', b'"5"']
    store.close()
