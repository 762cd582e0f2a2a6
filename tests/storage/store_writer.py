"""A program that takes the store and appends items until it is killed; it says each uid once it is committed."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from store_samples import first_state, items, owner

from jupyter_queueserver.core.changes import HistoryAppended, QueueInserted, QueueRemoved, apply
from jupyter_queueserver.storage.sqlite import SqliteStore

directory = Path(sys.argv[1])
store = SqliteStore(directory / "queue.sqlite", directory / "lease")
store.acquire(owner("ipc:///writer"))
state = first_state()
for n in itertools.count():
    changes = [QueueInserted(items=items(f"u{n}"))]
    if n >= 3:
        changes += [QueueRemoved(uids=(f"u{n - 3}",)), HistoryAppended(items=items(f"u{n - 3}"))]
    for change in changes:
        state = apply(state, change, 0.0)
    store.commit(changes, state)
    print(n, flush=True)
