"""How the small programs reach the store of an instance: through the manager that runs, else by themselves, as a manager."""

from __future__ import annotations

import argparse
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..client.blocking import Client
from ..client.target import ADDRESS_VARIABLE
from ..instance import Instance, find_instance, identity_of, read_runtime
from ..storage import Owner, Store, open_kept_store
from .target_options import open_client

DONE, FAILED, NO_ANSWER = 0, 1, 3


def owner() -> Owner:
    """This process, as the owner of a store."""
    return Owner(host=socket.gethostname(), identity=identity_of(), address="", since=time.time())


def running_manager(options: argparse.Namespace) -> Client | None:
    """Return a client of the manager that is meant; None: none runs in the data directory, and no address was given."""
    named = options.address or (os.environ.get(ADDRESS_VARIABLE) and not options.data_dir)
    if named or read_runtime(find_instance(options.data_dir)) is not None:
        return open_client(options)
    return None


@contextmanager
def own_store(instance: Instance) -> Iterator[Store]:
    """Hold the store of an instance; raises `StoreOwned` if a manager runs."""
    instance.prepare_data()
    store = open_kept_store(instance)
    store.acquire(owner())
    try:
        yield store
    finally:
        store.close()
