"""The whole way with real processes: RunEngine -> journal -> relay -> Tiled -> Databroker, with kill -9 on the way."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from document_samples import event_document, run_documents, stop_of

from jupyter_queueserver.documents.catalog import databroker_catalog, wait_delivered
from jupyter_queueserver.documents.dead_letters import list_dead_letters
from jupyter_queueserver.documents.deaths import mark_dead
from jupyter_queueserver.documents.embedded import missing_modules, read_server, stop_server
from jupyter_queueserver.documents.journal import JournalWriter
from jupyter_queueserver.documents.launch import start_relay
from jupyter_queueserver.documents.status import ConsumerStatus, read_status

pytestmark = [
    pytest.mark.skipif(bool(missing_modules()), reason="needs the extra [data]"),
    pytest.mark.filterwarnings("default"),  # databroker, tiled and pandas warn of things of their own
]

WAIT = 90.0
SCRIPT = Path(__file__).with_name("run_engine_script.py")


@contextmanager
def broker(instance: Instance) -> Iterator[Any]:
    """The Databroker as a user gets it, closed afterwards."""
    db: Any = databroker_catalog(instance.data)
    try:
        yield db
    finally:
        db.v2.context.http_client.close()


class Instance:
    """A data directory with a relay that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.sockets = folder / "s"
        self.journal = self.data / "journal"
        self.data.mkdir()
        (self.data / "runtime.json").touch()
        self.relay = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        self.relay = start_relay(self.data, self.sockets, self.data / "logs" / "relay.log")
        return self.relay

    def kill(self) -> None:
        self.relay.kill()
        self.relay.wait()

    def wait_status(self, good: Callable[[ConsumerStatus], bool]) -> None:
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            status = read_status(self.journal)
            found = [c for c in status.consumers if c.name == "databroker"] if status and status.running else []
            if found and status and status.pid == self.relay.pid and good(found[0]):
                return
            time.sleep(0.02)
        log = (self.data / "logs" / "relay.log").read_text()
        raise AssertionError(f"the status never came: {read_status(self.journal)}\n{log[-3000:]}")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        made = Instance(tmp_path_factory.mktemp("instance"))
        try:
            yield made
        finally:
            made.relay.terminate()
            made.relay.wait(WAIT)
            stop_server(made.data / "databroker")


@pytest.fixture(scope="module")
def uids(instance: Instance) -> list[str]:
    """Two complete runs and one that was cut after 20 of 50 points, with the relay killed twice on the way."""
    command = [sys.executable, str(SCRIPT), str(instance.data), str(instance.sockets), "env-a"]
    worker = subprocess.run(command, capture_output=True, text=True, check=False)
    assert worker.returncode == -9, worker.stderr
    instance.wait_status(lambda status: status.delivered > 0)
    instance.kill()  # in the middle of the deliveries
    instance.start()
    instance.wait_status(lambda status: status.backlog == 0 and status.state == "waiting")
    return worker.stdout.split()


def test_complete_runs_are_in_databroker_once(instance: Instance, uids: list[str]) -> None:
    scan, count, _ = uids
    wait_delivered(instance.data, count, WAIT)
    with broker(instance) as db:
        table = db[scan].table()
        assert list(table["motor"]) == pytest.approx([0.1 * n for n in range(11)])
        assert len(table["det"]) == 11
        assert db[scan].stop["exit_status"] == "success"
        assert [header.start["uid"] for header in db(sample="Cu")] == [scan]
        assert db.v2[count]["primary"].read()["image"].shape == (3, 32, 24)
        assert len(db.v2) == 3
        names = [name for name, _ in db[scan].documents()]
        assert (names[0], names[-1]) == ("start", "stop")


def test_an_open_run_can_be_read_and_the_dead_one_is_closed_as_failed(instance: Instance, uids: list[str]) -> None:
    cut = uids[2]
    with broker(instance) as db:
        assert len(db[cut].table()) == 20
        assert not db[cut].stop
    instance.kill()  # the run is in the catalog in part
    mark_dead(instance.journal, "env-a", "the worker was killed", 2_000_000_000.0)
    instance.start()
    wait_delivered(instance.data, cut, WAIT)
    with broker(instance) as db:
        assert list(db[cut].table().index) == list(range(1, 21))
        assert (db[cut].stop["exit_status"], db[cut].stop["reason"]) == ("fail", "the worker was killed")
        assert db[cut].stop["num_events"] == {"primary": 20}
        assert len(db.v2) == 3


@pytest.mark.usefixtures("uids")
def test_a_document_that_tiled_refuses_is_put_aside_and_the_run_is_saved(instance: Instance) -> None:
    writer = JournalWriter(instance.journal, "env-b", bell=instance.sockets / "relay.bell")
    documents = run_documents("poisoned", events=6, time=time.time())
    documents[4] = ("event", event_document("poisoned", 3, x="not a number"))
    for name, doc in [*documents, *run_documents("healthy", events=2, time=time.time())]:
        writer.append(name, doc)
    writer.close()
    wait_delivered(instance.data, "healthy", WAIT)
    with broker(instance) as db:
        assert list(db["poisoned"].table()["x"]) == [1.0, 2.0, 4.0, 5.0, 6.0]
        assert db["poisoned"].stop["uid"] == stop_of("poisoned", 6)["uid"]
        assert list(db["healthy"].table()["x"]) == [1.0, 2.0]
    [letter] = list_dead_letters(instance.journal, "databroker")
    assert (letter.environment_id, letter.seq, letter.name) == ("env-b", 5, "event")


@pytest.mark.usefixtures("uids")
def test_the_server_is_private(instance: Instance) -> None:
    folder = instance.data / "databroker"
    info = read_server(folder)
    assert info is not None
    assert info.address.startswith("http://127.0.0.1:")
    for name in ("server.json", "key"):
        assert (folder / name).stat().st_mode & 0o077 == 0
    command_line = Path(f"/proc/{info.identity.pid}/cmdline").read_bytes()
    assert info.api_key.encode() not in command_line
    assert info.api_key not in (folder / "server.log").read_text()
