"""The backup of a queue server: one readable file, one JSON object a line, written and read without holding it in memory.

A head, the mode, the permissions, the running item, the queue, the history, and an end with counts and a check sum: a file
that was cut or changed is refused with the line.  Nothing here reads or writes a store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from ..core.codec import convert, from_json, python_json, to_json
from ..core.errors import QueueServerError, RequestError
from ..core.items import Item
from ..core.permissions import Permissions
from ..core.state import QueueMode
from ..version import __version__

T = TypeVar("T")

FORMAT = 1
"""Version of the file's form; a higher one is refused."""

#: order in which the kinds of lines follow each other
_ORDER = ("jupyter_queueserver_backup", "mode", "permissions", "running", "queue", "history", "end")
_SINGLE = frozenset({"mode", "permissions", "running"})


class BackupInvalid(RequestError):
    """A file that is no whole backup; nothing was restored."""

    code = "backup_invalid"
    hint = (
        "Use another backup. One that was edited on purpose is taken with --edited: then counts and check sum are not compared."
    )


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """First line: ``format``, when it was written (ISO 8601), by which version of the program, and of what."""

    format: int
    time: str
    program: str
    source: str = ""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """Last line: how many items and entries there are, and the SHA-256 of all lines before."""

    queue: int
    history: int
    sha256: str


@dataclass
class Content:
    """What a backup holds, or what was taken over from another server.

    Attributes
    ----------
    queue, history
        Front first; oldest first.  May be iterated once.
    mode, permissions
        None: it says nothing about them.
    running
        The item that was running then; its end is not known.
    """

    queue: Iterable[Item] = ()
    history: Iterable[Item] = ()
    mode: QueueMode | None = None
    permissions: dict[str, Any] | None = None
    running: Item | None = None
    source: str = ""


@dataclass(frozen=True)
class Summary:
    """What is in a file, beside the items."""

    head: Head
    queue: int = 0
    history: int = 0
    size: int = 0
    parts: dict[str, Any] = field(default_factory=dict)


def write_backup(file: IO[bytes], content: Content, time: str) -> Summary:
    """Write a backup; returns what was written.

    Parameters
    ----------
    time
        Now, ISO 8601.
    """
    digest = hashlib.sha256()
    counts: dict[str, int] = {"queue": 0, "history": 0}
    size = 0

    def put(kind: str, text: bytes) -> None:
        nonlocal size
        line = b'{"%s":%s}\n' % (kind.encode(), text)
        digest.update(line)
        size += len(line)
        file.write(line)

    head = Head(format=FORMAT, time=time, program=__version__, source=content.source)
    put(_ORDER[0], to_json(head))
    if content.mode is not None:
        put("mode", to_json(content.mode))
    if content.permissions is not None:
        put("permissions", python_json(content.permissions))
    if content.running is not None:
        put("running", content.running.text)
    for kind, items in (("queue", content.queue), ("history", content.history)):
        for item in items:
            put(kind, item.text)
            counts[kind] += 1
    end = End(queue=counts["queue"], history=counts["history"], sha256=digest.hexdigest())
    file.write(b'{"end":%s}\n' % to_json(end))
    return Summary(head, counts["queue"], counts["history"], size)


def open_backup(path: Path, *, edited: bool = False) -> tuple[Summary, Content]:
    """Read a whole file once to check it; the content then reads it again, line by line.

    Parameters
    ----------
    edited
        It was changed by hand: counts and check sum are not compared.

    Raises
    ------
    BackupInvalid
        With the line.
    OSError
        It cannot be read.
    """
    summary = _checked(path, edited)
    parts = summary.parts
    content = Content(
        queue=_items(path, "queue"),
        history=_items(path, "history"),
        mode=parts.get("mode"),
        permissions=parts.get("permissions"),
        running=parts.get("running"),
        source=summary.head.source,
    )
    return summary, content


def _items(path: Path, wanted: str) -> Iterator[Item]:
    for number, kind, text, _ in _lines(path):
        if kind == wanted:
            yield _reading(number, lambda text=text: _item(text))


def _checked(path: Path, edited: bool) -> Summary:
    digest = hashlib.sha256()
    head: Head | None = None
    parts: dict[str, Any] = {}
    counts = {"queue": 0, "history": 0}
    uids: set[str] = set()
    place = size = 0
    for number, kind, text, line in _lines(path):
        place = _next_place(place, kind, number, parts)
        if kind == "end":
            _compare(
                _reading(number, lambda text=text: convert(from_json(text), End)), counts, digest.hexdigest(), number, edited
            )
        elif kind in counts:
            uid = _reading(number, lambda text=text: _item(text)).item_uid
            counts[kind] += 1
            if uid in uids:
                raise _wrong(number, f"the item {uid} stands in an earlier line too")
            if kind == "queue":
                uids.add(uid)
        elif kind == _ORDER[0]:
            head = _head(number, text)
        else:
            parts[kind] = _reading(number, lambda kind=kind, text=text: _part(kind, text))
            if kind == "running":
                uids.add(parts[kind].item_uid)
        digest.update(line)
        size += len(line)
    if head is None:
        raise BackupInvalid(f"{path} is empty.")
    if place != len(_ORDER) - 1:
        raise BackupInvalid(f"{path} was cut: its last line is missing.")
    return Summary(head, counts["queue"], counts["history"], size, parts)


def _next_place(place: int, kind: str, number: int, parts: dict[str, Any]) -> int:
    if kind not in _ORDER:
        raise _wrong(number, f"it begins with the unknown word {kind!r:.40}")
    found = _ORDER.index(kind)
    if number == 1 and found != 0:
        raise _wrong(number, "this is no backup of a queue server: its first line is another")
    if found < place or (found == place and number > 1 and kind not in ("queue", "history")) or kind in parts:
        raise _wrong(number, f"a line {kind!r} does not belong here")
    return found


def _head(number: int, text: bytes) -> Head:
    head = _reading(number, lambda: convert(from_json(text), Head))
    if head.format > FORMAT:
        raise _wrong(number, f"it has form {head.format}, this program ({__version__}) reads forms up to {FORMAT}")
    return head


def _compare(end: End, counts: dict[str, int], digest: str, number: int, edited: bool) -> None:
    if edited:
        return
    for kind, count in counts.items():
        if getattr(end, kind) != count:
            raise _wrong(number, f"{getattr(end, kind)} lines '{kind}' were written, {count} are there")
    if end.sha256 != digest:
        raise _wrong(number, "the check sum does not fit: the lines before were changed")


def _part(kind: str, text: bytes) -> Any:
    if kind == "mode":
        return convert(from_json(text), QueueMode)
    if kind == "running":
        return _item(text)
    permissions = from_json(text)
    Permissions.parse(permissions)
    return permissions


def _item(text: bytes) -> Item:
    value = from_json(text)
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("item_uid", "item_type", "name")):
        raise ValueError("it is no item: item_uid, item_type and name are texts")
    if value["item_type"] not in ("plan", "instruction"):
        raise ValueError(f"item_type {value['item_type']!r:.40} is unknown")
    return Item(value)


def _lines(path: Path) -> Iterator[tuple[int, str, bytes, bytes]]:
    """Number from 1, kind, text of the value, and the whole line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            value = _reading(number, lambda line=line: from_json(line))
            if not isinstance(value, dict) or len(value) != 1:
                raise _wrong(number, "it is no object with one key")
            kind = next(iter(value))
            opening = b'{"%s":' % kind.encode("utf-8", "surrogatepass")
            exact = line.startswith(opening) and line.endswith(b"}\n")
            yield number, kind, line[len(opening) : -2] if exact else python_json(value[kind]), line


def _reading(number: int, read: Any) -> Any:
    try:
        return read()
    except BackupInvalid:
        raise
    except QueueServerError as err:
        raise _wrong(number, err.msg) from err
    except (ValueError, TypeError, KeyError, RecursionError) as err:
        raise _wrong(number, str(err)) from err


def _wrong(number: int, what: str) -> BackupInvalid:
    return BackupInvalid(f"The backup is not right at line {number}: {what}.", path=f"line {number}")
