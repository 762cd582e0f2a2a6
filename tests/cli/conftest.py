"""The recorder as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_recorder import Recorder


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A recorder that is found by the environment variable."""
    for name in ("QSERVER_ZMQ_PUBLIC_KEY", "QSERVER_ZMQ_ENCODING", "JUPYTER_QUEUESERVER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    made = Recorder(f"ipc://{tmp_path}/s")
    monkeypatch.setenv("QSERVER_ZMQ_CONTROL_ADDRESS", made.address)
    yield made
    made.close()
