"""Orders that come while a manager that has just started looks for the worker of the one before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jupyter_queueserver.link.errors import WorkerUnreachable
from jupyter_queueserver.manager import orders
from jupyter_queueserver.manager.orders import Orders


class Search:
    """Stands for the environment: a worker that is found when it is said, or not."""

    def __init__(self) -> None:
        self.link: Any = None
        self.over = asyncio.Event()
        unused: Any = None
        self.orders = Orders(lambda: self.link, self.over.wait, 1, unused, unused, unused)


def test_an_order_waits_for_the_worker() -> None:
    async def scenario() -> None:
        search = Search()

        async def tell(link: Any) -> str:
            return f"told to {link}"

        order = asyncio.create_task(search.orders.told(tell))
        await asyncio.sleep(0)
        assert not order.done()
        search.link = "worker"
        search.over.set()
        assert await order == "told to worker"

    asyncio.run(scenario())


@pytest.mark.parametrize("over", [False, True], ids=["in vain", "none"])
def test_it_is_refused_if_there_is_none(monkeypatch: pytest.MonkeyPatch, over: bool) -> None:
    monkeypatch.setattr(orders, "_SEEKING", 0.01)

    async def scenario() -> None:
        search = Search()
        if over:
            search.over.set()

        async def tell(link: Any) -> None:
            raise AssertionError("nobody is there")

        with pytest.raises(WorkerUnreachable, match="not found its worker") as caught:
            await search.orders.told(tell)
        assert "Nothing was done" in caught.value.to_wire()["hint"]

    asyncio.run(scenario())
