"""One scripted manager and one web server of the first version's kind, for all lines."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_worker
import pytest
from seed_manager import SeedManager
from seed_web import Web


def _any_arguments(name: str) -> dict[str, Any]:
    kinds = (("args", "VAR_POSITIONAL", 2), ("kwargs", "VAR_KEYWORD", 4))
    parameters = [{"name": each, "kind": {"name": kind, "value": value}} for each, kind, value in kinds]
    return {"name": name, "properties": {"is_generator": True}, "parameters": parameters}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A directory with a short path."""
    made = Path(tempfile.mkdtemp(prefix="jqs-test-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def manager(folder: Path) -> Iterator[SeedManager]:
    """The manager, whose worker knows the plans of the description."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_worker, "PLANS", {name: _any_arguments(name) for name in ("count", "scan")})
        made = SeedManager(f"ipc://{folder}/manager")
        yield made
        made.close()


@pytest.fixture(scope="module")
def web(manager: SeedManager, folder: Path) -> Iterator[Web]:
    """The web server."""
    made = Web(manager.address, folder)
    yield made
    made.close()
