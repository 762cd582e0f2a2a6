"""`qserver backup [FILE]`: queue, history, mode and permissions of a server as one readable file.

Reads only: through the manager if one runs, else from the store.  The file is there whole or not at all.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from ..client.errors import CommunicationError, SettingsError
from ..core.errors import QueueServerError
from ..core.items import Item
from ..instance import find_instance
from ..storage import Store
from ..storage.backup_file import Content, Summary, write_backup
from .live_content import live_content
from .stores import DONE, FAILED, NO_ANSWER, own_store, running_manager
from .target_options import add_target_options

#: entries read from a store at once
_SLICE = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit status: 0 done, 1 failed, 2 wrong usage, 3 no answer from the manager."""
    parser = argparse.ArgumentParser(
        prog="qserver backup",
        allow_abbrev=False,
        description="Write queue, history, mode and permissions to one file, whether the manager runs or not.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: qserver-backup-<date>.jsonl here; - for the output")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    add_target_options(parser)
    options = parser.parse_args(arguments)
    now = datetime.now().astimezone().replace(microsecond=0)
    path = Path(options.file or f"qserver-backup-{now:%Y%m%d-%H%M%S}.jsonl")
    try:
        if options.file != "-" and path.exists() and not options.force:
            return _fail(f"{path} exists: choose another name, or --force")
        done = _back_up(options, path, now.isoformat())
    except CommunicationError as err:
        return _fail(f"no answer from the manager: {err}", NO_ANSWER)
    except QueueServerError as err:
        return _fail(f"{err.msg} {err.hint}")
    except (SettingsError, OSError, ValueError) as err:
        return _fail(str(err))
    where = "" if options.file == "-" else f" to {path}"
    print(f"{done.queue} items of the queue and {done.history} entries of the history were written{where}.", file=sys.stderr)
    return DONE


def _back_up(options: argparse.Namespace, path: Path, now: str) -> Summary:
    client = running_manager(options)
    if client is not None:
        with client:
            content = live_content(client)
            content.source = "a running manager"
            return _written(content, path, now, options.file == "-")
    instance = find_instance(options.data_dir)
    if not instance.data_dir.exists():
        raise ValueError(f"nothing is stored in {instance.data_dir}, and no manager runs there")
    with own_store(instance) as store:
        return _written(_stored_content(store), path, now, options.file == "-")


def _stored_content(store: Store) -> Content:
    state = store.load()
    if state is None:
        return Content(source="an empty store")
    return Content(
        queue=state.queue,
        history=_entries(store, state.history.first, state.history.end),
        mode=state.mode,
        permissions=state.catalogue.permissions.to_wire(),
        running=state.running,
        source="the store, without a manager",
    )


def _entries(store: Store, first: int, end: int) -> Iterator[Item]:
    for begin in range(first, end, _SLICE):
        yield from map(Item.of_text, store.history(begin, min(begin + _SLICE, end)))


def _written(content: Content, path: Path, now: str, to_stdout: bool) -> Summary:
    if to_stdout:
        return write_backup(sys.stdout.buffer, content, now)
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")  # 0600: items may hold secrets
    try:
        with os.fdopen(handle, "wb") as file:
            summary = write_backup(file, content, now)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return summary


def _fail(text: str, status: int = FAILED) -> int:
    print(f"qserver backup: {text}", file=sys.stderr)
    return status
