"""Makes a new store of what a damaged one still holds; the damaged one is kept as it is, under another name."""

from __future__ import annotations

import threading
from pathlib import Path

from msgspec.structs import replace

from ..core.items import Item
from ..core.rules.restore import Restored, append_entries, return_running
from ..core.sequence import ItemSequence
from ..core.state import State, first_state
from .contract import Owner, StoreBroken
from .rebuilding import rebuilding
from .restoring import Filling
from .salvage import Findings, Salvage, check_version, missing_parts
from .soundness import look_wholly
from .sqlite import SqliteStore
from .texts import PARTS, StoredHistory, part_texts, state_of

#: parts that say together what the worker was doing: all of them or none
_OF_THE_WORKER = frozenset({"running", "environment", "reports_applied", "execution", "engine", "runs"})


def recover_file(path: Path, lease: Path, owner: Owner) -> tuple[Findings, Path | None]:
    """Replace a damaged store by a new one; returns what was found, and where the damaged one is, None if it is sound.

    Raises
    ------
    StoreOwned
        A manager runs.
    StoreBroken
        Nothing can be read; everything stays as it is.
    SchemaTooNew, StoreUnavailable
        It cannot be used at all.
    """
    check_version(path)
    try:
        with rebuilding(path, lease, owner, "damaged", begin="empty") as made:
            if _is_sound(path):
                raise _Sound
            findings = _salvaged(path, made.store)
    except _Sound:
        return Findings(), None
    return findings, made.kept


def _salvaged(path: Path, store: SqliteStore) -> Findings:
    salvage = Salvage(path)
    try:
        _fill(store, salvage)
    finally:
        salvage.close()
    findings = salvage.findings
    if not findings.parts and not findings.queue and not findings.history:
        raise StoreBroken(f"Nothing can be read of {path}.")
    return findings


class _Sound(Exception):
    """There is nothing to recover."""


def _is_sound(path: Path) -> bool:
    """Look at everything, and write nothing: the owner of the file is only an onlooker here."""
    if look_wholly(path, threading.Event()) is not None:
        return False
    salvage = Salvage(path)
    try:
        found = salvage.parts()
        salvage.queue()
        is_read = not salvage.findings.problems and (not found or not missing_parts(found))
        return is_read and salvage.sums_fit()
    finally:
        salvage.close()


def _fill(store: SqliteStore, salvage: Salvage) -> None:
    state, interrupted = _state(salvage)
    done = Restored()
    filling = Filling(store, state)
    filling.begin()
    filling.fill(salvage.history(), append_entries, done)
    return_running(filling.step, interrupted, filling.is_in_history, done)
    filling.commit()
    if done.left_out:
        salvage.findings.problems.append(f"{done.left_out} entries stand elsewhere too and were left out.")


def _state(salvage: Salvage) -> tuple[State, Item | None]:
    """The state without its history; and the item that was running, if not enough is known to find its worker again."""
    found = salvage.parts()
    problems = salvage.findings.problems
    lost = missing_parts(found)
    defaults = part_texts(first_state(), PARTS)
    interrupted = None
    if _OF_THE_WORKER & set(lost):
        running = state_of((), StoredHistory(0, 0, ()), (), defaults | found).running
        if running is not None:
            interrupted = running
            problems.append(f"Item {running.item_uid} was running; it is first in the queue. Look whether it was done.")
        elif "running" in lost:
            problems.append("Which item was running, if any, is not known.")
        found = {name: text for name, text in found.items() if name not in _OF_THE_WORKER}
    problems += [f"'{name}' is lost and as at the first start." for name in lost]
    state = state_of((), StoredHistory(0, 0, ()), (), defaults | found)
    queue = [item for item in salvage.queue() if state.running is None or item.item_uid != state.running.item_uid]
    return replace(state, queue=ItemSequence(queue), autostart=False), interrupted
