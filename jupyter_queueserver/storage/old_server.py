"""What a Bluesky Queue Server 0.0.25 has kept in its Redis database, as the content of a backup.

Its keys are read in one transaction and nothing is written to that database.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ..core.codec import from_json
from ..core.errors import QueueServerError, ServiceError
from ..core.items import Item
from ..core.locks import Lock, key_digest
from ..core.permissions import Permissions
from ..core.redis_address import DEFAULT_PREFIX
from ..core.state import QueueMode
from .backup_file import Content

T = TypeVar("T")

#: seconds to wait for an answer
_TIMEOUT = 5.0
#: names of the keys behind the prefix: lists of items, and single texts
_LISTS = ("plan_queue", "plan_history")
_TEXTS = ("running_plan", "plan_queue_mode", "user_group_permissions", "lock_info", "autostart_mode_info")


class OldServerUnusable(ServiceError):
    """The database cannot be read, or holds no queue of that server; nothing was taken over."""

    code = "import_failed"
    hint = "Check the address, the database number and the prefix (--prefix, the old --redis-name-prefix)."


class OldServer(msgspec.Struct, frozen=True):
    """What was found.

    Attributes
    ----------
    content
        Queue, history, mode, permissions, and the item that was running.
    lock
        With the same key; None if nothing was locked.
    autostart
        Whether its queue started by itself.
    connections
        How many other programs are connected to that database, e.g. the old server itself; None: it cannot be told.
    left_out
        One sentence for each entry that could not be taken over.
    """

    content: Content
    lock: Lock | None
    autostart: bool
    connections: int | None
    left_out: tuple[str, ...] = ()


def read_old_server(url: str, prefix: str = DEFAULT_PREFIX) -> OldServer:
    """Read everything at one moment.

    Parameters
    ----------
    url
        ``redis://host:port/db``.
    prefix
        What its keys begin with.

    Raises
    ------
    OldServerUnusable
        No answer, nothing there, or a text that cannot be read, with its key.
    """
    texts, lists, connections = _fetched(url, prefix)
    if not any(texts.values()) and not any(lists.values()):
        raise OldServerUnusable(f"There is no queue under the prefix '{prefix}' in {_public(url)}.")
    left_out: list[str] = []
    queue, history = (_items(prefix, name, lists[name], left_out) for name in _LISTS)
    running = _value(prefix, "running_plan", texts["running_plan"]) or None
    content = Content(
        queue=queue,
        history=history,
        mode=_read(prefix, "plan_queue_mode", texts, lambda value: msgspec.convert(value, QueueMode)),
        permissions=_read(prefix, "user_group_permissions", texts, lambda value: Permissions.parse(value).to_wire()),
        running=None if running is None else _item(running),
        source=f"Bluesky Queue Server, {_public(url)}, prefix {prefix}",
    )
    autostart = _value(prefix, "autostart_mode_info", texts["autostart_mode_info"]) or {}
    lock = _read(prefix, "lock_info", texts, _lock)
    return OldServer(content, lock, autostart.get("enabled") is True, connections, tuple(left_out))


def _fetched(url: str, prefix: str) -> tuple[dict[str, bytes | None], dict[str, list[bytes]], int | None]:
    try:
        import redis
    except ImportError as error:
        raise OldServerUnusable("The Redis client is not installed.", hint="pip install redis") from error
    try:
        client = redis.Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
    except ValueError as error:
        raise OldServerUnusable(f"The address {_public(url)} cannot be used: {error}.") from error
    try:
        with client.pipeline(transaction=True) as pipe:
            for name in _TEXTS:
                pipe.get(f"{prefix}_{name}")
            for name in _LISTS:
                pipe.lrange(f"{prefix}_{name}", 0, -1)
            found: list[Any] = pipe.execute()
        return dict(zip(_TEXTS, found, strict=False)), dict(zip(_LISTS, found[len(_TEXTS) :], strict=True)), _others(client)
    except redis.RedisError as error:
        raise OldServerUnusable(f"{_public(url)} cannot be read: {error}.") from error
    finally:
        client.close()


def _others(client: Any) -> int | None:
    """Count the other connections to the same database."""
    import redis

    try:
        own = str(client.client_id())
        database = str(client.connection_pool.connection_kwargs.get("db") or 0)
        return sum(1 for each in client.client_list() if each["id"] != own and each["db"] == database)
    except redis.RedisError:  # not permitted to this user
        return None


def _public(url: str) -> str:
    """The address without user and password."""
    head, _, rest = url.partition("://")
    return f"{head}://{rest.rpartition('@')[2]}"


def _value(prefix: str, name: str, text: bytes | None) -> Any:
    try:
        return None if text is None else from_json(text)
    except ValueError as error:
        raise OldServerUnusable(f"The key {prefix}_{name} cannot be read: {error}.") from error


def _read(prefix: str, name: str, texts: dict[str, bytes | None], make: Callable[[Any], T]) -> T | None:
    value = _value(prefix, name, texts[name])
    try:
        return make(value) if value else None
    except (ValueError, TypeError, KeyError, QueueServerError) as error:
        raise OldServerUnusable(f"The key {prefix}_{name} cannot be read: {error}.") from error


def _items(prefix: str, name: str, texts: list[bytes], left_out: list[str]) -> list[Item]:
    items = []
    for number, text in enumerate(texts):
        try:
            items.append(_item(from_json(text)))
        except (ValueError, TypeError, KeyError) as error:
            left_out.append(f"Entry {number} of {prefix}_{name} cannot be read: {error}.")
    return items


def _item(value: Any) -> Item:
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("item_uid", "item_type", "name")):
        raise ValueError("it is no item with item_uid, item_type and name")
    return Item(value)


def _lock(value: dict[str, Any]) -> Lock | None:
    environment, queue = value.get("environment") is True, value.get("queue") is True
    key = value.get("lock_key")
    if not (environment or queue) or not isinstance(key, str):
        return None
    salt = os.urandom(16).hex()
    return Lock(
        environment=environment,
        queue=queue,
        user=value.get("user"),
        note=value.get("note"),
        time=value.get("time"),
        uid=str(value.get("uid") or uuid.uuid4()),
        salt=salt,
        digest=key_digest(salt, key),
    )
