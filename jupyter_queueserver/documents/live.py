"""The live view: pushes documents to the manager over 0MQ, thinned so that a fast plan floods nobody.

Nothing is durable here and nothing waits: what the manager does not take is dropped. It must not import numpy.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from jupyter_queueserver.documents import encoding
from jupyter_queueserver.documents.reader import Entry

__all__ = ["LiveConsumer", "LiveMessage", "Thinner", "describe"]

log = logging.getLogger(__name__)

EVENT_GAP: Final = 0.05
LARGEST_ARRAY: Final = 1000


class LiveMessage(msgspec.Struct):
    """What travels, as JSON text in one frame; arrays of more than 1 kB are described by ``{"shape", "dtype"}``."""

    environment_id: str
    seq: int
    name: str
    doc: dict[str, Any]


class Thinner:
    """Lets all documents pass but events: of these one per *gap* seconds and stream, the latest, and always the last.

    Parameters
    ----------
    send
        Called with the entries that pass, in their order within a stream.
    clock
        Seconds, monotonic.
    """

    def __init__(self, send: Callable[[Entry], None], *, clock: Callable[[], float], gap: float = EVENT_GAP) -> None:
        self._send = send
        self._clock = clock
        self._gap = gap
        self._sent_at: dict[str, float] = {}
        self._held: dict[str, Entry] = {}

    def feed(self, entry: Entry) -> None:
        """Take one document."""
        if entry.name not in ("event", "event_page"):
            self.flush()
            if entry.name == "stop":
                self._sent_at.clear()
            self._send(entry)
            return
        stream = str(entry.doc.get("descriptor", "")) if isinstance(entry.doc, dict) else ""
        self._held[stream] = entry
        if self._clock() - self._sent_at.get(stream, -1e9) >= self._gap:
            self._release(stream)

    def due(self) -> float | None:
        """Send what is due; seconds until something else is, None if nothing is held."""
        now = self._clock()
        for stream in [s for s in self._held if now - self._sent_at.get(s, -1e9) >= self._gap]:
            self._release(stream)
        if not self._held:
            return None
        return max(0.001, min(self._sent_at[stream] + self._gap - now for stream in self._held))

    def flush(self) -> None:
        """Send all that is held."""
        for stream in list(self._held):
            self._release(stream)

    def _release(self, stream: str) -> None:
        self._sent_at[stream] = self._clock()
        self._send(self._held.pop(stream))


class LiveConsumer:
    """A consumer that pushes :class:`LiveMessage` frames to the manager's PULL socket.

    Parameters
    ----------
    address
        0MQ address that the manager binds.
    """

    name = "live"
    durable = False
    whole_runs = False
    arrays = False

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: Any = None
        self._thinner = Thinner(self._push, clock=time.monotonic)
        self.dropped = 0

    def deliver(self, batch: Sequence[Entry]) -> None:
        """Push what passes the thinner; never waits, never fails."""
        for entry in batch:
            self._thinner.feed(entry)

    def idle(self) -> float | None:
        """Push what was held back."""
        return self._thinner.due()

    def abort(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Push what was held back and close the socket; frames that nobody takes are dropped after 0.1 s."""
        self._thinner.flush()
        if self._socket is not None:
            self._socket.close(linger=100)

    def _push(self, entry: Entry) -> None:
        import zmq  # only when there is a document: an idle relay stays small

        if self._socket is None:
            self._socket = zmq.Context.instance().socket(zmq.PUSH)
            self._socket.setsockopt(zmq.SNDHWM, 1000)
            self._socket.setsockopt(zmq.RECONNECT_IVL, 200)
            self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 5000)
            self._socket.connect(self._address)
        try:
            self._socket.send(frame(entry), flags=zmq.NOBLOCK)
        except zmq.Again:
            self.dropped += 1


def frame(entry: Entry) -> bytes:
    """The JSON text of an entry: the dialect of Python's ``json`` (NaN and Infinity stay numbers)."""
    message = {
        "environment_id": entry.environment_id,
        "seq": entry.seq,
        "name": entry.name,
        "doc": describe(entry.doc),
    }
    return json.dumps(message, default=str).encode()


def describe(value: Any) -> Any:
    """A copy for JSON: numpy scalars and small arrays as numbers, larger arrays and long bytes as ``{"shape", "dtype"}``."""
    if isinstance(value, dict):
        return {_key(key): describe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, msgspec.msgpack.Ext):
        return _describe_ext(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"shape": [len(value)], "dtype": "bytes"}
    return value


def _key(key: Any) -> str | int | float | bool | None:
    return key if isinstance(key, (str, int, float, bool)) or key is None else str(key)


def _describe_ext(value: msgspec.msgpack.Ext) -> Any:
    head = encoding.array_head(value)
    numbers = encoding.plain_numbers(value, LARGEST_ARRAY)
    return {"shape": list(head.shape), "dtype": str(head.dtype)} if numbers is None else numbers
