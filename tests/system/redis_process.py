"""A real Redis server for tests, on a Unix socket of its own, with an append-only file that is synced at each write.

Where there is none the tests are skipped, unless the environment variable REDIS_SERVER is ``required``.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis

PATIENCE = 20.0
PROGRAM = shutil.which("redis-server")


def require_server() -> None:
    """Skip the test, or fail it where the program must be there."""
    if PROGRAM is None:
        if os.environ.get("REDIS_SERVER") == "required":
            pytest.fail("redis-server is missing (Debian: apt-get install redis-server)")
        pytest.skip("there is no redis-server on this machine (Debian: apt-get install redis-server)")


class RedisProcess:
    """One server and its files.

    Attributes
    ----------
    url
        Its address.
    data
        Directory of its append-only file.
    """

    def __init__(self) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="jqs-redis-"))
        self.data = self._base / "data"
        self.data.mkdir()
        self.url = f"unix://{self._base}/redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def start(self, *options: str) -> None:
        """Start it and wait until it answers."""
        require_server()
        words = ["--port", "0", "--unixsocket", f"{self._base}/redis.sock", "--dir", str(self.data), "--save", ""]
        words += ["--appendonly", "yes", "--appendfsync", "always", "--logfile", f"{self._base}/log", *options]
        self._process = subprocess.Popen([str(PROGRAM), *words], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while True:
            with suppress(redis.exceptions.RedisError), self.client() as client:
                client.ping()
                return
            assert self._process.poll() is None, (self._base / "log").read_text()
            assert time.monotonic() < deadline, "redis-server does not answer"
            pause.wait(0.01)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A connection of a person who looks into it."""
        client = redis.Redis.from_url(self.url, socket_timeout=PATIENCE)
        try:
            yield client
        finally:
            client.close()

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGSTOP: it answers nobody and refuses nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def copy_files(self) -> Path:
        """Copy its files aside, as a backup is made."""
        target = self._base / f"copy-{time.monotonic_ns()}"
        shutil.copytree(self.data, target)
        return target

    def replace_files(self, copy: Path | None) -> None:
        """Put a backup in the place of the files of the server, which must not run; None: no files."""
        shutil.rmtree(self.data)
        if copy is None:
            self.data.mkdir()
        else:
            shutil.copytree(copy, self.data)

    def end(self) -> None:
        """End it and delete everything."""
        self.kill()
        shutil.rmtree(self._base, ignore_errors=True)


@contextmanager
def redis_process(*options: str) -> Iterator[RedisProcess]:
    """A server that runs meanwhile."""
    process = RedisProcess()
    try:
        process.start(*options)
        yield process
    finally:
        process.end()


@cache
def shared() -> RedisProcess:
    """The server that tests share which do not harm it; each uses a prefix of its own.  Ends with the test run."""
    require_server()
    process = RedisProcess()
    atexit.register(process.end)
    process.start()
    return process
