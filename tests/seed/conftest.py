"""One scripted manager and one web server of the first version's kind, for all lines."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_worker
import pytest
from seed_manager import SeedManager

TOKEN = "secret"
LIMIT = 30.0


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


class Web:
    """The program `jupyter queueserver --legacy-root`, attached to that manager."""

    def __init__(self, address: str, folder: Path) -> None:
        places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        words = ["--legacy-root", "--port", "0", "--address", address]
        self.log = folder / "web.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_queueserver", "server", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | places | {"JUPYTER_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"},
            )
        assert self.process.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", self.process.stdout.readline())
        assert found, self.log.read_text()
        self.place = found[0]

    def ask(self, verb: str, path: str, body: str | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
        """Send a request; returns status and answer."""
        connection = http.client.HTTPConnection(self.place, timeout=LIMIT)
        try:
            connection.request(verb, path, body, {"Authorization": f"token {TOKEN}", "Accept": "*/*"} | headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(LIMIT)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def web(manager: SeedManager, folder: Path) -> Iterator[Web]:
    """The web server."""
    made = Web(manager.address, folder)
    yield made
    made.close()
