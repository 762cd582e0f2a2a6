"""Who owns a Redis store, and whether a process of this machine that owns it is dead.

It reads what the server says and looks at processes; it takes nothing from anybody.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..instance import is_alive
from .contract import Owner, StoreOwned
from .redis_server import RedisServer, Word


class RedisOwned(StoreOwned):
    """Another manager holds the store, or held it until a moment ago on another machine.

    Parameters
    ----------
    seconds
        When its lease runs out unless it is renewed.
    """

    def __init__(self, owner: Owner | None, seconds: float) -> None:
        super().__init__(owner)
        self.hint = (
            "Use the manager that runs, stop it first, or choose another --redis-name-prefix. "
            f"If its machine failed, try again in {seconds:.0f} s."
        )


def owner_in(text: Any) -> Owner | None:
    """Return the owner that a text of the server describes; None if it describes none."""
    try:
        return msgspec.json.decode(text or b"", type=Owner)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def life_of_dead_owner(server: RedisServer, me: Owner) -> Word:
    """Return the mark in the lease of an owner that was a process of this machine and is dead; empty if it may live."""
    if server.read("TYPE", server.key("meta")) != b"hash":
        return ""
    life, text = server.read("HMGET", server.key("meta"), "life", "owner")
    owner = owner_in(text)
    if owner is None or life is None or owner.host != me.host:
        return ""
    here = (me.identity.boot_id, me.identity.namespace)
    if (owner.identity.boot_id, owner.identity.namespace) != here:  # after a reboot, or in another container: not to be seen
        return ""
    return "" if is_alive(owner.identity) else life
