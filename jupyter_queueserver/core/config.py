"""What the people who run the server have settled, as far as rules need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

PermissionsReload = Literal["NEVER", "ON_REQUEST", "ON_STARTUP"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that rules look at.

    Attributes
    ----------
    emergency_lock_key
        Key that opens every lock; None: there is none.
    permissions_reload
        Whether the permissions may be read from their file again.
    kernel
        Whether the worker's kernel is shown to clients, or the worker answers as a plain one.
    permitted_metadata_keys
        Paths of the RunEngine's metadata that clients may see.
    confirm_returned
        Whether the queue starts only when every item that came back to it was confirmed.
    time_text
        Turns seconds since the epoch into local time as people read it.
    """

    emergency_lock_key: str | None = None
    permissions_reload: PermissionsReload = "ON_STARTUP"
    kernel: Literal["shown", "hidden"] = "shown"
    permitted_metadata_keys: tuple[str, ...] = ("/",)
    confirm_returned: bool = False
    time_text: Callable[[float], str] = str
