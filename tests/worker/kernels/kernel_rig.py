"""A real kernel under test, driven through `WorkerLink` as a manager does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.reports import EnvironmentFailed, EnvironmentReady, Report
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.link.bell import BellListener
from jupyter_queueserver.link.environment import StartupSource, new_record, read_environment
from jupyter_queueserver.link.errors import WorkerUnreachable
from jupyter_queueserver.link.launch import read_connection_file
from jupyter_queueserver.link.wire import RequestChannel, Signer
from jupyter_queueserver.link.worker import WorkerLink

T = TypeVar("T")
R = TypeVar("R", bound=Report)

STARTUP = '''
"""Plans whose progress is steered by files, so that no test depends on time."""
import os
import sys

import bluesky.plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky.run_engine import RunEngine


def _write(path, line):
    with open(path, "a") as file:
        file.write(line + "\\n")


def noop():
    yield from bps.null()


def until(trace: str, go: str):
    """Write a line, hold with checkpoints until the file ``go`` is there, write another line."""

    @bpp.run_decorator()
    def inner():
        _write(trace, "begin")
        while not os.path.exists(go):
            yield from bps.checkpoint()
            yield from bps.sleep(0.01)
        _write(trace, "end")

    return (yield from inner())


def fails(text: str):
    @bpp.run_decorator()
    def inner():
        yield from bps.null()
        raise RuntimeError(text)

    return (yield from inner())


def prints(text: str):
    print(text)
    os.write(1, b"low level " + text.encode() + b"\\n")
    os.system("echo child " + text)
    yield from bps.null()


def exits():
    yield from bps.null()
    sys.exit(7)


def cancelled():
    import asyncio

    @bpp.run_decorator()
    def inner():
        yield from bps.null()
        raise asyncio.CancelledError

    return (yield from inner())


class Odd(BaseException):
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


def raises_odd():
    yield from bps.null()
    raise Odd


def raises_half():
    yield from bps.null()
    raise RuntimeError("half \\ud800 text")


def spoils_stdout(text: str):
    """Fail with nowhere to print to."""
    import io

    sys.kept_stdout = sys.stdout
    sys.stdout = io.StringIO()
    sys.stdout.close()
    yield from bps.null()
    raise RuntimeError(text)


def mends_stdout():
    sys.stdout = sys.kept_stdout
    yield from bps.null()


def blocks(go: str):
    """Hold the RunEngine's own loop, as plans of real life do."""
    import time

    yield from bps.checkpoint()
    while not os.path.exists(go):
        time.sleep(0.01)
    for _ in range(50):
        yield from bps.checkpoint()
        yield from bps.sleep(0.01)
'''


class Rig:
    """An instance with at most one open environment, and what a manager would do with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.instance = Instance(directory / "data")
        self._uids = itertools.count()
        self._rung = asyncio.Event()
        self._bell: BellListener | None = None
        self.link: WorkerLink
        self.fence = 1
        self.reports: list[Report] = []
        self.pids: list[int] = []

    async def launch(self, startup: str | Path = STARTUP, **options: Any) -> WorkerLink:
        """Start a worker; a text becomes a startup directory of one file."""
        self.instance.prepare()
        if isinstance(startup, str):
            folder = self.directory / "startup"
            folder.mkdir(exist_ok=True)
            (folder / "00-plans.py").write_text(startup)
            startup = folder
        if self._bell is None:
            self._bell = BellListener(self.instance.manager_bell, lambda _: self._rung.set())
        source = StartupSource(kind="dir", value=str(startup))
        self.link = await WorkerLink.launch(self.instance, new_record(self.instance, source, **options))
        self.pids.append(self.link.pid)
        self.reports = []
        with contextlib.suppress(WorkerUnreachable):  # startup code may fail sooner than it is greeted
            await self.link.hello(self.fence)
        return self.link

    async def open(self, startup: str | Path = STARTUP, **options: Any) -> WorkerLink:
        """Start a worker and wait until it has loaded its startup code."""
        await self.launch(startup, **options)
        report = await self.until(EnvironmentReady, EnvironmentFailed)
        assert isinstance(report, EnvironmentReady), report
        return self.link

    async def adopt(self) -> WorkerLink:
        """Be the next manager: a new link with a higher fence; the old one is dropped without a word."""
        old = self.link
        self.fence += 1
        self.link = await WorkerLink.adopt(self.instance, self.fence)
        await old.detach()
        return self.link

    async def until(self, *kinds: type[R], **fields: Any) -> R:
        """Pull reports until one of these kinds with these fields comes."""
        return await self.wait_for(lambda: self._next(kinds, fields))

    async def wait_for(self, look: Callable[[], T | None], limit: float = 20.0) -> T:
        """Look at each ring of the bell (and twenty times a second) until there is something."""
        async with asyncio.timeout(limit):
            while True:
                found = look()
                if found:
                    return found
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._rung.wait(), 0.05)
                self._rung.clear()

    def _next(self, kinds: tuple[type[R], ...], fields: dict[str, Any]) -> R | None:
        for number, report in self.link.reports_since(len(self.reports)):
            assert number == len(self.reports) + 1
            self.reports.append(report)
            if isinstance(report, kinds) and all(getattr(report, k) == v for k, v in fields.items()):
                return report
        return None

    def item(self, name: str, *args: Any, **fields: Any) -> Item:
        """A plan item with a fresh uid."""
        uid = f"uid-{next(self._uids)}"
        return Item({"item_uid": uid, "item_type": "plan", "name": name, "args": list(args), **fields})

    async def start(self, name: str, *args: Any, **fields: Any) -> str:
        """Start a plan; returns the item's uid."""
        item = self.item(name, *args, **fields)
        reply = await self.link.start(item, self.fence)
        assert reply.accepted
        return item.item_uid

    def paths(self) -> tuple[Path, Path]:
        """Fresh names of a trace file and of a go file."""
        number = next(self._uids)
        return self.directory / f"trace-{number}", self.directory / f"go-{number}"

    def stranger(self, channel: str = "control") -> RequestChannel:
        """A Jupyter front end that has the connection file, but is not the manager."""
        record = read_environment(self.instance)
        assert record is not None
        info = read_connection_file(record)
        port = info.control_port if channel == "control" else info.shell_port
        return RequestChannel(info.address(port), Signer(info.key))

    def pulled(self, kind: type[R], **fields: Any) -> list[R]:
        """Reports of a kind that were pulled so far."""
        return [
            report
            for report in self.reports
            if isinstance(report, kind) and all(getattr(report, k) == v for k, v in fields.items())
        ]

    async def aclose(self) -> None:
        """Leave nothing behind."""
        if self.pids:
            await self.link.kill()
            await self.link.detach()
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if self._bell is not None:
            self._bell.close()
        for path in self.instance.sockets.glob("*"):
            path.unlink()
        with contextlib.suppress(FileNotFoundError):
            self.instance.sockets.rmdir()


CELL = {
    "silent": False,
    "store_history": False,
    "user_expressions": {},
    "allow_stdin": False,
    "stop_on_error": True,
}


async def run_cell(channel: RequestChannel, code: str, limit: float = 20.0) -> dict[str, Any]:
    """Execute a cell as an attached console does."""
    return await channel.request("execute_request", {"code": code, **CELL}, limit)
