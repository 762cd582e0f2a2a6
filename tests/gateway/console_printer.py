"""Somebody who prints in the environment of the fake manager, for tests of console output."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_manager import FakeManager

LIMIT = 60.0


class Printer:
    """Prints in the environment of the fake manager."""

    def __init__(self, manager: FakeManager, environment_id: str = "e1") -> None:
        self.manager = manager
        self.environment_id = environment_id
        self.offset = 0

    def say(self, text: str, *, again: int = 0) -> None:
        """Send text; ``again``: bytes at its begin that were sent before."""
        size = len(text.encode())
        begin = self.offset - again
        self.offset = begin + size
        self.manager.tell(
            "console",
            {
                "kind": "console",
                "environment_id": self.environment_id,
                "offset": begin,
                "end": self.offset,
                "text": text,
                "time": 5.5,
            },
        )

    def log(self, text: str) -> None:
        """Let manager or watchdog write into their logs."""
        self.manager.tell("console", {"kind": "log", "text": text, "time": 6.5})


@pytest.fixture
def printer(manager: FakeManager, jp_serverapp: Any, jp_asyncio_loop: Any) -> Printer:
    """Prints; the gateway listens."""

    async def heard() -> None:
        async with asyncio.timeout(LIMIT):
            while "console" not in (await manager.subscriptions.get())["topics"]:
                pass

    jp_asyncio_loop.run_until_complete(heard())
    return Printer(manager)
