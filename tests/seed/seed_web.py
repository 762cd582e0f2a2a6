"""The program `jupyter queueserver --legacy-root`, attached to a manager that is given by its address."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

TOKEN = "secret"
LIMIT = 60.0


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
        self.told = self.process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:\d+", self.told)
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
