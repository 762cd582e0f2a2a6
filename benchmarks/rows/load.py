"""A queue of 100,000 items with a history of 1,000,000 entries: start, status, adding, pages, memory, and a trim of everything.

The history is in the store and not in the manager, so the figures beside the large ones are those of a short history.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.changes import AnyChange, HistoryAppended, QueueInserted, apply
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.state import State
from jupyter_queueserver.instance import Instance, identity_of
from jupyter_queueserver.storage import Owner, open_store

from ..bench import Bench
from ..figures import Figure, Summary, summary
from ..line import Line, request
from ..processes import age, cpu_seconds, memory
from ..servers import OurServer

#: Entries of one commit while a store is filled.
_BATCH = 20_000
_PAGE = 100


class _Measured:
    """What is measured of one server; times in s, memory in MB."""

    def __init__(self, folder: Path, bench: Bench) -> None:
        self.load = load_seconds(folder)
        server = OurServer(folder, bench.startup, "--saver", "none")
        try:
            with server.line() as line:
                line.call("ping")
                manager = server.pids()["manager"]
                self.start, self.cpu = age(manager), cpu_seconds(manager)
                self.pss = memory(manager) / 1e6
                times = bench.times(200, 40)
                self.status = summary(list(exchanges(line, times, request("status"))))
                self.adding = summary(list(exchanges(line, times, adding())))
                self.newest = summary(list(exchanges(line, times, request("history_get", limit=_PAGE))))
                self.older = summary(list(pages(line, times)))
                self.pss_after = memory(manager) / 1e6
                self.clearing, self.beside = clear(line, server)
        finally:
            server.stop()


def measure(bench: Bench) -> list[Figure]:
    """A short history and a long one, each with the same queue."""
    queued, ended = bench.times(100_000, 10_000), bench.times(1_000_000, 100_000)
    short, long = bench.new_folder(), bench.new_folder()
    fill(short, queued, 2 * _PAGE)
    fill(long, queued, ended)
    few, many = _Measured(short, bench), _Measured(long, bench)
    what = f"{queued:,} queued items, {ended:,} history entries"
    seldom = f"with {2 * _PAGE} history entries"

    def ms(name: str, large: Summary, small: Summary) -> Figure:
        return Figure(name, large.median * 1e3, "flat", None, large.text(1e3), f"{seldom} {small.text(1e3)} ms", digits=2)

    return [
        Figure(f"{what}: manager's process start to first ping, s", many.start, "<= 3 s", 3.0, "", f"{seldom} {few.start:.2f} s"),
        Figure("CPU time of the manager until then, s", many.cpu, "", None, "", f"{seldom} {few.cpu:.2f} s"),
        Figure("`load()` of the store alone, s", many.load, "", None, "", f"{seldom} {few.load:.2f} s"),
        ms("`status`, ms", many.status, few.status),
        ms("`queue_item_add` at the back, ms", many.adding, few.adding),
        ms(f"`history_get` of the newest {_PAGE}, ms", many.newest, few.newest),
        ms(f"`history_get` of {_PAGE} older ones, ms", many.older, few.older),
        Figure("PSS of the manager after its start, MB", many.pss, "flat", None, "", f"{seldom} {few.pss:.0f} MB", digits=0),
        Figure("PSS after these requests, MB", many.pss_after, "flat", None, "", f"{seldom} {few.pss_after:.0f} MB", digits=0),
        Figure("`history_clear` of everything, s", many.clearing, "", None, "", f"{seldom} {few.clearing:.3f} s", digits=3),
        Figure("slowest `queue_item_add` in the 10 s after it, s", max(many.beside), "<= 1 s", 1.0, summary(many.beside).text()),
    ]


def exchanges(line: Line, times: int, asked: bytes) -> Iterator[float]:
    """S of each exchange of that request."""
    for _ in range(times):
        began = time.perf_counter()
        line.exchange(asked)
        yield time.perf_counter() - began


def adding() -> bytes:
    """A request that adds an item at the back."""
    return request("queue_item_add", item={"item_type": "instruction", "name": "queue_stop"}, user="me", user_group="primary")


def pages(line: Line, times: int) -> Iterator[float]:
    """S of pages that the store is asked for, from the newest back as far as there are some."""
    params: dict[str, Any] = {"limit": _PAGE}
    for _ in range(times):
        items = json.loads(line.exchange(request("history_get", **params)))["items"]
        params["before_uid"] = items[0]["item_uid"] if items else params["before_uid"]
        began = time.perf_counter()
        line.exchange(request("history_get", **params))
        yield time.perf_counter() - began


def clear(line: Line, server: OurServer) -> tuple[float, list[float]]:
    """Return the s of dropping the history, and those of adding items while its rows are cleared away."""
    ended = threading.Event()
    found: list[float] = []

    def add() -> None:
        with server.line() as other:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                found.extend(exchanges(other, 1, adding()))
        ended.set()

    thread = threading.Thread(target=add)
    thread.start()
    began = time.perf_counter()
    line.must("history_clear")
    seconds = time.perf_counter() - began
    thread.join()
    return seconds, found


def load_seconds(data_dir: Path) -> float:
    """S of `Store.load` in this process."""
    instance = Instance(data_dir)
    store = open_store("sqlite", instance.store, instance.lease)
    store.acquire(_owner())
    began = time.perf_counter()
    store.load()
    seconds = time.perf_counter() - began
    store.close()
    return seconds


def _owner() -> Owner:
    return Owner(host="localhost", identity=identity_of(), address="", since=time.time())


def fill(data_dir: Path, queued: int, ended: int) -> None:
    """Write queue and history into a store, in batches."""
    instance = Instance(data_dir).prepare_data()
    store = open_store("sqlite", instance.store, instance.lease)
    store.acquire(_owner())
    state = State(catalogue=Catalogue({}, {}, Permissions.default()))
    for change in _changes(queued, ended):
        state = apply(state, change, time.time())
        store.commit([change], state)
    store.close()


def _changes(queued: int, ended: int) -> Iterator[AnyChange]:
    for start in range(0, queued, _BATCH):
        yield QueueInserted(items=tuple(Item(_plan(n)) for n in range(start, min(start + _BATCH, queued))))
    for start in range(0, ended, _BATCH):
        yield HistoryAppended(items=tuple(Item(_plan(n) | _result(n)) for n in range(start, min(start + _BATCH, ended))))


def _plan(number: int) -> dict[str, Any]:
    return {
        "item_type": "plan",
        "name": "count",
        "args": [["det1", "det2"]],
        "kwargs": {"num": number % 100 + 1, "delay": 0.1},
        "user": "bench",
        "user_group": "primary",
        "item_uid": str(uuid.uuid4()),
    }


def _result(number: int) -> dict[str, Any]:
    return {
        "result": {
            "exit_status": "completed",
            "run_uids": [str(uuid.uuid4())],
            "scan_ids": [number],
            "time_start": 1.7e9 + number,
            "time_stop": 1.7e9 + number + 0.5,
            "msg": "",
            "traceback": "",
        },
    }
