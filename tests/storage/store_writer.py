"""A program that takes the store (of a directory, or at the address of a Redis server) and appends items until it is killed.

It says each uid once it is committed.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from store_samples import first_state, items, owner

from jupyter_queueserver.core.changes import HistoryAppended, QueueInserted, QueueRemoved, apply
from jupyter_queueserver.core.redis_address import RedisAddress, is_redis_address
from jupyter_queueserver.storage import Store
from jupyter_queueserver.storage.redis import RedisStore
from jupyter_queueserver.storage.sqlite import SqliteStore

where = sys.argv[1]
store: Store
if is_redis_address(where):
    store = RedisStore(RedisAddress(where))
else:
    store = SqliteStore(Path(where) / "queue.sqlite", Path(where) / "lease")
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
