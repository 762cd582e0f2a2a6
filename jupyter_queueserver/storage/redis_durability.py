"""Whether a Redis server is set up to keep what it is told.  It only reads settings, and says nothing where that is forbidden."""

from __future__ import annotations

import logging
from typing import Any

from ..core.errors import StoreUnavailable
from .redis_server import RedisServer

_log = logging.getLogger(__name__)


def weaknesses(server: RedisServer) -> list[str]:
    """Return a sentence for each setting by which commits may be lost; none if the settings cannot be read."""
    try:
        found = {**_settings(server, "append*"), **_settings(server, "maxmemory*")}
    except StoreUnavailable as error:
        _log.info("Whether the Redis server keeps what it is told cannot be checked: %s", error.msg)
        return []
    return told(found)


def told(settings: dict[str, str]) -> list[str]:
    """Return the sentences about these settings of a server."""
    sentences = []
    if settings.get("appendonly") == "no":
        sentences.append(
            "The Redis server keeps no append-only file: if it ends, the changes since its last snapshot are lost"
            " (set 'appendonly yes' and 'appendfsync always')."
        )
    elif settings.get("appendonly") == "yes" and settings.get("appendfsync") != "always":
        sentences.append(
            "The Redis server writes to its disk later than it answers: if its machine fails, the changes of the last second"
            " or more are lost (set 'appendfsync always')."
        )
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction" and settings.get("maxmemory", "0") != "0":
        sentences.append(
            f"The Redis server throws keys away when it is full ('maxmemory-policy {policy}'): set 'maxmemory-policy noeviction'."
        )
    return sentences


def _settings(server: RedisServer, pattern: str) -> dict[str, str]:
    found: Any = server.read("CONFIG GET", pattern)
    if isinstance(found, dict):
        return {_text(name): _text(value) for name, value in found.items()}
    return {_text(name): _text(value) for name, value in zip(found[::2], found[1::2], strict=True)}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
