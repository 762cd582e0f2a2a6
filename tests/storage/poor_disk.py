"""Uses a store on a disk that is read-only or full: ``python poor_disk.py readonly|full DIRECTORY``, in a mount namespace.

Prints one JSON object: what was raised, and what was there afterwards.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from store_samples import first_state, items, kept, owner

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.errors import QueueServerError
from jupyter_queueserver.storage.sqlite import SqliteStore


def readonly(directory: Path) -> dict[str, object]:
    """A store in a directory that was mounted read-only since."""
    subprocess.run(["/bin/mount", "--bind", str(directory), str(directory)], check=True)
    subprocess.run(["/bin/mount", "-o", "remount,ro,bind", str(directory)], check=True)
    try:
        SqliteStore(directory / "queue.sqlite", directory / "lease").acquire(owner())
    except QueueServerError as err:
        return {"code": err.code, "msg": err.msg, "hint": err.hint}
    return {}


def full(directory: Path) -> dict[str, object]:
    """Fill the disk, be refused, make room, go on."""
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "none", str(directory)], check=True)
    store = SqliteStore(directory / "queue.sqlite", directory / "lease")
    store.acquire(owner())
    one = ch.QueueInserted(items=items("a"))
    state = ch.apply(first_state(), one, 1.0)
    store.commit([one], state)
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    big = ch.QueueInserted(items=items(*(f"b{n}" for n in range(500))))
    after = ch.apply(state, big, 1.0)
    refused = 0
    found: dict[str, object] = {}
    for _ in range(3):
        try:
            store.commit([big], after)
        except QueueServerError as err:
            refused += 1
            found = {"code": err.code, "msg": err.msg, "hint": err.hint}
    loaded = store.load()
    unchanged = loaded is not None and kept(loaded) == kept(state)
    filler.unlink()
    store.commit([big], after)
    loaded = store.load()
    store.close()
    return found | {"refused": refused, "unchanged": unchanged, "goes_on": loaded is not None and kept(loaded) == kept(after)}


if __name__ == "__main__":
    print(json.dumps({"readonly": readonly, "full": full}[sys.argv[1]](Path(sys.argv[2]))))
