"""A real server whose queue is kept in a real Redis server that is killed, emptied, filled, held up, and taken back in time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis_process
from harness import STARTUP, Held, Server, kill, until
from redis_process import RedisProcess

MakeHeld = Callable[[str], Held]

#: Seconds that anything may take while Redis is away: each call of the store has a limit of a few.
LONG = 40.0


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisProcess]:
    with redis_process.redis_process() as process:
        yield process


@pytest.fixture
def server(redis_server: RedisProcess, new_server: Callable[..., Server], tmp_path: Path) -> Server:
    """A server with an open environment; its queue has a prefix of its own in Redis."""
    options = ("--store", redis_server.url, "--redis-name-prefix", tmp_path.name)
    made = new_server("--startup-dir", str(STARTUP), "--saver", "none", *options)
    made.start()
    made.open()
    return made


@pytest.fixture
def held(server: Server, tmp_path: Path) -> MakeHeld:
    return lambda name: Held(server, tmp_path, name)


def wait_failure(server: Server, words: str) -> None:
    """Wait until the status says why the store takes no changes, by itself."""

    def is_told(status: dict[str, Any]) -> bool:
        return words in (status["store_failure"] or "")

    server.wait_for(is_told, f"store_failure with '{words}'", LONG)


def wait_well(server: Server, left: str = "") -> None:
    """Wait until the store takes changes again; what was lost may stay in the status."""

    def is_well(status: dict[str, Any]) -> bool:
        failure = status["store_failure"] or ""
        return left in failure if left else not failure

    server.wait_for(is_well, "the store to be well", LONG)


def check_kept(server: Server) -> None:
    """What the manager says is what its successor reads."""
    before = (server.queue(), server.history())
    kill(manager := server.manager)
    server.wait_new_manager(manager, LONG)
    assert (server.queue(), server.history()) == before


def refused(server: Server) -> str:
    """Try to add a plan; returns the sentence with which it is refused."""
    item = {"item_type": "plan", "name": "brief", "kwargs": {"trace": "/dev/null"}}
    reply = server.call("queue_item_add", timeout=LONG, item=item, user="tester", user_group="primary")
    assert not reply["success"]
    assert reply["error"]["code"] == "store_unavailable"
    assert reply["error"]["hint"]
    return reply["msg"]


def test_killed_while_a_plan_runs(server: Server, held: MakeHeld, redis_server: RedisProcess) -> None:
    """The plan ends while Redis is away; its report is applied when it is back, and the queue goes on."""
    first, second = held("first"), held("second")
    server.ok("queue_start")
    first.wait("begin")
    redis_server.kill()
    wait_failure(server, "cannot be reached")
    assert "cannot be reached" in refused(server)
    first.go()
    until(lambda: "cleanup" in first.lines, "the plan to end")
    assert server.status()["running_item_uid"] == first.uid  # its end is not on record yet
    assert second.lines == []  # nothing starts without a record
    redis_server.start()
    second.wait("begin")
    assert [item["item_uid"] for item in server.history()] == [first.uid]
    second.go()
    server.wait_state("idle")
    assert first.ran_once
    assert second.ran_once
    wait_well(server)
    check_kept(server)
    server.stop()


@pytest.mark.long
def test_manager_dies_while_redis_is_away(server: Server, held: MakeHeld, redis_server: RedisProcess) -> None:
    """Its successor waits for Redis; the plan goes on meanwhile and is known afterwards."""
    plan = held("plan")
    server.ok("queue_start")
    plan.wait("begin")
    redis_server.kill()
    kill(manager := server.manager)
    plan.go()
    until(lambda: "cleanup" in plan.lines, "the plan to end")
    redis_server.start()
    server.wait_new_manager(manager, LONG)
    server.wait_for(lambda status: status["items_in_history"] == 1, "the plan in the history", LONG)
    assert plan.ran_once
    server.stop()


def test_emptied_while_a_plan_runs(server: Server, held: MakeHeld, redis_server: RedisProcess) -> None:
    """It is noticed without anybody writing, and everything is written anew."""
    plan, waiting = held("plan"), held("waiting")
    server.ok("queue_start")
    plan.wait("begin")
    with redis_server.client() as client:
        client.flushall()
    wait_well(server, "came back empty; it was written anew")
    plan.go()
    waiting.wait("begin")
    kill(manager := server.manager)  # all that a successor knows is from Redis
    server.wait_new_manager(manager, LONG)
    waiting.go()
    server.wait_state("idle")
    assert plan.ran_once
    assert waiting.ran_once
    assert [item["item_uid"] for item in server.history()] == [plan.uid, waiting.uid]
    check_kept(server)
    server.stop()


@pytest.mark.long
def test_held_up_full_and_back_in_time(server: Server, held: MakeHeld, redis_server: RedisProcess) -> None:
    plan, waiting = held("plan"), held("waiting")
    server.ok("queue_start")
    plan.wait("begin")
    redis_server.stop()
    try:
        assert "does not answer" in refused(server)
        assert server.status()["manager_state"] == "executing_queue"
        server.ok("re_pause", option="immediate")  # what safety needs is done without a store
        server.wait_state("paused", LONG)
        wait_failure(server, "does not answer")
    finally:
        redis_server.go_on()
    wait_well(server)
    server.ok("re_resume")
    with redis_server.client() as client:
        client.config_set("maxmemory", 1_000_000)
        assert "is full" in refused(server)
        plan.go()
        until(lambda: "cleanup" in plan.lines, "the plan to end")
        assert waiting.lines == []
        client.config_set("maxmemory", 0)
    waiting.wait("begin")
    copy = redis_server.copy_files()
    extra = held("extra")
    redis_server.kill()
    redis_server.replace_files(copy)
    redis_server.start()
    wait_well(server, "came back in an older state")
    waiting.go()
    extra.wait("begin")
    extra.go()
    server.wait_state("idle")
    assert [item["item_uid"] for item in server.history()] == [plan.uid, waiting.uid, extra.uid]
    check_kept(server)
    server.stop()


@pytest.mark.long
def test_two_managers_one_prefix(server: Server, redis_server: RedisProcess, new_server: Callable[..., Server]) -> None:
    """The second one is refused with the name of the first, whose queue is untouched."""
    server.add("brief", trace="/dev/null")
    other = new_server(*server.options)
    with pytest.raises(AssertionError, match=rf"owned by the manager with process id {server.manager} on host"):
        other.start()
    assert len(server.queue()) == 1
    assert os.path.isdir(other.data_dir)
    server.stop()
