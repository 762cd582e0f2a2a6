"""Keys on their way from a `start-re-manager --detach` to the watchdog that it leaves behind: through a pipe.

The environment and the command line of a process can be read for as long as it lives; a pipe is empty once it was read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from ..instance.secrecy import OWN_SECRETS
from .settings import SettingsError

#: Bytes that a pipe surely takes at once.
_ROOM = 16384


def seal_secrets(environ: Mapping[str, str]) -> int:
    """Return a descriptor from which a child may read the keys of an environment, once."""
    text = msgspec.json.encode({name: value for name, value in environ.items() if name in OWN_SECRETS})
    if len(text) > _ROOM:
        raise OSError("the keys in the environment variables are too long")
    receiver, sender = os.pipe()
    with open(sender, "wb") as pipe:
        pipe.write(text)
    return receiver


def take_secrets(handle: int | None) -> dict[str, str]:
    """Read and close what `seal_secrets` gave; None: nothing.

    Raises
    ------
    SettingsError
        The descriptor cannot be read.
    """
    if handle is None:
        return {}
    try:
        with open(handle, "rb") as pipe:
            return msgspec.json.decode(pipe.read(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"The keys could not be taken over (--secrets-fd {handle}): {error}.") from error
