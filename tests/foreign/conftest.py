"""Nothing of the clients' environment is needed to collect these tests: they skip, or fail under `make`, when it is missing."""

from __future__ import annotations

import pytest
from foreign_stage import need_clients


@pytest.fixture(scope="session", autouse=True)
def clients() -> None:
    """The clients' environment is there."""
    need_clients()
