"""Lines to a real server, one for each way in, and what a conversation over it is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from talks import THEMES

pytest.register_assert_rewrite("line", "comparison", *THEMES)

from line_inprocess import InProcessLine  # noqa: E402 - the modules above explain their assertions only if registered first
from line_real import RealLine  # noqa: E402


@pytest.fixture(scope="class")
def line(request: pytest.FixtureRequest) -> Iterator[RealLine]:
    """The line that the class wants, to a server of its own."""
    wanted = request.cls
    assert wanted is not None
    server = wanted.make_server()
    try:
        server.start()
        line = wanted.make_line(server)
        try:
            line.reset()
            yield line
        finally:
            line.close()
    finally:
        server.end()


@pytest.fixture(scope="class")
def lists(line: RealLine) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plans and devices of the real worker: the played one has the same."""
    return line.peek("plans_existing")["plans_existing"], line.peek("devices_existing")["devices_existing"]


@pytest.fixture(scope="class")
def played(
    line: RealLine, lists: tuple[dict[str, Any], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InProcessLine]:
    """A line to a played server, which talks as the real one does."""
    made = InProcessLine(tmp_path_factory.mktemp("played"), *lists)
    made.user, made.submitter = line.user, line.submitter
    made.way, made.serves = line.way, line.serves
    try:
        made.open()
        yield made
    finally:
        made.close()
