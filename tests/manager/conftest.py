"""The stage for watchdog tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog_stage import ROOT, Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="jqs-test-") as short:
        stage = Stage(tmp_path / "data", Path(short))
        monkeypatch.setenv("FAKE_WITNESS", stage.witness_address)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        yield stage
        stage.clear()
