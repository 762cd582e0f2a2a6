"""Talk to a queue manager: calls, events, a live mirror; asynchronous (`AsyncClient`) and blocking (`Client`).

Loads neither Bluesky nor Ophyd nor NumPy, and never starts a manager.
"""

from .async_client import AsyncClient
from .blocking import BlockingEvents, BlockingMirror, Client
from .errors import (
    ClientError,
    CommunicationError,
    EventsUnavailable,
    RequestFailed,
    RequestTimeout,
    SettingsError,
)
from .events import (
    ByeEvent,
    ChangesEvent,
    ConsoleEvent,
    DocumentEvent,
    Event,
    LostEvent,
    SnapshotEvent,
)
from .live import LiveMirror
from .stream import EventStream
from .target import Target, find_target

__all__ = [
    "AsyncClient",
    "BlockingEvents",
    "BlockingMirror",
    "ByeEvent",
    "ChangesEvent",
    "Client",
    "ClientError",
    "CommunicationError",
    "ConsoleEvent",
    "DocumentEvent",
    "Event",
    "EventStream",
    "EventsUnavailable",
    "LiveMirror",
    "LostEvent",
    "RequestFailed",
    "RequestTimeout",
    "SettingsError",
    "SnapshotEvent",
    "Target",
    "find_target",
]
