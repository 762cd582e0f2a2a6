"""JSON Schemas that several declarations use."""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
UID: dict[str, Any] = {"type": "string", "description": "changes exactly when the contents change"}
UID_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}
COUNT_OR_NULL: dict[str, Any] = {"type": ["integer", "null"]}
OBJECT: dict[str, Any] = {"type": "object"}
ITEM: dict[str, Any] = {"type": ["object", "null"], "description": "an item of the queue"}
ITEMS: dict[str, Any] = {"type": "array", "items": {"type": "object"}}
RUNS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "uid": {"type": "string"},
            "scan_id": {"type": ["integer", "null"]},
            "is_open": {"type": "boolean"},
            "exit_status": {"type": ["string", "null"]},
        },
    },
}
LOCK_INFO: dict[str, Any] = {
    "type": "object",
    "properties": {
        "environment": {"type": "boolean"},
        "queue": {"type": "boolean"},
        "user": {"type": ["string", "null"]},
        "note": {"type": ["string", "null"]},
        "time": {"type": ["number", "null"], "description": "seconds since the epoch"},
        "time_str": {"type": "string", "description": "local time, empty when unlocked"},
        "emergency_lock_key_is_set": {"type": "boolean"},
    },
}
