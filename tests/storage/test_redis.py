"""What only the Redis store promises: the lease, and a server that goes, hangs, is full, or comes back as another one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis_process
from msgspec.structs import replace
from redis_process import RedisProcess
from store_samples import EVERY_CHANGE, first_state, items, kept, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core import history
from jupyter_queueserver.core.errors import StoreUnavailable
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.redis_address import RedisAddress
from jupyter_queueserver.instance import identity_of
from jupyter_queueserver.storage import FenceLost, SchemaTooNew, StoreBroken, StoreOwned, redis, redis_keeper, redis_server
from jupyter_queueserver.storage.redis import RedisStore
from jupyter_queueserver.storage.redis_durability import told
from jupyter_queueserver.storage.redis_server import StoreFull
from jupyter_queueserver.storage.watched import Condition, EnvironmentElsewhere, HistoryLost

HERE = Path(__file__).parent
PATIENCE = 30.0
TAIL = 5


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "TAIL_ENTRIES", TAIL)
    monkeypatch.setattr(redis_keeper, "INTERVAL", 0.2)
    monkeypatch.setattr(redis_keeper, "RETRY", 0.05)


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    """A server of the test's own."""
    with redis_process.redis_process() as process:
        yield process


@pytest.fixture
def shared() -> RedisProcess:
    return redis_process.shared()


class Rig:
    """A store, the state that was committed last, and what the store said of itself."""

    def __init__(self, url: str, prefix: str = "qs_default") -> None:
        self.address = RedisAddress(url, prefix)
        self.conditions: list[Condition] = []
        self._said = threading.Condition()
        self.open()

    def open(self) -> None:
        """Take the store, as a new manager does."""
        self.store = RedisStore(self.address, lease=2.0)
        self.fence = self.store.acquire(owner())
        self.state = self.store.load() or first_state()
        self.store.watch(self._hear)

    def _hear(self, condition: Condition) -> None:
        with self._said:
            self.conditions.append(condition)
            self._said.notify_all()

    def heard(self, predicate: Callable[[Condition], object], what: str) -> Condition:
        """Wait until the last condition that was told fulfils the predicate."""
        with self._said:
            assert self._said.wait_for(lambda: predicate(self.conditions[-1]), PATIENCE), f"never heard: {what}"
            return self.conditions[-1]

    def commit(self, *changes: ch.AnyChange) -> None:
        after = self.state
        for change in changes:
            after = ch.apply(after, change, 1.0)
        self.store.commit(changes, after)
        self.state = after

    def add(self, *uids: str) -> None:
        self.commit(ch.QueueInserted(items=items(*uids)))

    def remember(self, *uids: str) -> None:
        self.commit(ch.HistoryAppended(items=items(*uids)))

    def repair(self) -> None:
        """What the manager does with a stale store."""
        self.heard(lambda condition: condition.stale, "that it is stale")
        try:
            self.commit(ch.HistoryTrimmed(count=0))
        except HistoryLost as lost:
            self.commit(ch.HistoryTrimmed(count=lost.first - self.state.history.first))
        self.heard(lambda condition: not condition.failure, "that all is well again")

    def check(self) -> None:
        """The server holds the state: now, and for the next manager."""
        loaded = self.store.load()
        assert loaded is not None
        assert kept(loaded) == kept(self.state)
        entries = [Item.of_text(text) for text in self.store.history(0, self.state.history.end)]
        assert len(entries) == self.state.history.size
        expected, fence = kept(self.state), self.fence
        self.store.close()
        self.open()
        assert self.fence == fence + 1
        assert kept(self.state) == expected


@pytest.fixture
def rig(server: RedisProcess) -> Iterator[Rig]:
    made = Rig(server.url)
    made.add("a", "b")
    made.remember("h0", "h1")
    yield made
    made.store.close()


# -- owning ------------------------------------------------------------------------------------


def contents(server: RedisProcess) -> dict[bytes, object]:
    """All keys with their contents; the order within a hash means nothing, and changes by itself."""
    with server.client() as client:
        read = {
            b"hash": client.hgetall,
            b"string": client.get,
            b"set": client.smembers,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        }
        return {key: read[client.type(key)](key) for key in client.keys("*")}


def test_a_second_one_is_refused_and_writes_nothing(server: RedisProcess) -> None:
    first = RedisStore(RedisAddress(server.url), lease=1000)
    first.acquire(owner("tcp://127.0.0.1:60615"))
    first.commit([EVERY_CHANGE[0]], ch.apply(first_state(), EVERY_CHANGE[0], 1.0))
    before = contents(server)
    with pytest.raises(StoreOwned, match=r"process id \d+ on host 'beamline', address tcp://127.0.0.1:60615") as raised:
        RedisStore(RedisAddress(server.url)).acquire(owner("ipc:///second"))
    assert "try again in" in raised.value.hint
    after = contents(server)
    before.pop(b"qs_default_v1:lease", None), after.pop(b"qs_default_v1:lease", None)  # its owner renews it
    assert {key for key, value in after.items() if before[key] != value} <= {b"qs_default_v1:meta", b"qs_default_v1:pending"}
    assert first.load() is not None
    first.close()


def test_kill_9_of_the_owner_loses_nothing_and_frees_the_lease_at_once(server: RedisProcess) -> None:
    writer = subprocess.Popen(
        [sys.executable, str(HERE / "store_writer.py"), server.url],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])},
    )
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(100)]
    with pytest.raises(StoreOwned):
        RedisStore(RedisAddress(server.url)).acquire(owner())
    writer.send_signal(signal.SIGSTOP)  # alive, though it gives no sign
    with pytest.raises(StoreOwned):
        RedisStore(RedisAddress(server.url)).acquire(owner())
    writer.kill()
    said += [int(line) for line in writer.stdout.read().splitlines()]
    writer.wait()
    writer.stdout.close()
    store = RedisStore(RedisAddress(server.url))
    assert store.acquire(owner()) == 2
    loaded = store.load()
    assert loaded is not None
    queued = [one.item_uid for one in loaded.queue]
    found = [Item.of_text(text).item_uid for text in store.history(0, loaded.history.end)] + queued
    assert found == [f"u{n}" for n in range(len(found))]
    assert len(found) in (len(said), len(said) + 1)  # the last commit may have been done and not said
    store.close()


def test_another_machine_waits_for_the_end_of_the_lease(shared: RedisProcess, tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead_identity = identity_of(dead.pid)
    dead.wait()
    address = RedisAddress(shared.url, str(tmp_path))
    first = RedisStore(address, lease=0.5)
    first.acquire(replace(owner(), identity=dead_identity, host="far"))
    first._keeper.stop()  # as if its machine had failed
    with pytest.raises(StoreOwned, match="on host 'far'"):
        RedisStore(address).acquire(owner())
    second, deadline = RedisStore(address), time.monotonic() + PATIENCE
    pause = threading.Event()
    while True:
        try:
            assert second.acquire(owner()) == 2
            break
        except StoreOwned:
            assert time.monotonic() < deadline
            pause.wait(0.05)
    with pytest.raises(FenceLost):
        first.commit([EVERY_CHANGE[0]], first_state())
    first.close()
    second.commit([EVERY_CHANGE[0]], ch.apply(first_state(), EVERY_CHANGE[0], 1.0))
    assert second.load() is not None
    second.close()


def test_who_lost_the_fence_hears_it_without_writing(rig: Rig, server: RedisProcess) -> None:
    with server.client() as client:
        second = RedisStore(rig.address)
        for _ in range(100):  # the owner may renew its lease in between
            client.delete(rig.address.key("lease"))
            try:
                second.acquire(owner())
                break
            except StoreOwned:
                continue
    rig.heard(lambda condition: condition.lost, "that another manager has it")
    with pytest.raises(FenceLost):
        rig.add("c")
    second.close()


def test_a_commit_of_which_nobody_heard_opens_no_environment(shared: RedisProcess, tmp_path: Path) -> None:
    """It is taken back as a whole, by the owner who goes on or who ends."""
    rig = Rig(shared.url, str(tmp_path))
    rig.store._keeper.stop()
    rig.commit(ch.AutostartSet(enabled=True))
    opened = next(change for change in EVERY_CHANGE if isinstance(change, ch.EnvironmentSet))
    for end in (lambda: rig.commit(ch.AutostartSet(enabled=False)), rig.store.close):
        confirmed = rig.store._confirmed
        rig.store.commit([opened], ch.apply(rig.state, opened, 1.0))
        rig.store._confirmed = confirmed  # its answer was lost
        end()
    other = RedisStore(rig.address)
    other.acquire(replace(owner(), host="far"))
    loaded = other.load()
    assert loaded is not None
    assert kept(loaded) == kept(rig.state)
    other.close()


def test_a_renewal_that_arrives_after_the_end_takes_no_lease(shared: RedisProcess, tmp_path: Path) -> None:
    rig = Rig(shared.url, str(tmp_path))
    rig.add("a")
    server = redis_server.RedisServer(rig.address)
    with rig.store._lock:
        on_its_way = rig.store._asking()
    rig.store.close()
    assert server.call("renew", *on_its_way, 2000) == [b"late"]
    assert server.read("EXISTS", server.key("lease")) == 0
    server.close()


def test_who_wants_to_be_told_does_not_wait_for_the_server(shared: RedisProcess, tmp_path: Path) -> None:
    rig = Rig(shared.url, str(tmp_path))
    told = threading.Event()
    with rig.store._lock:  # as a call that is under way holds it
        thread = threading.Thread(target=rig.store.watch, args=(lambda condition: told.set(),))
        thread.start()
        assert told.wait(PATIENCE)
    thread.join(PATIENCE)
    rig.store.close()


def test_an_environment_on_another_machine(shared: RedisProcess, tmp_path: Path) -> None:
    address = RedisAddress(shared.url, str(tmp_path))
    first = RedisStore(address)
    first.acquire(replace(owner(), host="far"))
    opened = next(change for change in EVERY_CHANGE if isinstance(change, ch.EnvironmentSet))
    first.commit([opened], ch.apply(first_state(), opened, 1.0))
    first.close()
    with pytest.raises(EnvironmentElsewhere, match="open on host 'far'") as raised:
        RedisStore(address).acquire(owner())
    assert "--take-over" in raised.value.hint
    again = RedisStore(address)
    assert again.acquire(replace(owner(), host="far")) == 2  # where it is, nothing stands in the way
    again.close()
    taker = RedisStore(address, take_over=True)
    assert taker.acquire(owner()) == 3
    taker.close()


def test_an_environment_of_another_data_directory_is_not_taken_over(shared: RedisProcess, tmp_path: Path) -> None:
    address = RedisAddress(shared.url, str(tmp_path))
    first = RedisStore(address, home="/data/a")
    first.acquire(owner())
    opened = next(change for change in EVERY_CHANGE if isinstance(change, ch.EnvironmentSet))
    first.commit([opened], ch.apply(first_state(), opened, 1.0))
    first.close()
    other = RedisStore(address, home="/data/b")
    with pytest.raises(EnvironmentElsewhere, match="with the data directory /data/a") as raised:
        other.acquire(owner())
    assert raised.value.host == owner().host
    for home, take_over in (("/data/a", False), ("", False), ("/data/b", True)):
        again = RedisStore(address, home=home, take_over=take_over)
        again.acquire(owner())
        again.close()


def test_keys_of_others_are_not_touched(server: RedisProcess) -> None:
    with server.client() as client:
        client.rpush("qs_default_plan_queue", "theirs")
        client.set("qs_default_v1", "theirs too")
    rig = Rig(server.url)
    rig.commit(*EVERY_CHANGE)
    rig.check()
    rig.store.close()
    with server.client() as client:
        names = set(client.keys("*"))
        assert {name for name in names if not name.startswith(b"qs_default_v1:")} == {b"qs_default_plan_queue", b"qs_default_v1"}
        assert client.lrange("qs_default_plan_queue", 0, -1) == [b"theirs"]


def test_prefixes_keep_stores_apart(server: RedisProcess) -> None:
    rigs = [Rig(server.url, prefix) for prefix in ("a", "b", "")]
    for rig, uid in zip(rigs, "abc", strict=True):
        rig.add(uid)
    for rig in rigs:
        rig.check()
        assert len(rig.state.queue) == 1
        rig.store.close()


def test_a_newer_format_and_a_damaged_store_are_left_alone(rig: Rig, server: RedisProcess) -> None:
    rig.store.close()
    with server.client() as client:
        client.hset(rig.address.key("meta"), "format", 2)
        before = contents(server)
        with pytest.raises(SchemaTooNew, match="format 2"):
            RedisStore(rig.address).acquire(owner())
        assert contents(server) == before
        client.hset(rig.address.key("meta"), "format", 1)
        for name, said in (("items", "items of the queue"), ("parts", "the state"), ("meta", "describes the rest")):
            saved = client.dump(rig.address.key(name))
            client.delete(rig.address.key(name))
            before = contents(server)
            with pytest.raises(StoreBroken, match=said) as raised:
                RedisStore(rig.address).acquire(owner())
            assert raised.value.hint
            assert contents(server) == before
            client.restore(rig.address.key(name), 0, saved)
    rig.open()
    rig.check()


# -- faults ------------------------------------------------------------------------------------


def test_killed_and_back_nothing_is_lost(rig: Rig, server: RedisProcess) -> None:
    for n in range(3):
        rig.add(f"k{n}")
        server.kill()
        with pytest.raises(StoreUnavailable, match="cannot be reached") as raised:
            rig.add("lost")
        assert raised.value.hint
        condition = rig.heard(lambda condition: condition.failure, "that it is away")
        assert not condition.stale
        server.start()
        rig.heard(lambda condition: not condition.failure, "that it is back")
        rig.add(f"after{n}")
    assert not any(condition.stale for condition in rig.conditions)
    rig.check()


def test_noticed_without_writing(rig: Rig, server: RedisProcess) -> None:
    server.kill()
    rig.heard(lambda condition: condition.failure, "that it is away")
    with pytest.raises(StoreUnavailable):
        rig.store.history(0, 9)
    server.start()
    rig.heard(lambda condition: not condition.failure, "that it is back")
    assert len(rig.store.history(0, 9)) == 2


@pytest.mark.parametrize("entries", [0, TAIL + 7])
def test_back_empty_it_is_written_anew(rig: Rig, server: RedisProcess, entries: int) -> None:
    if entries:
        rig.remember(*(f"e{n}" for n in range(entries)))
        rig.remember("last")
    with server.client() as client:
        client.flushall()
    try:
        rig.add("b2")
    except StoreUnavailable:  # unless the look of the lease has noticed it before: then it is written anew at once
        rig.repair()
    rig.heard(lambda condition: condition.alarm, "the alarm")
    (alarm,) = {condition.alarm for condition in rig.conditions if condition.alarm}
    assert "came back empty" in alarm
    assert ("oldest entries of the history are lost" in alarm) == bool(entries)
    rig.add("c")
    rig.check()
    assert rig.state.history.size == (TAIL if entries else 2)


def test_back_in_an_older_state_it_is_written_anew(rig: Rig, server: RedisProcess) -> None:
    rig.remember(*(f"e{n}" for n in range(30)))
    rig.store.load()
    copy = server.copy_files()
    rig.add("c", "d")
    rig.commit(ch.QueueRemoved(uids=("a",)))
    rig.remember("e30", "e31")
    server.kill()
    server.replace_files(copy)
    server.start()
    rig.repair()
    rig.add("e")
    rig.check()
    assert rig.state.history.size == 34  # what was there and fits stays, though no manager holds it any more
    assert [one.item_uid for one in rig.state.queue] == ["b", "c", "d", "e"]


def test_back_in_a_state_before_a_gap_the_old_history_is_set_aside(rig: Rig, server: RedisProcess) -> None:
    rig.store.load()
    copy = server.copy_files()
    for n in range(TAIL + 3):
        rig.remember(f"e{n}")
    server.kill()
    server.replace_files(copy)
    server.start()
    rig.repair()
    rig.check()
    assert rig.state.history.size == TAIL
    with server.client() as client:
        (aside,) = client.keys("qs_default_v1:aside:*")
        assert [Item.of_text(text).item_uid for text in client.lrange(aside, 0, -1)] == ["h0", "h1"]


def test_back_in_the_state_of_an_earlier_manager(rig: Rig, server: RedisProcess) -> None:
    """Its lease is still in there: it is waited for its end, then everything is written anew."""
    copy = server.copy_files()
    rig.store.close()
    rig.open()
    rig.add("c")
    server.kill()
    server.replace_files(copy)
    server.start()
    rig.repair()
    rig.check()
    assert [one.item_uid for one in rig.state.queue] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["items", "queue", "history", "parts", "pending", "results", "meta"])
def test_keys_that_the_server_threw_away_are_written_anew(rig: Rig, server: RedisProcess, name: str) -> None:
    rig.commit(next(change for change in EVERY_CHANGE if isinstance(change, ch.TaskFinished)))
    rig.store.load()
    with server.client() as client:
        for number in range(100):  # what is pending may be put in its place by the look of the lease in between
            rig.add(f"c{number}")
            if client.delete(rig.address.key(name)):
                break
        else:
            raise AssertionError("the test has nothing to delete")
    rig.repair()
    rig.check()


@pytest.mark.parametrize("name", [name for name in redis_server._KEYS if name != "scratch"])
def test_a_key_that_another_program_has_overwritten_is_set_aside(rig: Rig, server: RedisProcess, name: str) -> None:
    rig.commit(next(change for change in EVERY_CHANGE if isinstance(change, ch.TaskFinished)))
    rig.store.load()
    rig.add("c")
    key = rig.address.key(name)
    with server.client() as client:
        if name == "lease":  # it is a text itself
            with client.pipeline(transaction=True) as pipe:
                pipe.delete(key).rpush(key, "foo").execute()
        else:
            client.set(key, "foo")
        rig.repair()
        (aside,) = client.keys(rig.address.key(f"aside:*:{name}"))
        found = client.lindex(aside, 0) if name == "lease" else client.get(aside)
        assert found == b"foo"
    alarm = rig.heard(lambda condition: condition.alarm, "what happened").alarm
    assert alarm is not None
    if name == "meta":
        assert "came back empty" in alarm
    else:
        assert f"{key} was overwritten by another program" in alarm
        assert aside.decode() in alarm
    assert rig.store.history_number("h1") == 1
    rig.check()


def test_a_manager_that_starts_names_the_key_of_another_program(rig: Rig, server: RedisProcess) -> None:
    rig.store.close()
    with server.client() as client:
        for name in ("queue", "meta", "history"):
            saved = client.dump(rig.address.key(name))
            client.set(rig.address.key(name), "foo")
            before = contents(server)
            with pytest.raises(StoreBroken, match=f"{rig.address.key(name)} was overwritten by another program with a string"):
                RedisStore(rig.address).acquire(owner())
            assert contents(server) == before
            client.restore(rig.address.key(name), 0, saved, replace=True)
    rig.open()
    rig.check()


def test_only_the_last_event_is_told_and_goes_after_a_good_day(
    rig: Rig, server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.client() as client:
        client.flushall()
        rig.repair()
        rig.store.load()
        client.delete(rig.address.key("items"))
        rig.repair()
    alarm = rig.heard(lambda condition: "damaged" in (condition.alarm or ""), "the second event").alarm
    assert alarm is not None
    assert "came back empty" not in alarm
    assert alarm.count("written anew") == 1
    monkeypatch.setattr(rig.store, "_alarm_until", 0.0)
    rig.heard(lambda condition: condition == Condition(), "that all is well, and nothing else")


def test_full_it_refuses_and_takes_what_makes_it_smaller(rig: Rig, server: RedisProcess) -> None:
    rig.remember(*(f"e{n}" for n in range(2000)))
    with server.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 100_000)
        with pytest.raises(StoreFull, match="is full") as raised:
            rig.add("refused")
        assert "maxmemory" in raised.value.hint
        condition = rig.heard(lambda condition: condition.failure, "that it is full")
        assert not condition.stale
        rig.commit(ch.HistoryTrimmed(count=1990))
        rig.commit(ch.QueueRemoved(uids=("b",)))
        while rig.store.tidy():
            pass
        client.config_set("maxmemory", 0)
    rig.heard(lambda condition: not condition.failure, "that there is room")
    rig.add("c")
    rig.check()
    assert [one.item_uid for one in rig.state.queue] == ["a", "c"]


def test_a_full_server_can_be_acquired_and_cleared(rig: Rig, server: RedisProcess) -> None:
    rig.add(*(f"q{n}" for n in range(500)))
    with server.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 100_000)
        rig.store.close()
        rig.open()
        rig.commit(ch.QueueCleared())
        rig.check()
        client.config_set("maxmemory", 0)


def test_a_read_only_replica(rig: Rig, server: RedisProcess) -> None:
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            rig.add("refused")
        rig.heard(lambda condition: condition.failure and "replica" in condition.failure, "that it is read-only")
        client.replicaof("NO", "ONE")
    rig.heard(lambda condition: not condition.failure, "that it can be written")
    rig.add("c")
    rig.check()


def test_a_server_that_hangs_is_given_up_and_nothing_is_done_twice(
    rig: Rig, server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit reaches the server, its answer does not come: what was refused must not be there afterwards."""
    monkeypatch.setattr(redis_server, "TIME_OUT", 0.5)
    rig.store.close()
    rig.open()
    rig.add("c")
    server.stop()
    with pytest.raises(StoreUnavailable, match="does not answer") as doubtful:
        rig.add("lost")
    assert "may have been made" in doubtful.value.hint
    with pytest.raises(StoreUnavailable) as certain:
        rig.remember("x")
    assert "Nothing was changed" in certain.value.hint
    rig.heard(lambda condition: condition.failure, "that it hangs")
    server.go_on()
    rig.heard(lambda condition: not condition.failure, "that it answers")
    loaded = rig.store.load()
    assert loaded is not None
    assert kept(loaded) == kept(rig.state)
    rig.add("lost")  # as a client repeats what was refused
    rig.check()
    assert [one.item_uid for one in rig.state.queue] == ["a", "b", "c", "lost"]


def test_an_answer_that_is_lost_is_taken_back_by_the_next_commit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    call = redis_server.RedisServer.call

    def without_answer(self: redis_server.RedisServer, command: str, *words: redis_server.Word) -> object:
        answer = call(self, command, *words)
        if command in ("commit", "replace") and lose:
            lose.pop()
            raise StoreUnavailable("the answer was lost")
        return answer

    monkeypatch.setattr(redis_server.RedisServer, "call", without_answer)
    for n in range(10):
        lose = ["once"] * (n % 3 + 1)
        while lose:
            with pytest.raises(StoreUnavailable):
                rig.add("same") if n % 2 else rig.commit(ch.QueueCleared())
            rig.heard(lambda condition: not condition.failure, "that it answers")
        rig.add(f"n{n}")
    lose = []
    rig.check()
    assert len(rig.state.queue) == 12


def test_a_commit_that_comes_late_does_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was held up on its way, given up, and another one was done meanwhile."""
    call = redis_server.RedisServer.call
    held: list[tuple[redis_server.Word, ...]] = []

    def held_up(self: redis_server.RedisServer, command: str, *words: redis_server.Word) -> object:
        if command == "commit" and not held:
            held.append((command, *words))
            raise StoreUnavailable("it is on its way")
        return call(self, command, *words)

    monkeypatch.setattr(redis_server.RedisServer, "call", held_up)
    with pytest.raises(StoreUnavailable):
        rig.add("late")
    rig.heard(lambda condition: not condition.failure, "that it answers")
    rig.add("instead")
    connection = redis_server.RedisServer(rig.address)
    assert connection.call(*held[0])[0] != b"right"
    rig.add("more")
    assert connection.call(*held[0])[0] != b"right"
    connection.close()
    rig.store.load()
    monkeypatch.undo()
    rig.check()
    assert [one.item_uid for one in rig.state.queue] == ["a", "b", "instead", "more"]


# -- reaching it -------------------------------------------------------------------------------


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        store = RedisStore(RedisAddress(f"redis://127.0.0.1:{taken.getsockname()[1]}/0"))
        with pytest.raises(StoreUnavailable, match="cannot be reached") as raised:
            store.acquire(owner())
        assert raised.value.hint
        with pytest.raises(StoreUnavailable, match="not open"):
            store.load()
        store.close()


def test_password(server: RedisProcess) -> None:
    with server.client() as client:
        client.config_set("requirepass", "hush")
    for password in (None, "wrong"):
        with pytest.raises(StoreUnavailable, match="refuses this user or password") as raised:
            RedisStore(RedisAddress(server.url, password=password)).acquire(owner())
        assert "wrong" not in str(raised.value)
    store = RedisStore(RedisAddress(server.url, password="hush"))
    assert store.acquire(owner()) == 1
    store.close()


def test_settings_by_which_commits_may_be_lost(server: RedisProcess) -> None:
    with server.client() as client:
        store = RedisStore(RedisAddress(server.url))
        store.acquire(owner())
        assert store.remarks == ()
        store.close()
        client.config_set("appendonly", "no")
        client.config_set("maxmemory", 10**9)
        client.config_set("maxmemory-policy", "allkeys-lru")
        store.acquire(owner())
        assert len(store.remarks) == 2
        assert "appendonly yes" in store.remarks[0]
        assert "allkeys-lru" in store.remarks[1]
        store.close()
        client.execute_command("ACL SETUSER default -config")
        store.acquire(owner())
        assert store.remarks == ()  # nothing can be said
        store.close()
    assert told({"appendonly": "yes", "appendfsync": "everysec"}) != []
    assert told({"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "allkeys-lru", "maxmemory": "0"}) == []


def test_without_the_client_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StoreUnavailable, match="needs the Python package 'redis'") as raised:
        RedisStore(RedisAddress("redis://127.0.0.1:1/0")).acquire(owner())
    assert "pip install" in raised.value.hint


# -- size --------------------------------------------------------------------------------------


@pytest.fixture
def commands(shared: RedisProcess) -> Callable[[], dict[str, int]]:
    """Count the calls of each command since the last look."""

    def look() -> dict[str, int]:
        with shared.client() as client:
            found = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
            client.config_resetstat()
            return found

    return look


def test_the_queue_is_read_in_portions(shared: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(shared.url, str(tmp_path))
    rig.add(*(f"q{n}" for n in range(25)))
    for items_at_once, bytes_at_once in ((3, 10**6), (7, 150), (100, 1), (25, 10**6)):
        monkeypatch.setattr(redis, "_READ_ITEMS", items_at_once)
        monkeypatch.setattr(redis, "_READ_BYTES", bytes_at_once)
        loaded = rig.store.load()
        assert loaded is not None
        assert kept(loaded) == kept(rig.state)
    with shared.client() as client:
        client.hdel(rig.address.key("items"), "q3")
        client.hset(rig.address.key("items"), "stray", "{}")
    with pytest.raises(StoreBroken, match="text of q3 is missing"):
        rig.store.load()
    rig.store.close()


def test_an_edit_of_a_long_queue_is_one_small_call(
    shared: RedisProcess, tmp_path: Path, commands: Callable[[], dict[str, int]]
) -> None:
    rig = Rig(shared.url, str(tmp_path))
    rig.store._keeper.stop()
    rig.add(*(f"q{n}" for n in range(20_000)))
    rig.store.load()
    edits = [
        ch.QueueMoved(uids=("q19999",), before="q5"),
        ch.QueueInserted(items=items("new"), before="q10000"),
        ch.QueueRemoved(uids=("q0",)),
        ch.HistoryAppended(items=items("h")),
    ]
    for edit in edits:
        commands()
        rig.commit(edit)
        found = commands()
        assert found["cmdstat_evalsha"] == 1, edit
        assert sum(found.values()) < 60, edit
    rig.check()
    rig.store.close()


def test_trimming_many_entries_is_only_marked_and_cleared_in_slices(
    shared: RedisProcess, tmp_path: Path, commands: Callable[[], dict[str, int]]
) -> None:
    rig = Rig(shared.url, str(tmp_path))
    for start in range(0, 12_000, 4000):
        rig.remember(*(f"h{n}" for n in range(start, start + 4000)))
    rig.store.load()
    commands()
    rig.commit(ch.HistoryTrimmed(count=11_000))
    assert sum(commands().values()) < 250, "some for each call, renewals of the lease among them; none for each entry"
    slices = 1
    while rig.store.tidy():
        slices += 1
    assert slices == 6
    with shared.client() as client:
        assert client.llen(rig.address.key("history")) == 1000
        assert client.hlen(rig.address.key("history_numbers")) == 1000
    rig.check()
    rig.store.close()
