"""The lock: who may lock, what is refused meanwhile, and who opens it again."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import ME, Stage, plan

from jupyter_queueserver.api import methods, parse_request, read_call
from jupyter_queueserver.api.registry import Context
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.locks import Lock
from jupyter_queueserver.core.mirror import public, snapshot
from jupyter_queueserver.core.status import status

LOCKABLE = {name: method for name, method in methods().items() if method.lock is not None}


def info(stage: Stage, **params: Any) -> dict[str, Any]:
    context = Context(epoch="e", version="0", local_time=str, config=stage.config)
    return codec.from_json(
        codec.to_json(read_call(parse_request({"method": "lock_info", "params": params}), stage.state, context))
    )


def locked(*, environment: bool = False, queue: bool = False, note: str | None = None) -> Stage:
    stage = Stage.opened()
    stage.ok("lock", lock_key="key", user="ada", environment=environment, queue=queue, note=note)
    return stage


@pytest.mark.parametrize("name", LOCKABLE)
def test_locked_methods_want_the_key(name: str) -> None:
    scope = LOCKABLE[name].lock
    stage = locked(environment=scope == "environment", queue=scope == "queue", note="beam time until Monday")
    for wrong in ({}, {"lock_key": "other"}, {"lock_key": ""}, {"lock_key": "emergency"}):
        reply = stage.refused(name, **wrong)
        assert reply["msg"].startswith(f"{LOCKABLE[name].names_prefix}Invalid lock key: \n")
        for told in ("ada", "beam time until Monday", scope, "Emergency lock key is set: True"):
            assert told in reply["msg"]
        assert reply["error"]["code"] == "locked"
    reply = stage.call(name, lock_key="key")
    assert "Invalid lock key" not in reply["msg"]


@pytest.mark.parametrize("name", LOCKABLE)
def test_the_other_scope_is_free(name: str) -> None:
    scope = LOCKABLE[name].lock
    stage = locked(environment=scope != "environment", queue=scope != "queue")
    assert "Invalid lock key" not in stage.call(name)["msg"]


def test_the_key_is_asked_for_before_the_item_is_looked_at() -> None:
    stage = locked(queue=True)
    assert "Invalid lock key" in stage.refused("queue_item_add", item=5)["msg"]
    assert "unsupported parameters" in stage.refused("queue_item_add", item=5, zz=1)["msg"]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"lock_key": "k", "queue": True}, "User name is not specified"),
        ({"lock_key": "k", "queue": True, "user": ""}, "User name must be a non-empty string"),
        ({"lock_key": "k", "queue": True, "user": 5}, "User name must be a non-empty string"),
        ({"user": "ada", "queue": True}, "Lock key is not specified"),
        ({"user": "ada", "queue": True, "lock_key": ""}, "Lock key must be a non-empty string"),
        ({"user": "ada", "queue": True, "lock_key": 5}, "Lock key must be a non-empty string"),
        ({"user": "ada", "queue": True, "lock_key": "k", "note": 5}, "Note must be a string or None: note = 5"),
        ({"user": "ada", "lock_key": "k"}, "Invalid option: environment and/or queue must be selected: "),
        ({"user": "ada", "lock_key": "k", "queue": "yes"}, "The 'queue' parameter must be a boolean"),
        ({"user": "ada", "lock_key": "k", "environment": 1}, "The 'environment' parameter must be a boolean"),
    ],
)
def test_refused_locking(params: dict[str, Any], text: str) -> None:
    reply = Stage().refused("lock", **params)
    assert reply["msg"].startswith(f"Error: {text}")
    assert (reply["lock_info"], reply["lock_info_uid"]) == ({}, None)


def test_lock_and_unlock() -> None:
    stage = Stage()
    before = info(stage)
    assert before["lock_info"] == {
        "environment": False,
        "queue": False,
        "user": None,
        "note": None,
        "time": None,
        "time_str": "",
        "emergency_lock_key_is_set": True,
    }
    first = stage.ok("lock", lock_key="key", user="ada", queue=True, note="mine")
    assert first["lock_info"]["user"] == "ada"
    assert first["lock_info"]["time_str"] == f"at {first['lock_info']['time']}"
    assert first["lock_info_uid"] not in (None, before["lock_info_uid"])
    other = stage.refused("lock", lock_key="other", user="eve", queue=True)
    assert other["msg"].startswith("Error: RE Manager was locked with a different key: ")
    again = stage.ok("lock", lock_key="key", user="bob", environment=True)
    assert (again["lock_info"]["queue"], again["lock_info"]["environment"], again["lock_info"]["note"]) == (False, True, None)
    shown = status(stage.state, epoch="e", time_text="", version="0", kernel="shown")
    assert shown["lock"] == {"environment": True, "queue": False}
    assert shown["lock_info_uid"] == again["lock_info_uid"]
    for wrong in ("other", "keys"):
        reply = stage.refused("unlock", lock_key=wrong)
        assert reply["msg"].startswith("Error: Invalid lock key: ")
        assert reply["lock_info"]["user"] == "bob"
    over = stage.ok("unlock", lock_key="key")
    assert over["lock_info"]["user"] is None
    assert over["lock_info_uid"] != again["lock_info_uid"]
    stage.ok("unlock", lock_key="any")
    assert stage.refused("unlock")["msg"].startswith("Error: Request contains no lock key: ")
    refused = stage.refused("unlock", lock_key="")
    assert refused["msg"].startswith("Error: Lock key must be a non-empty string")
    assert (refused["lock_info"], refused["lock_info_uid"]) == ({}, None)


def test_the_emergency_key_unlocks_and_does_nothing_else() -> None:
    stage = locked(queue=True)
    assert not info(stage, lock_key="emergency")["success"]
    stage.refused("lock", lock_key="emergency", user="eve", queue=True)
    stage.ok("unlock", lock_key="emergency")
    stage.add(1)


def test_lock_info_tries_a_key() -> None:
    stage = locked(queue=True)
    assert info(stage)["success"]
    assert info(stage, lock_key="key")["success"]
    for wrong in ("other", "", 5):
        reply = info(stage, lock_key=wrong)
        assert not reply["success"]
        assert reply["lock_info"]["user"] == "ada"
        assert reply["lock_info_uid"] == stage.state.lock.uid
    unknown = info(stage, zz=1)
    assert (unknown["lock_info"], unknown["lock_info_uid"]) == ({}, None)


def test_reading_and_the_running_queue_go_on() -> None:
    stage = Stage.opened(1, 2).started()
    stage.ok("lock", lock_key="key", user="ada", environment=True, queue=True)
    stage.end()
    stage.go_on()
    assert stage.state.running is not None
    assert stage.state.running.fields["kwargs"] == {"num": 2}


def test_a_restart_keeps_the_lock_and_its_uid() -> None:
    stage = locked(queue=True)
    uid = info(stage)["lock_info_uid"]
    stage.restart()
    assert info(stage)["lock_info_uid"] == uid
    assert "Invalid lock key" in stage.refused("queue_item_add", item=plan(1), **ME)["msg"]
    stage.ok("unlock", lock_key="key")


def test_nobody_is_told_how_to_check_a_key() -> None:
    stage = locked(queue=True)
    kept: Lock = stage.state.lock
    assert kept.salt
    assert kept.digest
    told = codec.to_json([snapshot(stage.state), info(stage), [public(change) for change in stage._since_anchor]])
    for secret in (kept.salt, kept.digest, '"key"'):
        assert secret.encode() not in told
