"""`qserver recover`: one command for the night when the store is damaged.

Keeps the damaged file, makes a new one of what can be read, and says what is lost.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import QueueServerError
from ..instance import find_instance, write_private
from ..storage import StoreBroken, StoreOwned, open_kept_store
from ..storage.recovering import recover_file
from ..storage.salvage import Findings
from ..storage.sqlite import SqliteStore
from .stores import DONE, FAILED, owner


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit status: 0 sound or recovered, 1 it cannot be, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="qserver recover",
        allow_abbrev=False,
        description="Check the store of an instance without manager; of a damaged one make a new one of what can be read."
        " The damaged one is kept.",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the instance")
    instance = find_instance(parser.parse_args(arguments).data_dir)
    if not isinstance(open_kept_store(instance), SqliteStore):
        return _fail("the store of that instance is no file: put a backup back with `qserver restore --replace FILE`")
    if not instance.store.exists():
        return _fail(f"there is no store in {instance.data_dir}")
    try:
        findings, kept = recover_file(instance.store, instance.lease, owner())
    except StoreOwned as err:
        return _fail(f"{err.msg} Stop it first: qserver manager stop")
    except StoreBroken as err:
        return _fail(
            f"{err.msg} Everything is left as it is. Put a backup in its place (qserver restore --replace FILE),"
            f" or move {instance.store} away to begin with an empty queue."
        )
    except (QueueServerError, OSError) as err:
        return _fail(str(err))
    if kept is None:
        print(f"The store {instance.store} is sound; nothing was done.")
        return DONE
    text = _report(findings, kept)
    write_private(kept.with_name(kept.name + ".txt"), f"{text}\n".encode())
    print(text)
    return DONE


def _report(findings: Findings, kept: Path) -> str:
    problems = [f"- {problem}" for problem in findings.problems] or ["- Nothing is lost as far as can be seen."]
    return "\n".join(
        [
            f"A new store was made: {findings.queue} items in the queue, {findings.history} entries in the history.",
            f"The damaged one is kept as it is: {kept}",
            "What is lost:",
            *problems,
            "Start the manager and look at the queue before you start it. Autostart is off.",
        ]
    )


def _fail(text: str) -> int:
    print(f"qserver recover: {text}", file=sys.stderr)
    return FAILED
