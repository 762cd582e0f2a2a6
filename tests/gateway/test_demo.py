"""The demo, interrupted: nothing of it stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_queueserver.instance import ProcessWatch

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
LIMIT = 60.0


@pytest.fixture
def places() -> Iterator[dict[str, str]]:
    """Short private places for everything that the demo puts anywhere; they also tell its processes from others."""
    folder = Path(tempfile.mkdtemp(prefix="jqs-test-", dir="/tmp"))
    found = {"TMPDIR": str(folder / "t"), "XDG_RUNTIME_DIR": str(folder / "r")}
    for place in found.values():
        Path(place).mkdir()
    yield found
    for pid in processes(found):
        ProcessWatch(pid).send_signal(signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def processes(places: dict[str, str]) -> list[int]:
    """Living processes that inherited the places."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
            if f"XDG_RUNTIME_DIR={places['XDG_RUNTIME_DIR']}".encode() in words and not ProcessWatch(int(folder.name)).is_dead():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by their environment")
def test_ctrl_c_leaves_nothing(places: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO), "--output", str(tmp_path / "out")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=os.environ | places, **pipes) as demo:
        assert demo.stdout is not None
        assert any("started   " in line for line in demo.stdout), "no plan was started"
        assert len(processes(places)) > 3
        demo.send_signal(signal.SIGINT)
        _, said = demo.communicate(timeout=LIMIT)
    assert demo.returncode == 130
    assert said.strip() == "demo interrupted"
    assert processes(places) == []
    assert [list(Path(place).iterdir()) for place in places.values()] == [[], []]
