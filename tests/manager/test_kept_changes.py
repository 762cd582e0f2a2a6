"""The changes that are kept for those who come back are bounded in number and in bytes."""

from __future__ import annotations

import asyncio

import pytest
import zmq.asyncio
from manager_parts import item, open_state

from jupyter_queueserver.core.changes import EngineSet, QueueInserted
from jupyter_queueserver.manager import events as events_module
from jupyter_queueserver.manager.events import EventStream


def test_kept_changes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "_KEPT_BYTES", 100_000)

    async def main() -> None:
        context = zmq.asyncio.Context()
        state = open_state()
        stream = EventStream(
            context, "inproc://kept", "life", state=lambda: state, status=lambda: b"{}", console=lambda offset, limit: []
        )
        big = QueueInserted(items=tuple(item(f"u{n}") for n in range(200)))
        for seq in range(1, 101):
            stream.publish([big], seq, state)
            assert sum(len(bytes(text)) for _, text, _ in stream._changes) == stream._kept_bytes <= 100_000
        assert stream._changes[-1][0] == 100
        huge = QueueInserted(items=tuple(item(f"u{n}") for n in range(2000)))
        stream.publish([huge], 101, state)
        assert not stream._changes
        assert stream._kept_bytes == 0
        monkeypatch.setattr(events_module, "_KEPT_BYTES", 10**9)
        stream.publish([EngineSet(engine="idle")] * 6000, 102, state)
        assert len(stream._changes) == events_module._KEPT_CHANGES
        await stream.close("done")
        context.term()

    asyncio.run(main())
