"""`history_get` of 20,000 entries over 0MQ, whole and page by page, with the time that a client needs to read the text.

Both servers are started on a history that was written before, in the way of their own stores.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.changes import HistoryAppended, apply
from jupyter_queueserver.core.items import Item
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.state import State
from jupyter_queueserver.instance import Instance, identity_of
from jupyter_queueserver.storage import Owner, open_store

from ..bench import Bench
from ..figures import Figure, summary
from ..line import Line, request
from ..servers import OldServer, OurServer, free_port, start_redis

_COUNT = 20_000
_PAGE = 100


def measure(bench: Bench) -> list[Figure]:
    """Requests for the whole history, then pages from the newest back."""
    folder = bench.new_folder()
    fill(folder)
    ours = OurServer(folder, bench.startup, "--saver", "none")
    try:
        with ours.line() as line:
            whole, reading, size = fetch(line, bench.times(15, 3))
            pages = list(page_times(line, bench.times(100, 20)))
    finally:
        ours.stop()
    old = old_times(bench)
    found = summary(whole)
    return [
        Figure(
            f"`history_get` of {_COUNT} entries ({size / 1e6:.0f} MB), s",
            found.median,
            "<= 0.3 s",
            0.3,
            found.text(),
            f"`json.loads` of the reply {summary(reading).text()} s (not in it)",
            f"{summary(old).median:.2f}" if old else "",
        ),
        Figure(
            f"a page of {_PAGE} of them, ms", summary(pages).median * 1e3, spread=summary(pages).text(1e3), baseline="", digits=2
        ),
    ]


def fetch(line: Line, times: int) -> tuple[list[float], list[float], int]:
    """Return the s of the exchange, the s of reading the text, and its bytes."""
    asked = request("history_get")
    whole, reading, size = [], [], 0
    for _ in range(times):
        began = time.perf_counter()
        text = line.exchange(asked)
        whole.append(time.perf_counter() - began)
        began = time.perf_counter()
        reply = json.loads(text)
        reading.append(time.perf_counter() - began)
        size = len(text)
        if len(reply["items"]) != _COUNT:
            raise RuntimeError(f"The history has {len(reply['items'])} entries")
    return whole, reading, size


def page_times(line: Line, times: int) -> Iterator[float]:
    """S of each page, from the newest back."""
    params: dict[str, Any] = {"limit": _PAGE}
    for _ in range(times):
        began = time.perf_counter()
        text = line.exchange(request("history_get", **params))
        yield time.perf_counter() - began
        params["before_uid"] = json.loads(text)["items"][0]["item_uid"]


def entries() -> Iterator[dict[str, Any]]:
    """Entries as a queue of counts leaves them."""
    for number in range(_COUNT):
        yield {
            "item_type": "plan",
            "name": "count",
            "args": [["det1", "det2"]],
            "kwargs": {"num": number % 100 + 1, "delay": 0.1},
            "user": "bench",
            "user_group": "primary",
            "item_uid": str(uuid.uuid4()),
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


def fill(data_dir: Path) -> None:
    """Write the history into a store of ours."""
    instance = Instance(data_dir).prepare_data()
    store = open_store("sqlite", instance.store, instance.lease)
    store.acquire(Owner(host="localhost", identity=identity_of(), address="", since=time.time()))
    change = HistoryAppended(items=tuple(Item(entry) for entry in entries()))
    state = apply(State(catalogue=Catalogue({}, {}, Permissions.default())), change, time.time())
    store.commit([change], state)
    store.close()


def old_times(bench: Bench) -> list[float]:
    """S of the exchange with the old server; empty if it is not measured."""
    if bench.old_python is None:
        return []
    import redis

    folder = bench.new_folder()
    folder.mkdir(parents=True)
    port = free_port()
    store = start_redis(folder, port)
    try:
        home = bench.new_folder()
        with redis.Redis(port=port) as client:
            client.rpush(f"{home.name}_plan_history", *(json.dumps(entry) for entry in entries()))
        server = OldServer(home, bench.startup, bench.old_python, redis_port=port)
        try:
            with server.line() as line:
                return fetch(line, bench.times(5, 2))[0]
        finally:
            server.stop()
    finally:
        store.terminate()
        store.wait(timeout=10)
