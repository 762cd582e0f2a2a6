"""The memory of a process, as far as the system tells it."""

from __future__ import annotations

import os
import sys

import pytest

from jupyter_queueserver.link import memory
from jupyter_queueserver.link.memory import MemoryWatch

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")


def test_a_living_process_is_measured() -> None:
    watch = MemoryWatch(os.getpid())
    assert watch.largest is not None
    assert watch.largest > 5_000_000
    watch.note(2_000_000_000_000)
    watch.look()
    assert watch.text() == "it had used up to 2000000 MB of memory"


def test_a_process_that_is_gone_is_not() -> None:
    watch = MemoryWatch(2**22 + 1)
    assert (watch.largest, watch.text()) == (None, "")


@pytest.mark.parametrize(("before", "after", "told"), [(3, 4, True), (3, 3, False), (None, 4, False), (3, None, False)])
def test_whether_the_system_has_killed(
    before: int | None, after: int | None, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "system_kills", lambda: before)
    watch = MemoryWatch(os.getpid())
    monkeypatch.setattr(memory, "system_kills", lambda: after)
    assert watch.system_has_killed() is told
