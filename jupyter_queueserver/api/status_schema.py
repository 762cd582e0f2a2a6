"""JSON Schema of the status dictionary, the one reply that is not made of declared keys."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_FLAG = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_UID = {"type": "string", "description": "changes when that part does"}


def _flags(*names: str) -> dict[str, Any]:
    return {"type": "object", "required": list(names), "properties": dict.fromkeys(names, _FLAG)}


_PROPERTIES: dict[str, Any] = {
    "msg": {**_TEXT, "description": "name and version of the manager"},
    "time": {**_TEXT, "description": "local time"},
    "status_uid": _UID,
    "items_in_queue": _COUNT,
    "items_in_history": _COUNT,
    "running_item_uid": _TEXT_OR_NULL,
    "manager_state": {
        "enum": [
            *("idle", "creating_environment", "closing_environment", "destroying_environment"),
            *("starting_queue", "executing_queue", "executing_task", "paused"),
        ]
    },
    "queue_stop_pending": _FLAG,
    "queue_autostart_enabled": _FLAG,
    "worker_environment_exists": _FLAG,
    "worker_environment_state": {"enum": ["closed", "initializing", "idle", "executing_plan", "executing_task", "closing"]},
    "worker_background_tasks": _COUNT,
    "re_state": {**_TEXT_OR_NULL, "description": "state of the RunEngine; null: there is none"},
    "ip_kernel_state": _TEXT_OR_NULL,
    "ip_kernel_captured": {"type": ["boolean", "null"]},
    "pause_pending": _FLAG,
    "re_pending": {
        "type": ["object", "null"],
        "description": "what the plan was told and has not done yet: command, since, overdue, next, msg",
    },
    **dict.fromkeys(("run_list_uid", "plan_queue_uid", "plan_history_uid", "devices_existing_uid", "plans_existing_uid"), _UID),
    **dict.fromkeys(("devices_allowed_uid", "plans_allowed_uid"), _UID),
    "plan_queue_mode": _flags("loop", "ignore_failures"),
    "task_results_uid": _UID,
    "lock_info_uid": _UID,
    "lock": _flags("environment", "queue"),
    "confirmation_needed": {**_COUNT, "description": "items that came back and keep the queue from starting until confirmed"},
    "environment_id": _TEXT_OR_NULL,
    "environment_failure": {"type": ["object", "null"], "description": "why the environment was not opened"},
    "environment_loading": {
        "type": ["object", "null"],
        "description": "startup file that is being loaded: name, number, count, since",
    },
    "environment_alarm": {**_TEXT_OR_NULL, "description": "what was lost of the documents"},
    "environment_outdated": _FLAG,
    "environment_unreachable": _TEXT_OR_NULL,
    "store_failure": {**_TEXT_OR_NULL, "description": "why the store takes no changes just now"},
}
STATUS: dict[str, Any] = {"type": "object", "required": list(_PROPERTIES), "properties": _PROPERTIES}
