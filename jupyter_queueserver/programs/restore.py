"""`qserver restore FILE`: puts a backup back, through the manager if one runs, else into the store.

All or nothing, and never beside a running plan.  The file is checked whole before anything is asked or written.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..client.blocking import Client
from ..client.errors import CommunicationError, SettingsError
from ..client.target import LOCK_KEY_VARIABLE
from ..core.codec import to_plain
from ..core.errors import QueueServerError, RequestError
from ..core.permissions import Permissions
from ..core.rules.restore import How, Restored
from ..instance import find_instance
from ..storage import StoreOwned
from ..storage.backup_file import Content, Summary, open_backup
from ..storage.restoring import restore_kept
from .live_content import ask
from .stores import DONE, FAILED, NO_ANSWER, owner, running_manager
from .target_options import add_target_options

#: bytes of the largest backup that a running manager is given: it takes all of it in one decision
_LIVE_LIMIT = 8 * 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no answer from the manager."""
    parser = argparse.ArgumentParser(
        prog="qserver restore",
        allow_abbrev=False,
        description="Put a backup of `qserver backup` back, all or nothing. Nothing starts by itself afterwards.",
    )
    parser.add_argument("file", metavar="FILE", help="the backup")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--replace", dest="how", action="store_const", const="replace", help="instead of all that is there")
    ways.add_argument(
        "--append", dest="how", action="store_const", const="append", help="behind what is there, without what is there already"
    )
    parser.set_defaults(how="empty")
    parser.add_argument("--permissions", action="store_true", help="also set the user group permissions of the backup")
    parser.add_argument("--edited", action="store_true", help="the file was edited: do not compare its counts and check sum")
    parser.add_argument(
        "-k",
        "--lock-key",
        metavar="KEY",
        default=os.environ.get(LOCK_KEY_VARIABLE) or None,
        help=f"key of the lock, if the queue is locked; others can see it in the list of processes: {LOCK_KEY_VARIABLE} hides it",
    )
    add_target_options(parser)
    options = parser.parse_args(arguments)
    try:
        print(_restore(options), file=sys.stderr)
    except CommunicationError as err:
        return _fail(f"no answer from the manager: {err}", NO_ANSWER)
    except StoreOwned as err:
        return _fail(f"{err.msg} It is just starting, or does not answer: repeat it when it runs, or stop it.")
    except QueueServerError as err:
        return _fail(f"{err.msg} {err.hint}")
    except (SettingsError, OSError, ValueError) as err:
        return _fail(str(err))
    return DONE


def _restore(options: argparse.Namespace) -> str:
    summary, content = open_backup(Path(options.file), edited=options.edited)
    if options.permissions and content.permissions is not None:
        Permissions.parse(content.permissions).check_patterns()  # before anything is asked or written
    client = running_manager(options)
    if client is not None:
        with client:
            return _told(_through_manager(client, summary, content, options), None)
    how: How = options.how
    return _told(*restore_kept(find_instance(options.data_dir), owner(), content, how, permissions=options.permissions))


def _through_manager(client: Client, summary: Summary, content: Content, options: argparse.Namespace) -> Restored:
    if summary.size > _LIVE_LIMIT:
        raise RequestError(
            f"The backup has {summary.size} bytes; a running manager takes {_LIVE_LIMIT} at most.",
            code="too_large",
            hint="Stop the manager (`qserver manager stop`), restore, and start it again.",
        )
    key: Mapping[str, Any] = {} if options.lock_key is None else {"lock_key": options.lock_key}
    reply = ask(
        client,
        "queue_restore",
        items=to_plain(list(content.queue)),
        history=to_plain(list(content.history)),
        running=None if content.running is None else content.running.fields,
        mode=None if content.mode is None else to_plain(content.mode),
        how=options.how,
        **key,
    )
    if options.permissions and content.permissions is not None:
        ask(client, "permissions_set", user_group_permissions=content.permissions, **key)
    return Restored(
        queue=reply["restored_items"],
        history=reply["restored_entries"],
        left_out=reply["left_out"],
        left_out_uids=reply["left_out_uids"],
        returned=reply["returned"],
    )


def _told(done: Restored, kept: Path | None) -> str:
    lines = [f"{done.queue} items were put into the queue and {done.history} entries into the history. Autostart is off."]
    if done.left_out:
        lines.append(f"{done.left_out} were left out, they are there already: {', '.join(done.left_out_uids)}")
    if done.returned is not None:
        lines.append(
            f"Item {done.returned} was running when the backup was made: it is first in the queue. Look whether it was done."
        )
    if kept is not None:
        lines.append(f"The store as it was before is kept: {kept}")
    return "\n".join(lines)


def _fail(text: str, status: int = FAILED) -> int:
    print(f"qserver restore: {text}", file=sys.stderr)
    return status
