"""What the demo prints: one line for each change as it is pushed, a progress bar for each run, a table at the end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

_BAR = 30


class Reporter:
    """Prints the messages of the event stream.

    Attributes
    ----------
    status
        The last status that came with a message.
    environment
        State of the environment; empty until it first changes.
    ended
        Items that ended, in order.
    stopped
        Runs whose stop document was seen.
    """

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.ended: list[dict[str, Any]] = []
        self.environment = ""
        self._begin = time.monotonic()
        self.stopped: set[str] = set()
        self._scan_of: dict[str, Any] = {}
        self._points: dict[str, int | None] = {}
        self._run_of: dict[str, str] = {}
        self._moved = asyncio.Event()

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"{time.monotonic() - self._begin:7.2f} s  {text}", flush=True)

    def take(self, text: str) -> None:
        """Print what one message says."""
        message = json.loads(text)
        if message["kind"] == "document":
            self._document(message["name"], message["doc"])
            self._moved.set()
        for _, change in message.get("changes", ()):
            self._change(change)
        if "status" in message:
            self.status = message["status"]
            self._moved.set()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on what was pushed holds."""
        while not condition():
            self._moved.clear()
            await self._moved.wait()

    def _change(self, change: dict[str, Any]) -> None:
        kind = change["change"]
        if kind == "queue_inserted":
            for item in change["items"]:
                self.say(f"queued    {describe(item)}")
        elif kind == "running_set" and change.get("item"):
            self.say(f"started   {describe(change['item'])}")
        elif kind == "run_added":
            run = change["run"]
            self.say(f"run       {run['uid']} (scan {run['scan_id']})")
        elif kind == "history_appended":
            self.ended += change["items"]
            for item in change["items"]:
                self.say(f"finished  {item['name']}: {item['result']['exit_status']}")
        elif kind == "environment_set":
            state = change["environment"]["state"]
            if state != self.environment:
                self.say(f"environment {state}")
            self.environment = state
            failure = change["environment"].get("failure")
            if failure:
                self.say(f"          {failure['msg']}")

    def _document(self, name: str, doc: dict[str, Any]) -> None:
        if name == "start":
            self._points[doc["uid"]] = doc.get("num_points")
            self._scan_of[doc["uid"]] = doc.get("scan_id")
        elif name == "descriptor":
            self._run_of[doc["uid"]] = doc["run_start"]
        elif name == "event":
            run = self._run_of.get(doc["descriptor"], "")
            self.say(f"scan {self._scan_of.get(run)!s:<4} {bar(doc['seq_num'], self._points.get(run))}")
        elif name == "stop":
            self.stopped.add(doc["run_start"])


def bar(done: int, total: int | None) -> str:
    """Return a progress bar; without a known total only the count."""
    if not total:
        return f"point {done}"
    filled = round(_BAR * min(done, total) / total)
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {done}/{total} points"


def describe(item: dict[str, Any]) -> str:
    """Return a plan as it would be written in Python."""
    words = [json.dumps(value) for value in item.get("args", ())]
    words += [f"{name}={json.dumps(value)}" for name, value in item.get("kwargs", {}).items()]
    return f"{item['name']}({', '.join(words)})"


def history_table(items: list[dict[str, Any]]) -> str:
    """Return the history as a table, oldest first."""
    rows = [("plan", "ended", "seconds", "scan", "run")]
    for item in items:
        result = item["result"]
        seconds = result["time_stop"] - result["time_start"]
        scans = ", ".join(str(scan) for scan in result.get("scan_ids", ()))
        runs = ", ".join(uid[:8] for uid in result["run_uids"])
        rows.append((item["name"], result["exit_status"], f"{seconds:.2f}", scans, runs))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
