"""What a running manager has, read through its interface: as it was at one moment, though it goes on meanwhile."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import IO, Any

from ..client.blocking import Client
from ..core.codec import convert
from ..core.errors import QueueServerError
from ..core.items import Item
from ..core.state import QueueMode
from ..storage.backup_file import Content

#: entries of the history asked for at once
_PAGE = 200
#: how often queue and history are read anew because something changed in between, and seconds to wait each time
_TRIES, _PAUSE = 100, 0.05


class NotConsistent(QueueServerError):
    """The server refuses to be read, or is too busy."""

    code = "backup_failed"
    hint = "Repeat it when fewer changes are made."


def ask(client: Client, method: str, **params: Any) -> dict[str, Any]:
    """Call a method that must succeed; raises what the server refused."""
    reply = client.call(method, **params)
    if not reply.get("success", True):
        error = reply.get("error", {})
        raise QueueServerError(
            f"{method}: {reply.get('msg')}", code=error.get("code"), hint=error.get("hint"), path=error.get("path", "")
        )
    return reply


def live_content(client: Client) -> Content:
    """Read everything; the history is kept in a temporary file meanwhile."""
    for _ in range(_TRIES):
        before = ask(client, "status")
        queue = ask(client, "queue_get")
        newest = _page(client, None, _PAGE)
        after = ask(client, "status")
        if all(before[key] == after[key] for key in ("plan_queue_uid", "plan_history_uid", "running_item_uid")):
            break
        time.sleep(_PAUSE)
    else:
        raise NotConsistent("Queue and history change faster than they can be read.")
    permissions = ask(client, "permissions_get")["user_group_permissions"]
    pages = _Pages()
    pages.put(newest)
    total = after["items_in_history"]
    while pages.count < total and newest:
        newest = _page(client, newest[0]["item_uid"], _PAGE)
        pages.put(newest)
    if pages.count < total:
        raise NotConsistent(f"The history was cleared while it was read: {pages.count} of {total} entries were found.")
    running = queue["running_item"]
    return Content(
        queue=[Item(fields) for fields in queue["items"]],
        history=pages.oldest_first(),
        mode=convert(after["plan_queue_mode"], QueueMode),
        permissions=permissions,
        running=Item(running) if running else None,
    )


def _page(client: Client, before_uid: str | None, limit: int) -> list[dict[str, Any]]:
    """One page; entries that are too big for one answer are asked for in smaller pages."""
    try:
        return ask(client, "history_get", limit=limit, before_uid=before_uid)["items"]
    except QueueServerError as err:
        if err.code != "reply_too_large" or limit == 1:
            raise
    return _page(client, before_uid, max(1, limit // 4))


class _Pages:
    """Pages that come from the newest back, to be read from the oldest on."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by who reads it
        self._spans: list[list[int]] = []
        self.count = 0

    def put(self, page: list[dict[str, Any]]) -> None:
        sizes = [self._file.write(Item(fields).text) for fields in page]
        self._spans.append(sizes)
        self.count += len(page)

    def oldest_first(self) -> Iterator[Item]:
        end = self._file.tell()
        for sizes in reversed(self._spans):
            end -= sum(sizes)
            self._file.seek(end)
            for size in sizes:
                yield Item.of_text(self._file.read(size))
        self._file.close()
