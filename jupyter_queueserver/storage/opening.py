"""Which store is meant.  The database is imported only when it is used."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.redis_address import DEFAULT_PREFIX, RedisAddress, is_redis_address, split_password
from ..instance import Instance
from .contract import Store, StoreBroken
from .memory import MemoryStore


class RedisOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a store in a Redis server needs beside its address.

    Attributes
    ----------
    prefix
        Begin of the names of all its keys.
    password
        None: none is sent.
    take_over
        Whether an environment that is open on another machine is given up.
    """

    prefix: str = DEFAULT_PREFIX
    password: str | None = None
    take_over: bool = False

    def __repr__(self) -> str:  # never shows the password
        return f"RedisOptions(prefix={self.prefix!r}, take_over={self.take_over})"


def open_store(kind: str, path: Path | None = None, lease: Path | None = None, redis: RedisOptions | None = None) -> Store:
    """Return a store; nothing is opened or written before its ``acquire``.

    Parameters
    ----------
    kind
        ``sqlite``: one file; ``memory``: forgotten at the end of the process, for tests; or the address of a Redis server, e.g.
        ``redis://localhost:6379/0``.
    path
        The database file; its directory must exist.  With Redis, its directory says whose environment it is.
    lease
        The file that is locked while a manager owns the store.  None: beside the database, with ``.lease``
        added to its name.
    redis
        For a Redis server; None: the defaults.

    Raises
    ------
    ValueError
        An unknown kind, an address that cannot be used, or ``sqlite`` without a path.
    """
    if kind == "memory":
        return MemoryStore()
    if is_redis_address(kind):
        return _redis_store(kind, redis or RedisOptions(), "" if path is None else str(path.parent.resolve()))
    if kind != "sqlite":
        raise ValueError(f"there is no store of kind {kind!r}: use 'sqlite', 'memory' or the address of a Redis server")
    if path is None:
        raise ValueError("a store of kind 'sqlite' needs a path")
    from .sqlite import SqliteStore

    return SqliteStore(path, lease or path.with_name(path.name + ".lease"))


class _Kept(msgspec.Struct):
    """What the settings of an instance say about its store."""

    store: str = "sqlite"
    redis_name_prefix: str = DEFAULT_PREFIX
    redis_password: str | None = None


def open_kept_store(instance: Instance) -> Store:
    """Return the store that the last manager of an instance used, as its settings say; SQLite if there never was one.

    Raises
    ------
    StoreBroken
        The settings cannot be read.
    """
    path = instance.data_dir / "settings.json"
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        kept = _Kept()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        text = f"Where the queue is kept cannot be read from {path}: {error}."
        raise StoreBroken(text, hint="Start the manager, which writes that file anew.") from error
    redis = RedisOptions(prefix=kept.redis_name_prefix, password=kept.redis_password)
    return open_store(kept.store, instance.store, instance.lease, redis)


def _redis_store(address: str, options: RedisOptions, home: str) -> Store:
    from .redis import RedisStore

    url, password = split_password(address)
    found = RedisAddress(url, options.prefix, options.password if password is None else password)
    return RedisStore(found, take_over=options.take_over, home=home)
