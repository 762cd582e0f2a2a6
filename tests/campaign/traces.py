"""What the plans themselves wrote down, what the workers' ledgers say, and what is in the journal: the witnesses.

Read from the files as they are; nothing here asks the server.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_queueserver.documents.reader import JournalReader
from jupyter_queueserver.instance import Instance


@dataclass
class Execution:
    """One time that a plan ran: the item that it ran for, its steps in order, the runs that it opened."""

    item: str
    tag: str
    pid: int
    steps: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


@dataclass
class JournalRun:
    """One run of the journal: the item that opened it, and its stop documents' statuses."""

    item: str
    stops: list[str] = field(default_factory=list)


def read_steps(path: Path) -> dict[str, Execution]:
    """All executions by their own identity, in order of their beginning."""
    found: dict[str, Execution] = {}
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    for line in map(json.loads, lines):
        new = Execution(line["item"], line["tag"], line["pid"])
        execution = found.setdefault(line["execution"], new)
        execution.steps.append(line["step"])
        if line["step"] == "run":
            execution.runs.append(line["run"])
    return found


def read_taken(instance: Instance) -> Counter[str]:
    """How many times each item was taken by a worker, in all environments that are kept."""
    taken: Counter[str] = Counter()
    for path in sorted(instance.environments.glob("*/accepted.log")):
        for line in map(json.loads, path.read_bytes().split(b"\n")[:-1]):
            taken[line["uid"]] += line["fate"] == "taken"
    return +taken


def read_journal(instance: Instance) -> dict[str, JournalRun]:
    """All runs of the journal by their uid; a stop document without a start has a run of its own, of the item ``?``."""
    runs: dict[str, JournalRun] = {}
    for entry in JournalReader(instance.journal, arrays=False):
        if entry.name == "start":
            runs[entry.doc["uid"]] = JournalRun(entry.doc.get("campaign_item", ""))
        elif entry.name == "stop":
            runs.setdefault(entry.doc["run_start"], JournalRun("?")).stops.append(entry.doc["exit_status"])
    return runs


def planned_steps(steps: int, runs: int) -> list[str]:
    """The lines of a plan that comes to its end."""
    lines = ["begin"]
    for number in range(runs):
        lines += ["run", *(f"{number}.{step}" for step in range(steps))]
    return [*lines, "end"]
