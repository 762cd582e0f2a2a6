"""What the rows share in one run: a temporary directory, the servers, the bare baselines; all ended at its end."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from .servers import Gateway, OldServer, OurServer, Server

_HERE = Path(__file__).parent


class Bench:
    """One run.

    Parameters
    ----------
    quick
        Fewer repetitions, for a look.
    old_python
        Python of the environment in which the old server is installed; None: it is not measured.
    """

    def __init__(self, *, quick: bool = False, old_python: Path | None = None) -> None:
        self.quick = quick
        self.old_python = old_python
        self._stack = contextlib.ExitStack()
        self._servers: dict[str, Server] = {}
        self._count = 0

    def __enter__(self) -> Bench:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="jqs-bench-"))).resolve()
        self.startup = self.folder / "startup"
        shutil.copytree(_HERE / "startup", self.startup)  # the old server writes into it
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def times(self, full: int, quick: int) -> int:
        """Number of repetitions."""
        return quick if self.quick else full

    def new_folder(self) -> Path:
        """Name of a directory that does not exist yet."""
        self._count += 1
        return self.folder / f"d{self._count}"

    def ours(self, key: str = "main", saver: str = "none") -> Server:
        """Our server of that key, started at its first use.

        It is without Databroker unless that is asked for: its process would compete for the cores.
        """
        return self._kept(f"ours-{key}", lambda: OurServer(self.new_folder(), self.startup, "--saver", saver))

    def old(self) -> list[Server]:
        """The old server, or nothing."""
        python = self.old_python
        if python is None:
            return []
        return [self._kept("old", lambda: OldServer(self.new_folder(), self.startup, python))]

    def _kept(self, key: str, make: Callable[[], Server]) -> Server:
        if key not in self._servers:
            server = self._servers[key] = make()
            self._stack.callback(server.stop)
        return self._servers[key]

    @contextlib.contextmanager
    def gateway(self) -> Iterator[Gateway]:
        """A Jupyter server for the time of a ``with``."""
        server = Gateway(self.new_folder(), self.startup)
        try:
            server.wait()
            yield server
        finally:
            server.stop()

    def python(self, server: Server) -> str:
        """Python that a server runs in."""
        return str(self.old_python) if server.name == "old" else sys.executable

    @contextlib.contextmanager
    def bare(self, python: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """`benchmarks/bare.py` with these words, killed at the end of the ``with``."""
        process = subprocess.Popen(
            [python, str(_HERE / "bare.py"), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self.folder
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def bare_import(self, python: str, how: str = "import") -> float:
        """Seconds from the start of a plain Python to the end of the startup code."""
        began = time.perf_counter()
        with self.bare(python, how, str(self.startup)) as process:
            heard(process)
            return time.perf_counter() - began


def heard(process: subprocess.Popen[str]) -> str:
    """The next answer of a bare process (other lines are the RunEngine's talk)."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("> "):
            return line[2:].strip()
    raise RuntimeError(f"{process.args!r} ended without an answer")


def asked(process: subprocess.Popen[str]) -> float:
    """Have a bare process measure once more."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    return json.loads(heard(process))
