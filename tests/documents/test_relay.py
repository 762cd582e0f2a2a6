"""The relay: one per journal, wakes at its bell, keeps consumers apart, ends when nobody needs it, survives kill -9."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from document_samples import run_documents

from jupyter_queueserver.documents.consumers import Consumer
from jupyter_queueserver.documents.journal import JournalWriter
from jupyter_queueserver.documents.launch import find_relay, start_relay, stop_relay
from jupyter_queueserver.documents.reader import Entry
from jupyter_queueserver.documents.relay import AlreadyRunning, Relay, RelaySettings
from jupyter_queueserver.documents.status import ConsumerStatus, read_status

WAIT = 20.0


class Gated:
    """A consumer that takes a batch only while its gate is open."""

    durable = True
    whole_runs = False
    arrays = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.changed = threading.Condition()
        self.taken: list[int] = []

    def deliver(self, batch: Sequence[Entry]) -> None:
        self.entered.set()
        assert self.gate.wait(WAIT)
        with self.changed:
            self.taken += [entry.seq for entry in batch]
            self.changed.notify_all()

    def idle(self) -> float | None:
        return None

    def abort(self) -> None:
        return None

    def close(self) -> None:
        return None

    def wait_for(self, count: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.taken) >= count, WAIT)


Running = Callable[..., Relay]


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def running(journal: Path, sockets: Path) -> Iterator[Running]:
    """Start a relay in a thread: ``running(consumers, **settings)``."""
    started: list[tuple[Relay, threading.Thread]] = []

    def start(consumers: Sequence[Consumer], settings: RelaySettings | None = None) -> Relay:
        relay = Relay(journal.parent, sockets, consumers, settings)
        thread = threading.Thread(target=relay.run)
        thread.start()
        started.append((relay, thread))
        return relay

    (journal.parent / "runtime.json").touch()
    yield start
    for relay, thread in started:
        relay.stop()
        thread.join(WAIT)
        assert not thread.is_alive()


def status_when(journal: Path, good: Callable[[dict[str, ConsumerStatus]], bool]) -> dict[str, ConsumerStatus]:
    """Wait until the published status is as wanted."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        status = read_status(journal)
        found = {consumer.name: consumer for consumer in status.consumers} if status else {}
        if found and good(found):
            return found
        time.sleep(0.01)
    raise AssertionError(f"the status never came: {read_status(journal)}")


def test_a_slow_consumer_does_not_hold_up_another(journal: Path, sockets: Path, running: Running) -> None:
    slow, fast = Gated("slow"), Gated("fast")
    fast.gate.set()
    running([slow, fast], RelaySettings(look=60.0))  # only the bell can wake it in time
    writer = JournalWriter(journal, "env", bell=sockets / "relay.bell")
    for name, doc in run_documents("a"):
        writer.append(name, doc)
    assert slow.entered.wait(WAIT)
    for name, doc in run_documents("b"):
        writer.append(name, doc)
    writer.close()
    assert fast.wait_for(12)
    assert slow.taken == []
    found = status_when(journal, lambda all_: all_["fast"].backlog == 0 and all_["slow"].backlog == 12)
    assert found["slow"].state == "delivering"
    assert found["fast"].last_success is not None
    slow.gate.set()
    assert slow.wait_for(12)
    status_when(journal, lambda all_: all_["slow"].backlog == 0)
    assert slow.taken == list(range(1, 13))


def test_the_bell_ends_the_wait(journal: Path, sockets: Path) -> None:
    times = itertools.count(1000.0, 100.0)
    relay = Relay(journal.parent, sockets, [], RelaySettings(look=60.0), timer=lambda: next(times))
    relay.look()
    waiting = threading.Thread(target=relay._wait)
    waiting.start()
    writer = JournalWriter(journal, "env", bell=sockets / "relay.bell")
    writer.append(*run_documents("a")[0])
    waiting.join(WAIT)
    assert not waiting.is_alive()
    writer.close()
    relay.stop()
    relay.run()


def test_documents_without_a_bell_are_found_by_looking(journal: Path, running: Running) -> None:
    consumer = Gated("c")
    consumer.gate.set()
    running([consumer], RelaySettings(look=0.05))
    writer = JournalWriter(journal, "env")
    writer.append(*run_documents("a")[0])
    assert consumer.wait_for(1)
    writer.close()


def test_a_second_relay_is_refused(journal: Path, sockets: Path, running: Running) -> None:
    running([])
    with pytest.raises(AlreadyRunning):
        Relay(journal.parent, sockets, [])


def test_a_stale_bell_is_replaced(journal: Path, sockets: Path, running: Running) -> None:
    sockets.mkdir(mode=0o700)
    (sockets / "relay.bell").touch()
    running([])
    assert (sockets / "relay.bell").is_socket()


def test_it_ends_by_itself_without_an_instance_but_not_with_a_backlog(journal: Path, sockets: Path) -> None:
    consumer = Gated("c")
    writer = JournalWriter(journal, "env")
    writer.append(*run_documents("a")[0])
    writer.close()
    relay = Relay(journal.parent, sockets, [consumer], RelaySettings(look=0.01, linger=0.05))
    thread = threading.Thread(target=relay.run)
    thread.start()
    assert consumer.entered.wait(WAIT)
    thread.join(0.3)
    assert thread.is_alive()
    consumer.gate.set()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert not (sockets / "relay.bell").exists()
    status = read_status(journal)
    assert status is not None
    assert not status.running
    assert status.consumers[0].backlog == 0


@pytest.mark.usefixtures("child_environment")
def test_the_process_is_small_alone_and_ends_at_sigterm(journal: Path, sockets: Path) -> None:
    data = journal.parent
    (data / "runtime.json").touch()
    process = start_relay(data, sockets, data / "logs" / "relay.log", saver="none")
    try:
        status_when(journal, lambda all_: "live" in all_)
        second = subprocess.run(
            [
                sys.executable,
                "-m",
                "jupyter_queueserver.documents",
                "--data-dir",
                data,
                "--socket-dir",
                sockets,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "already" in second.stderr
        memory = Path(f"/proc/{process.pid}/status").read_text().split("VmRSS:")[1].split()[0]
        assert int(memory) < 30_000  # kB
        assert os.getsid(process.pid) == process.pid
        found = find_relay(data)
        assert found is not None
        assert found.pid == process.pid
        assert stop_relay(data, WAIT)
        assert process.wait(WAIT) == 0
        assert find_relay(data) is None
        assert stop_relay(data, WAIT)
    finally:
        process.kill()
        process.wait()
    assert not json.loads((journal / "status.json").read_bytes())["running"]
    assert not (sockets / "relay.bell").exists()
