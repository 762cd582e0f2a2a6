"""The history page by page."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import Stage
from hypothesis import given
from hypothesis import strategies as st

from jupyter_queueserver.api import parse_request, read_call
from jupyter_queueserver.api.registry import Context
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.changes import HistoryAppended
from jupyter_queueserver.core.items import Item

CONTEXT = Context(epoch="e", version="0", local_time=str)


def with_history(size: int) -> Stage:
    stage = Stage()
    items = tuple(Item({"item_uid": f"h{n}", "item_type": "plan", "name": "count"}) for n in range(size))
    stage.submit(lambda step: step.emit(HistoryAppended(items=items)))
    return stage


def page(stage: Stage, **params: Any) -> dict[str, Any]:
    reply = read_call(parse_request({"method": "history_get", "params": params}), stage.state, CONTEXT)
    return codec.from_json(codec.to_json(reply))


@given(size=st.integers(0, 12), limit=st.integers(1, 5))
def test_pages_together_are_the_history(size: int, limit: int) -> None:
    stage = with_history(size)
    whole = page(stage)["items"]
    assert len(whole) == size
    found: list[Any] = []
    params: dict[str, Any] = {}
    while True:
        reply = page(stage, limit=limit, **params)
        assert reply["items_in_history"] == size
        assert len(reply["items"]) <= limit
        if not reply["items"]:
            break
        found = reply["items"] + found
        params = {"before_uid": reply["items"][0]["item_uid"]}
    assert found == whole


@pytest.mark.parametrize("params", [{"limit": -1}, {"limit": "5"}, {"limit": True}, {"before_uid": 5}, {"before_uid": "unknown"}])
def test_refused_pages(params: dict[str, Any]) -> None:
    reply = page(with_history(3), **params)
    assert (reply["success"], reply["items"], reply["plan_history_uid"]) == (False, [], "")
    assert reply["error"]["path"] == next(iter(params))
