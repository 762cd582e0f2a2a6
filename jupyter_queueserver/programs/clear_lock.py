"""`qserver-clear-lock`: delete the lock of a server that does not run, when its key is lost.

Opens the store of the data directory, or one in a Redis server, as a manager would, so that it never writes beside one.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ..core.changes import LockSet, apply
from ..core.errors import QueueServerError
from ..core.locks import Lock
from ..core.redis_address import DEFAULT_PREFIX, from_short_form, split_password
from ..core.state import State
from ..instance import find_instance, identity_of
from ..storage import Owner, RedisOptions, Store, StoreOwned, open_kept_store, open_store

DONE, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit status: 0 (also if there is no lock), 1 if the store cannot be used."""
    parser = argparse.ArgumentParser(
        prog="qserver-clear-lock",
        allow_abbrev=False,
        description="Show and delete the stored lock of a server that does not run.",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the instance")
    parser.add_argument("--redis-addr", metavar="ADDR", help="Redis server in which it is (host:port/db), instead of --data-dir")
    parser.add_argument("--redis-name-prefix", metavar="NAME", default=DEFAULT_PREFIX, help="as given to start-re-manager")
    options = parser.parse_args(arguments)
    try:
        store, where, file = _store(options)
        if store.last_owner() is None and not (file is not None and file.exists()):
            print(f"There is no lock: nothing is stored in {where}.")
            return DONE
        return _clear(store)
    except StoreOwned as err:
        return _fail(
            f"{err.msg} Unlock with the key or the emergency key (`qserver unlock -k KEY`); or end the manager"
            " (`qserver manager stop`), run this program again, and start the manager."
        )
    except ValueError as err:
        return _fail(f"the address of --redis-addr cannot be used: {err}")
    except (QueueServerError, OSError) as err:
        return _fail(str(err))


def _store(options: argparse.Namespace) -> tuple[Store, str, Path | None]:
    """The store that is meant, its name in a sentence, and its file; raises ``ValueError`` for an address that is none."""
    if options.redis_addr is None:
        instance = find_instance(options.data_dir)
        return open_kept_store(instance), str(instance.data_dir), instance.store
    url, password = split_password(from_short_form(options.redis_addr))
    if password is not None:
        raise ValueError("it holds a password, and command lines can be read by others; set QSERVER_REDIS_PASSWORD")
    password = os.environ.get("QSERVER_REDIS_PASSWORD")
    redis = RedisOptions(prefix=options.redis_name_prefix, password=password)
    return open_store(url, redis=redis), f"{url} (prefix '{options.redis_name_prefix}')", None


def _clear(store: Store) -> int:
    try:
        store.acquire(Owner(host=socket.gethostname(), identity=identity_of(), address="", since=time.time()))
        state = store.load()
        if state is None or not state.lock.is_locked:
            print("There is no lock.")
            return DONE
        print(describe(state.lock))
        _commit(store, state)
    finally:
        store.close()
    print("The lock is deleted. Start the manager again.")
    return DONE


def _commit(store: Store, state: State) -> None:
    change = LockSet(lock=Lock())
    store.commit([change], apply(state, change, time.time()))


def describe(lock: Lock) -> str:
    """Say who has locked what."""
    what = " and ".join(name for name, is_locked in (("environment", lock.environment), ("queue", lock.queue)) if is_locked)
    when = "" if lock.time is None else f" at {datetime.fromtimestamp(lock.time).astimezone():%Y-%m-%d %H:%M:%S}"
    note = f" Note: {lock.note}" if lock.note else ""
    return f"Locked: {what}, by {lock.user or 'an unknown user'}{when}.{note}"


def _fail(text: str) -> int:
    print(f"qserver-clear-lock: {text}", file=sys.stderr)
    return FAILED
