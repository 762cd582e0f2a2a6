"""The worker is told to forget what the store holds, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from manager_parts import open_state, rig

from jupyter_queueserver.core.reports import EngineState
from jupyter_queueserver.core.state import State
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.link.spool import SpoolReader, SpoolWriter
from jupyter_queueserver.link.worker import WorkerLink
from jupyter_queueserver.manager import environment as environment_module
from jupyter_queueserver.manager.environment import Environment
from jupyter_queueserver.manager.settings import Settings


class FakeLink:
    """A worker with a spool of small segments, which forgets what it is told to."""

    environment_id = "e"
    damage = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spool = SpoolWriter(directory, segment_bytes=100)
        self.reader = SpoolReader(directory)
        self.acknowledged: list[int] = []

    def reports_since(self, n: int) -> list[tuple[int, Any]]:
        return self.reader.since(n)

    def take_contradiction(self) -> str | None:
        return self.reader.take_contradiction()

    async def ack(self, n: int) -> None:
        self.acknowledged.append(n)
        self.spool.acknowledge(n)


def test_only_what_is_committed_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager that dies after the acknowledgement leaves a store from which the spool can go on."""
    monkeypatch.setattr(environment_module, "_ACK_EVERY", 4)

    async def main() -> tuple[list[int], State | None]:
        async with rig(open_state(running="a")) as made:
            hands = Environment(
                cast(Instance, None),
                cast(Settings, None),
                1,
                on_console=lambda: None,
                on_opened=lambda: None,
                on_replaced=lambda: None,
            )
            hands.connect(made.writer)
            link = FakeLink(tmp_path)
            hands.link = cast(WorkerLink, link)
            for n in range(20):
                link.spool.append(EngineState(time=1.0, state=("running", "pausing")[n % 2]))
            await hands._bring_reports()
            assert made.writer.state.environment.reports_applied == 20
            assert link.acknowledged == []
            await made.call("queue_stop")  # stored, and with it what the reports changed
            await hands._bring_reports()
            assert link.acknowledged == [20]
            link.spool.append(EngineState(time=1.0, state="idle"))
            await hands._bring_reports()
            hands.link = None
            link.spool.close()
            return link.acknowledged, made.store.load()

    acknowledged, stored = asyncio.run(main())
    assert acknowledged == [20]
    assert stored is not None
    assert stored.environment.reports_applied == 20
    reader = SpoolReader(tmp_path)
    assert [n for n, _ in reader.since(20)] == [21]
    assert reader.damage is None
