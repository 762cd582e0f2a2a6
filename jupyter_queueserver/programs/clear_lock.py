"""`qserver-clear-lock`: delete the lock of a server that does not run, when its key is lost.

Opens the store of the data directory as a manager would, so that it never writes beside one.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Sequence
from datetime import datetime

from ..core.changes import LockSet, apply
from ..core.errors import QueueServerError
from ..core.locks import Lock
from ..core.state import State
from ..instance import Instance, find_instance, identity_of
from ..storage import Owner, Store, StoreOwned, open_store

DONE, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit status: 0 (also if there is no lock), 1 if the store cannot be used."""
    parser = argparse.ArgumentParser(
        prog="qserver-clear-lock",
        allow_abbrev=False,
        description="Show and delete the stored lock of a server that does not run.",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the instance")
    parser.add_argument("--redis-addr", metavar="ADDR", help="refused: this version keeps its state in the data directory")
    parser.add_argument("--redis-name-prefix", metavar="NAME", help="refused, as --redis-addr")
    options = parser.parse_args(arguments)
    if options.redis_addr is not None or options.redis_name_prefix is not None:
        return _fail("the lock is not in Redis but in the data directory; use --data-dir")
    instance = find_instance(options.data_dir)
    if not instance.store.exists():
        print(f"There is no lock: nothing is stored in {instance.data_dir}.")
        return DONE
    try:
        return _clear(instance)
    except StoreOwned as err:
        return _fail(
            f"{err.msg} Unlock with the key or the emergency key (`qserver unlock -k KEY`); or end the manager"
            " (`qserver manager stop`), run this program again, and start the manager."
        )
    except (QueueServerError, OSError) as err:
        return _fail(str(err))


def _clear(instance: Instance) -> int:
    store = open_store("sqlite", instance.store, instance.lease)
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
