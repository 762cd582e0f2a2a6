"""The datagrams by which the manager tells the watchdog that it lives and what it is about to do.

Both sides import this, so it stays tiny: no asyncio, no sockets.
"""

from __future__ import annotations

from typing import Literal

import msgspec

BEAT_INTERVAL = 0.5
"""Seconds between two heartbeats."""

BeatKind = Literal["beat", "ready", "busy", "ending", "failed", "console"]


class Beat(msgspec.Struct, frozen=True):
    """One datagram.

    Attributes
    ----------
    kind
        ``beat``: starting up and alive; ``ready``: serving (repeated with every heartbeat from then on);
        ``busy``: asked to end, but a plan is running or paused, so the manager stays; ``ending``: it ends
        on purpose and must not be started again (repeated until it is gone); ``failed``: it refuses to start;
        ``console``: the worker has written console text.
    pid
        Process id of the sender.
    text
        Reason of ``busy``, ``ending`` or ``failed``: a phrase or a sentence; with ``console`` the file of the text.
    offset
        With ``console``: where in that file, in bytes, the new text begins.
    """

    kind: BeatKind
    pid: int
    text: str = ""
    offset: int = 0


def encode_beat(beat: Beat) -> bytes:
    """Make the datagram; its text is cut so that it always fits."""
    return msgspec.json.encode(msgspec.structs.replace(beat, text=beat.text[:8000]))


def decode_beat(data: bytes) -> Beat | None:
    """Read a datagram; None if it is not one of ours."""
    try:
        return msgspec.json.decode(data, type=Beat)
    except msgspec.MsgspecError:
        return None
