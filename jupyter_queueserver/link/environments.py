"""The program ``environments``: shows the worker of an instance, and ends one that nobody attends to.

A worker without a manager is legitimate: its plan goes on and its result waits.  This is for whoever wants to look, or to
end it for good.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import signal
import sys
import time

from ..instance import Instance, find_instance, read_runtime
from .environment import EnvironmentRecord, read_environment
from .errors import NotAdoptable
from .launch import find_process, sweep_sockets

#: Seconds that a killed worker may take to be gone.
_PATIENCE = 10.0


def main(arguments: list[str] | None = None) -> int:
    """List the environment of an instance, or end it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="jupyter queueserver environments", description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", help="data directory of the instance (default: the usual one)")
    parser.add_argument("--end", metavar="ID", help="kill this environment's worker; its running plan is lost")
    options = parser.parse_args(arguments)
    instance = find_instance(options.data_dir)
    record = read_environment(instance)
    if record is None:
        print(f"There is no environment in {instance.data_dir}.")
        return 0 if options.end is None else 1
    if options.end is None:
        print(describe(instance, record))
        return 0
    return _end(instance, record, options.end)


def describe(instance: Instance, record: EnvironmentRecord) -> str:
    """Say in one line what is known of an environment."""
    opened = datetime.datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    try:
        identity, watch = find_process(record)
        watch.close()
        worker = f"worker process {identity.pid}"
    except NotAdoptable as err:
        worker = f"no worker to be reached: {err.reason}"
    runtime = read_runtime(instance)
    attended = f"attended by the manager (process {runtime.manager.pid})" if runtime else "unattended"
    return f"{record.environment_id}  opened {opened}, {worker}, {attended}"


def _end(instance: Instance, record: EnvironmentRecord, environment_id: str) -> int:
    if environment_id != record.environment_id:
        print(f"There is no environment {environment_id}; there is {record.environment_id}.", file=sys.stderr)
        return 1
    if read_runtime(instance) is not None:
        print("A manager attends to it: use `qserver environment destroy`.", file=sys.stderr)
        return 1
    try:
        identity, watch = find_process(record)
    except NotAdoptable as err:
        if err.alive:
            print(f"Nothing was done: {err.reason}", file=sys.stderr)
            return 1
        print(f"{err.reason} The next manager writes down what became of its plan.")
        return 0
    try:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(identity.pid, signal.SIGKILL)
        deadline = time.monotonic() + _PATIENCE
        while not watch.is_dead():
            if time.monotonic() > deadline:
                print(f"The worker (process {identity.pid}) was killed but does not go.", file=sys.stderr)
                return 1
            time.sleep(0.01)
    finally:
        watch.close()
    sweep_sockets(record)
    print(f"Ended {environment_id}. The next manager writes down what became of its plan.")
    return 0
