"""Faults between two steps of the manager: only where a script in the instance wants them, and each once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_queueserver.core.changes import HistoryTrimmed, QueueCleared
from jupyter_queueserver.core.errors import StoreUnavailable
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.manager import faultpoints
from jupyter_queueserver.storage import MemoryStore

CLEARED = [QueueCleared()]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.setattr(faultpoints, "_script", None)
    return Instance(tmp_path)


def write(instance: Instance, monkeypatch: pytest.MonkeyPatch, *faults: dict[str, Any], folder: Path | None = None) -> Path:
    path = (folder or instance.data_dir) / "faults.json"
    path.write_text(json.dumps(faults))
    monkeypatch.setenv(faultpoints.VARIABLE, str(path))
    faultpoints.activate(instance)
    return path


class Store:
    """A store that counts."""

    def __init__(self) -> None:
        self.commits = 0
        self.colour = "green"

    def commit(self, changes: Any, after: Any) -> None:
        self.commits += 1


def test_without_a_script_the_store_is_left_alone(place: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(faultpoints.VARIABLE, raising=False)
    faultpoints.activate(place)
    store = MemoryStore()
    assert faultpoints.watched(store) is store


def test_a_script_outside_of_the_instance_is_not_followed(
    place: Instance, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(place, monkeypatch, {"point": "publish"}, folder=tmp_path_factory.mktemp("other"))
    faultpoints.reach("publish", CLEARED)  # this process would be dead
    assert len(json.loads(path.read_text())) == 1
    assert "outside" in caplog.text


def test_a_fault_strikes_where_and_as_often_as_is_written(place: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, monkeypatch, {"point": "commit", "about": "QueueCleared", "action": "refuse", "skip": 1, "times": 2})
    inner = Store()
    store: Any = faultpoints.watched(inner)  # type: ignore[arg-type]
    store.commit([HistoryTrimmed(count=1)], None)
    store.commit(CLEARED, None)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.commit(CLEARED, None)
    store.commit(CLEARED, None)
    assert inner.commits == 3
    assert store.colour == "green"


def test_it_is_crossed_out_before_it_kills(tmp_path: Path) -> None:
    """Else the next life of the manager would die of it again."""
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([{"point": "published", "about": "QueueCleared"}]))
    code = (
        "from pathlib import Path\n"
        "from jupyter_queueserver.core.changes import QueueCleared\n"
        "from jupyter_queueserver.instance import Instance\n"
        "from jupyter_queueserver.manager import faultpoints\n"
        f"faultpoints.activate(Instance(Path({str(tmp_path)!r})))\n"
        "faultpoints.reach('publish', [QueueCleared()])\n"
        "faultpoints.reach('published', [QueueCleared()])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={faultpoints.VARIABLE: str(path)}, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert json.loads(path.read_text()) == []
