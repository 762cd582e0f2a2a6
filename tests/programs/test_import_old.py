"""`qserver import`: what a Bluesky Queue Server 0.0.25 left in a real Redis is taken over once, and nothing is written there.

The keys in ``old_server_keys.json`` are those that such a server wrote while a plan was running and its queue was locked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_process import RedisProcess

from jupyter_queueserver.core.state import State
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.programs import import_old
from jupyter_queueserver.programs.stores import own_store

KEYS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "old_server_keys.json").read_text())


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    redis = RedisProcess()
    redis.start()
    yield redis
    redis.end()


@pytest.fixture
def old(server: RedisProcess) -> RedisProcess:
    """The database as the old server left it."""
    with server.client() as client:
        client.flushall()
        for name, entry in KEYS.items():
            if entry["type"] == "list":
                client.rpush(name, *entry["value"])
            else:
                client.set(name, entry["value"])
    return server


def contents(server: RedisProcess) -> dict[str, Any]:
    with server.client() as client:
        return {name: client.dump(name) for name in client.scan_iter()}


def stored(directory: Path) -> State:
    with own_store(Instance(directory)) as store:
        found = store.load()
        assert found is not None
        return found


def test_everything_is_taken_over_once(old: RedisProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(old)
    assert import_old.main([old.url, "--data-dir", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    state = stored(tmp_path)
    running, *queue = state.queue
    assert running.item_uid == json.loads(KEYS["qs_default_running_plan"]["value"])["item_uid"]
    assert running.is_unconfirmed
    assert [item.fields for item in queue] == [json.loads(text) for text in KEYS["qs_default_plan_queue"]["value"]]
    assert [item.fields for item in state.history] == [json.loads(text) for text in KEYS["qs_default_plan_history"]["value"]]
    assert (state.mode.loop, state.mode.ignore_failures) == (False, True)
    assert not state.autostart
    assert "Autostart was on" in told
    assert (state.lock.queue, state.lock.environment, state.lock.user, state.lock.note) == (True, False, "qserver-cli", "a note")
    assert state.lock.opens("key1")
    assert not state.lock.opens("key2")
    assert set(state.catalogue.permissions.to_wire()["user_groups"]) == {"root", "primary", "test_user"}
    assert contents(old) == before
    assert import_old.main([old.url, "--data-dir", str(tmp_path)]) == 1
    assert "taken over already" in capsys.readouterr().err
    assert len(stored(tmp_path).queue) == len(state.queue)


def test_a_server_that_seems_to_run_is_left_alone(old: RedisProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with old.client() as client:
        client.ping()
        assert import_old.main([old.url, "--data-dir", str(tmp_path)]) == 1
        assert "is running and 1 programs are connected" in capsys.readouterr().err
        assert not (tmp_path / "queue.sqlite").exists()
        assert import_old.main([old.url, "--data-dir", str(tmp_path), "--even-if-running"]) == 0
        assert "stop the old server" in capsys.readouterr().out


def test_only_into_an_empty_one_unless_it_is_said(old: RedisProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_old.main([old.url, "--data-dir", str(tmp_path)]) == 0
    (tmp_path / import_old.MARK).unlink()
    assert import_old.main([old.url, "--data-dir", str(tmp_path)]) == 1
    assert "--append" in capsys.readouterr().err
    assert not (tmp_path / import_old.MARK).exists()
    assert import_old.main([old.url, "--data-dir", str(tmp_path), "--append"]) == 0
    assert "4 were left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("qs_default_plan_queue_mode", "[1", "qs_default_plan_queue_mode cannot be read"),
        ("qs_default_user_group_permissions", '{"user_groups": 5}', "qs_default_user_group_permissions cannot be read"),
        ("qs_default_running_plan", "{", "qs_default_running_plan cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(
    old: RedisProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: str, told: str
) -> None:
    with old.client() as client:
        client.set(key, value)
    assert import_old.main([old.url, "--data-dir", str(tmp_path)]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "queue.sqlite").exists()


def test_one_broken_entry_does_not_hold_up_the_others(
    old: RedisProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with old.client() as client:
        client.rpush("qs_default_plan_history", '{"name": "count"}')
    assert import_old.main([old.url, "--data-dir", str(tmp_path)]) == 0
    assert "Entry 1 of qs_default_plan_history cannot be read" in capsys.readouterr().out
    assert stored(tmp_path).history.size == 1


def test_nothing_there(server: RedisProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_old.main([server.url, "--prefix", "other", "--data-dir", str(tmp_path)]) == 1
    assert "no queue under the prefix 'other'" in capsys.readouterr().err
    secret = "redis://me:secret@127.0.0.1:1/0"
    assert import_old.main([secret, "--data-dir", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "127.0.0.1:1/0 cannot be read" in told
    assert "secret" not in told
    assert not list(tmp_path.iterdir())
