"""The Python package `bluesky-queueserver-api`, unchanged: 0MQ and HTTP, blocking and asyncio.

Every public name of `REManagerAPI` is used in each of the four forms.  The conversation itself is in ``clients/``; a
chapter of it is a test here.
"""

from __future__ import annotations

from typing import Any

import pytest
from foreign_stage import converse, foreign_server

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

#: Names of the functions in ``clients/chapters_*.py``, in the order in which they run.
CHAPTERS = (
    "connecting",
    "refusals",
    "nobody_answers",
    "lists",
    "permissions",
    "adding",
    "batches",
    "changing",
    "modes",
    "environment",
    "running",
    "pausing",
    "breaking_off",
    "autostart",
    "tasks",
    "interrupting",
    "waiting",
    "console",
    "system_info",
    "locking",
    "lock_keys",
    "credentials",
    "no_credentials",
    "no_user_database",
    "trailing_slash",
    "ending",
)
HTTP_ONLY = ("credentials", "no_credentials", "no_user_database", "trailing_slash")
FORMS = [(protocol, style) for protocol in ("zmq", "http") for style in ("blocking", "asyncio")]

Report = dict[str, Any]


@pytest.fixture(scope="module", params=FORMS, ids="-".join)
def report(request: pytest.FixtureRequest) -> Report:
    """What the whole conversation in one form reported."""
    protocol, style = request.param
    with foreign_server("--use-ipython-kernel", "ON") as server:
        if protocol == "http":
            server.serve_http()
        return converse(server, protocol, style, 240.0) | {"protocol": protocol}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter(report: Report, chapter: str) -> None:
    if chapter in HTTP_ONLY and report["protocol"] != "http":
        assert chapter not in report["chapters"]
        return
    failure = report["chapters"][chapter]
    assert not failure, failure


def test_every_chapter_is_listed(report: Report) -> None:
    assert set(report["chapters"]) | set(HTTP_ONLY) == set(CHAPTERS)


def test_every_public_name_was_used(report: Report) -> None:
    assert report["unused"] == []
