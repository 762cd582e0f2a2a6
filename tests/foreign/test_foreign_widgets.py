"""The model of the Qt widgets, `bluesky_widgets.models.run_engine_client.RunEngineClient`, unchanged and without a display."""

from __future__ import annotations

from typing import Any

import pytest
from foreign_stage import TOKEN, foreign_server, run_client

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

#: Names of the functions in ``clients/widget_model.py``, in the order in which they run.
CHAPTERS = ("connecting", "environment", "lists", "editing", "running", "engine", "switches", "console")

Report = dict[str, Any]


@pytest.fixture(scope="module", params=["zmq", "http"])
def report(request: pytest.FixtureRequest) -> Report:
    """What the model's conversation over one protocol reported."""
    with foreign_server("--use-ipython-kernel", "ON") as server:
        words = {"user": "GUI Client", "export": str(server.base / "export.txt")}
        if request.param == "http":
            words |= {"uri": server.serve_http(), "token": TOKEN}
        else:
            words |= {"control": server.control, "info": server.info}
        return run_client("widget_model.py", server.base, words, 150.0)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter(report: Report, chapter: str) -> None:
    failure = report["chapters"][chapter]
    assert not failure, failure


def test_every_public_name_was_used_and_no_window_toolkit(report: Report) -> None:
    assert set(report["chapters"]) == set(CHAPTERS)
    assert report["unused"] == []
    assert report["qt"] == []
