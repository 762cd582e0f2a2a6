"""Startup code of the fault campaign: plans that write down each step, and can fail or kill their worker at one of them."""

import json
import os
import signal
import threading
import time
import uuid
from pathlib import Path

import bluesky.plan_stubs as bps
from bluesky import RunEngine
from ipykernel import get_connection_file

RE = RunEngine({})


class Counter:
    """A readable without hardware."""

    name = "counter"
    parent = None

    def __init__(self):
        self._number = 0

    def read(self):
        self._number += 1
        return {self.name: {"value": self._number, "timestamp": time.time()}}

    def describe(self):
        return {self.name: {"source": "campaign", "dtype": "integer", "shape": []}}


counter = Counter()


def _item_uid():
    """The item that the worker has taken last, as it has reported just before it began with the plan."""
    spool = Path(get_connection_file()).parent / "reports"
    lines = [line for path in sorted(spool.glob("*.log")) for line in path.read_bytes().split(b"\n") if b'"item_taken"' in line]
    return json.loads(lines[-1])["report"]["item_uid"]


def _note(trace, **words):
    """One line with one write: nobody can come in between, and a killed process leaves it whole or not at all."""
    handle = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, json.dumps(words | {"pid": os.getpid(), "time": time.time()}).encode() + b"\n")
    finally:
        os.close(handle)


def _measure():
    yield from bps.create("primary")
    yield from bps.read(counter)
    yield from bps.save()


def _die_soon(seconds):
    """Kill this process from beside the plan, so that any instruction may be its last one."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()


def work(
    trace: str,
    tag: str,
    steps: int = 3,
    pause: float = 0.02,
    runs: int = 1,
    ending: str = "ends",
    delay: float = 0.0,
    note: int = 0,
):
    """Some runs of some steps, each noted.

    At the middle step it goes on (``ends``), raises (``fails``) or dies (``dies``); or it dies ``delay`` seconds after it began
    to open its last run (``dies early``) or to close it (``dies late``).
    """
    words = {"tag": tag, "item": _item_uid(), "execution": uuid.uuid4().hex}
    _note(trace, **words, step="begin")
    critical = steps // 2
    for number in range(runs):
        is_last = number == runs - 1
        if is_last and ending == "dies early":
            _die_soon(delay)
        run = yield from bps.open_run({"campaign_item": words["item"]})
        _note(trace, **words, step="run", run=run)
        for step in range(steps):
            yield from bps.checkpoint()
            _note(trace, **words, step=f"{number}.{step}")
            if step == critical and is_last:
                if ending == "fails":
                    raise RuntimeError("this plan fails")
                if ending == "dies":
                    os.kill(os.getpid(), signal.SIGKILL)
            yield from _measure()
            yield from bps.sleep(pause)
        if is_last and ending == "dies late":
            _die_soon(delay)
        yield from bps.close_run()
    _note(trace, **words, step="end")
