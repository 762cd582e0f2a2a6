"""`qserver import redis://HOST:PORT/DB`: takes over what a Bluesky Queue Server 0.0.25 has kept, once.

It reads that database and writes nothing to it; the old server can be started again at any time.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from ..core.errors import QueueServerError
from ..core.rules.restore import Restored
from ..instance import Instance, find_instance
from ..instance.paths import write_private
from ..storage import StoreOwned
from ..storage.old_server import DEFAULT_PREFIX, OldServer, read_old_server
from ..storage.restoring import restore_kept
from .stores import DONE, FAILED, owner

#: Holds what was taken over, when and from where; a second time is refused while it is there.
MARK = "imported.json"
#: Where the address may stand instead, so that a password is not seen in the list of processes.
VARIABLE = "QSERVER_IMPORT_URL"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit status: 0 done, 1 refused or failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="qserver import",
        allow_abbrev=False,
        description="Take over queue, history, lock, permissions and mode of a Bluesky Queue Server 0.0.25, once. Stop it first.",
    )
    parser.add_argument("url", nargs="?", metavar="redis://HOST:PORT/DB", help=f"default: the variable {VARIABLE}")
    parser.add_argument("--prefix", default=DEFAULT_PREFIX, metavar="NAME", help=f"its --redis-name-prefix ({DEFAULT_PREFIX})")
    parser.add_argument("--append", action="store_true", help="behind what is in queue and history already")
    parser.add_argument("--even-if-running", action="store_true", help="although a plan of the old server seems to be running")
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the instance that takes it over")
    options = parser.parse_args(arguments)
    url = options.url or os.environ.get(VARIABLE)
    if not url:
        parser.error(f"the address is missing: give redis://HOST:PORT/DB, or set {VARIABLE}")
    instance = find_instance(options.data_dir)
    mark = instance.data_dir / MARK
    if mark.exists():
        return _fail(f"a queue was taken over already: {mark.read_text().strip()}. Delete {mark} if it shall be done again.")
    try:
        old = read_old_server(url if "://" in url else f"redis://{url}", options.prefix)
        if old.content.running is not None and old.connections and not options.even_if_running:
            return _fail(
                f"item {old.content.running.item_uid} is running and {old.connections} programs are connected to that"
                " database: wait for its end and stop the old server, or say --even-if-running"
            )
        done, kept = _take_over(instance, old, append=options.append)
    except StoreOwned as err:
        return _fail(f"{err.msg} Stop it first: qserver manager stop")
    except QueueServerError as err:
        return _fail(f"{err.msg} {err.hint}")
    except (OSError, ValueError) as err:
        return _fail(str(err))
    print(_told(old, done, kept))
    return DONE


def _take_over(instance: Instance, old: OldServer, *, append: bool) -> tuple[Restored, Path | None]:
    how = "append" if append else "empty"
    done, kept = restore_kept(instance, owner(), old.content, how, permissions=True, lock=old.lock)
    now = datetime.now().astimezone().replace(microsecond=0).isoformat()
    note = {"source": old.content.source, "time": now, "queue": done.queue, "history": done.history}
    write_private(instance.data_dir / MARK, msgspec.json.encode(note) + b"\n", sync=True)
    return done, kept


def _told(old: OldServer, done: Restored, kept: Path | None) -> str:
    lines = [f"{done.queue} items were put into the queue and {done.history} entries into the history."]
    if done.returned is not None:
        lines.append(f"Item {done.returned} was running there: it is first in the queue, with a mark. Look whether it was done.")
    if done.left_out:
        lines.append(f"{done.left_out} were left out, they are there already: {', '.join(done.left_out_uids)}")
    lines += old.left_out
    if old.lock is not None:
        lines.append(f"{old.lock.user} has locked it; the key is the same.")
    if old.autostart:
        lines.append("Autostart was on there and is off here: nothing starts before you say so.")
    if old.connections:
        lines.append(f"{old.connections} other programs are connected to that database: stop the old server before you go on.")
    if kept is not None:
        lines.append(f"The store as it was before is kept: {kept}")
    lines.append("User group permissions are taken over; a file of permissions that the manager reads at its start goes first.")
    return "\n".join(lines)


def _fail(text: str) -> int:
    print(f"qserver import: {text}", file=sys.stderr)
    return FAILED
