"""Requests that come while a manager that has just started looks for the worker of the one before."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from jupyter_queueserver.manager.replies import Answerer
from jupyter_queueserver.manager.writer import Outcome


class Decided:
    """Stands for the writer: notes what is decided, and grants it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def call(self, call: Any, fetched: Any, key: Any) -> Outcome:
        self.calls.append(call.method.name)
        return Outcome({"success": True, "msg": ""}, (), True)


def test_what_is_meant_for_the_worker_is_decided_when_it_is_known_whether_there_is_one() -> None:
    async def scenario() -> None:
        writer: Any = Decided()
        unused: Any = None
        known = asyncio.Event()
        answerer = Answerer(writer, unused, worker_looked_for=known.wait)

        async def ask(method: str) -> bool:
            return json.loads(await answerer.answer(json.dumps({"method": method}).encode()))["success"]

        pause = asyncio.create_task(ask("re_pause"))
        assert await ask("queue_clear")
        assert writer.calls == ["queue_clear"]
        assert not pause.done()
        known.set()
        assert await pause
        assert writer.calls == ["queue_clear", "re_pause"]

    asyncio.run(scenario())
