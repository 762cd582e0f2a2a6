"""Print everything that happens, as it is pushed: changes, console text, documents of running plans.

Usage: python watch_events.py [DATA_DIR]        (Ctrl-C ends it)

Without DATA_DIR the manager of this user is meant.  It may be restarted meanwhile: the stream goes on by itself.
"""

import contextlib
import sys

from jupyter_queueserver import Client
from jupyter_queueserver.client import ChangesEvent, ConsoleEvent, DocumentEvent, Event, SnapshotEvent
from jupyter_queueserver.instance import find_instance


def describe(event: Event) -> str:
    match event:
        case SnapshotEvent():
            return f"snapshot at {event.seq}: manager is {event.status['manager_state']}"
        case ChangesEvent():
            names = [change["change"] for _, change in event.changes]
            return f"changes up to {event.seq}: {', '.join(names)}"
        case ConsoleEvent():
            return f"console: {event.text.rstrip()}"
        case DocumentEvent():
            return f"document: {event.name} {event.doc.get('data', '')}".rstrip()
        case _:
            return f"{type(event).__name__}: {event}"


def main(data_dir: str | None = None) -> None:
    instance = find_instance(data_dir) if data_dir else None
    with Client(instance=instance) as client, client.subscribe(("state", "console", "documents")) as events:
        for event in events:
            print(describe(event), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:2])
