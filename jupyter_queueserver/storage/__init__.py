"""Where queue, history and state are kept: `Store` is a load and commits, and an owner.

A store knows how changes are kept, not what they mean; it never decides anything.  Ownership is taken before
a single byte is written, and every commit checks that no other manager has taken it over meanwhile.
"""

from .contract import FenceLost, Owner, SchemaTooNew, Store, StoreBroken, StoreOwned
from .memory import MemoryDisk, MemoryStore
from .opening import RedisOptions, open_kept_store, open_store

__all__ = [
    "FenceLost",
    "MemoryDisk",
    "MemoryStore",
    "Owner",
    "RedisOptions",
    "SchemaTooNew",
    "Store",
    "StoreBroken",
    "StoreOwned",
    "open_kept_store",
    "open_store",
]
