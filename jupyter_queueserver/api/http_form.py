"""What is special about single methods over HTTP: which bodies they take, and which routes there are beside the method's own.

Pure data; the gateway and the OpenAPI document are made from it.  What is not here follows from the declaration of the method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.requests import ID_LIMIT

#: Header that may hold the id of a request (`registry.REQUEST_ID`) instead of its body.
ID_HEADER = "Idempotency-Key"
#: Methods without a route.
NOT_SERVED = frozenset({"manager_test"})
#: Further routes of methods, all of them GET: path -> method and the parameters that the path gives (None: the body does).
FURTHER_ROUTES: Mapping[str, tuple[str, Mapping[str, Any] | None]] = {
    "": ("status", None),
    "/re/runs/active": ("re_runs", {"option": "active"}),
    "/re/runs/open": ("re_runs", {"option": "open"}),
    "/re/runs/closed": ("re_runs", {"option": "closed"}),
}
#: Methods that want a body, be it ``{}``.
NEED_BODY = frozenset(
    {
        "queue_autostart",
        "queue_mode_set",
        "queue_item_add_batch",
        "queue_item_update",
        "queue_item_remove",
        "queue_item_remove_batch",
        "queue_item_move",
        "queue_item_move_batch",
        "queue_item_execute",
        "permissions_set",
        "function_execute",
        "script_upload",
        "task_status",
        "task_result",
        "lock",
        "unlock",
        "lock_info",
    }
)
#: Methods whose body is ignored, whatever it is.
IGNORE_BODY = frozenset({"manager_kill", "permissions_get"})
#: Methods that take the key ``reload``; nothing is cached, so it has no effect.
_RELOADABLE = ("ping", "status", "queue_get", "history_get", "devices_allowed", "devices_existing", "re_runs", "lock_info")
#: Methods that take the key ``reduced``: plans in the short form.
REDUCIBLE = frozenset({"plans_allowed", "plans_existing"})
#: Keys of a method that the manager does not get.
GATEWAY_KEYS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(_RELOADABLE, frozenset({"reload"})),
    **dict.fromkeys(REDUCIBLE, frozenset({"reduced"})),
}
#: Methods whose keys the manager judges by itself.
RAW = frozenset({"manager_stop"})
#: Without this key a request goes to the manager as it is, whose own refusal existing clients know.
JUDGED_BY_MANAGER: Mapping[str, str] = {
    "queue_item_add": "item",
    "queue_item_execute": "item",
    "function_execute": "item",
    "queue_item_add_batch": "items",
    "queue_item_remove_batch": "uids",
    "permissions_set": "user_group_permissions",
    "script_upload": "script",
    "task_status": "task_uid",
    "task_result": "task_uid",
}
#: Without this key a request is refused at once.
WANTED: Mapping[str, str] = {
    "queue_autostart": "enable",
    "queue_item_update": "item",
    "lock": "lock_key",
    "unlock": "lock_key",
}
#: Keys that are accepted from existing clients and overwritten: who submits is who is logged in.
IDENTITY_KEYS = frozenset({"user", "user_group"})
#: Methods in which the keys of the identity are not overwritten but refused.
NO_IDENTITY_KEYS = frozenset({"plans_allowed"})
#: Keys of the mode, which `queue_mode_set` also takes directly.
MODE_KEYS = ("loop", "ignore_failures")
#: What the type of a key does not tell, and keys that are no parameters: JSON Schemas.
KEY_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "lock_key": {"minLength": 1},
    "request_id": {"minLength": 1, "maxLength": ID_LIMIT},
    "items": {"items": {"type": "object"}},
    "reload": {"description": "accepted from existing clients; nothing is cached"},
    "reduced": {"type": "boolean", "default": False, "description": "whether plans come in the short form"},
}
