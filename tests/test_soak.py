"""The short form of ``python -m benchmarks.soak``: a small crowd at a real Jupyter server, and nothing of it is left behind."""

from __future__ import annotations

import pytest

from benchmarks.bench import Bench
from benchmarks.soak import crowd_report, crowd_soak, parser


def test_a_crowd_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--minutes=0.1", "--clients=12", "--slow=6", "--editors=3", "--items=300", "--plans=3", "--pause=0.02"]
    options = parser().parse_args(words)
    with Bench(quick=True) as bench:
        found = crowd_soak(bench, options)
    print("\n".join(crowd_report(found, options)))
    assert found.missed == 0
    assert found.store_failure is None
    assert all(listener.messages for listener in found.crowd.awake)
    assert all(editor.operations for editor in found.crowd.editors)
    assert len(found.gaps) > 3, "the queue went on"
    leaked = {role: numbers for role, numbers in found.files.items() if numbers[1] > numbers[0] + 2}
    assert not leaked, "open files before and after"
    assert "| manager |" in capsys.readouterr().out
