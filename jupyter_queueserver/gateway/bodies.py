"""From the body of an HTTP request to the frame that the manager gets.  Pure.

Only the keys of the outermost object are looked at; their values are copied as text, so that a batch of ten thousand items
costs no decoding here.  What a method's parameters mean is the manager's matter.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec

from ..api import Method
from .refusals import bad_key, malformed_body

#: Methods that want a body, be it ``{}``.
_NEED_BODY = frozenset(
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
_IGNORE_BODY = frozenset({"manager_kill", "permissions_get"})
#: Methods that take the key ``reload``; nothing is cached here, so it has no effect.
_RELOADABLE = frozenset(
    {"ping", "status", "queue_get", "history_get", "devices_allowed", "devices_existing", "re_runs", "lock_info"}
)
#: Methods whose keys the manager judges by itself.
_RAW = frozenset({"manager_stop"})
#: Without this key a request goes to the manager as it is, whose own refusal existing clients know.
_REQUIRED = {
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
#: Keys that are accepted from existing clients and overwritten: who submits is who is logged in.
_IDENTITY_KEYS = frozenset({"user", "user_group"})
#: Methods in which the keys of the identity are not overwritten but refused.
_NO_IDENTITY_KEYS = frozenset({"plans_allowed"})

_RAW_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])

Fields = dict[str, msgspec.Raw]


class Submitter(NamedTuple):
    """Who makes a request, as the items of the queue show it."""

    user: str
    user_group: str


def make_request(method: Method, body: bytes, submitter: Submitter, fixed: dict[str, Any] | None = None) -> bytes:
    """Make the manager's request frame; raises `Refusal` (400 or 422).

    Parameters
    ----------
    body
        As it came; empty counts as missing.
    fixed
        Parameters that the route itself gives; the body is ignored then.  None: they come from the body.
    """
    fields = _params(method, body) if fixed is None else {name: _text(value) for name, value in fixed.items()}
    for name, value in zip(("user", "user_group"), submitter, strict=True):
        if name in method.parameter_names:
            fields[name] = _text(value)
    return msgspec.json.encode({"method": method.name, "params": fields})


def _text(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def _params(method: Method, body: bytes) -> Fields:
    if method.name in _IGNORE_BODY:
        return {}
    if not body.strip():
        if method.name in _NEED_BODY:
            raise malformed_body("missing", ["body"], "Field required")
        return {}
    fields = _decode(body)
    required = _REQUIRED.get(method.name)
    if method.name not in _RAW and (required is None or required in fields):
        _check_keys(method, fields)
        _check_types(method, fields)
        if method.name in _RELOADABLE:
            fields.pop("reload", None)
    return fields


def _decode(body: bytes) -> Fields:
    try:
        body.decode()  # the decoder below does not look into what it copies
        return _RAW_OBJECT.decode(body)
    except RecursionError as err:
        raise malformed_body("json_invalid", ["body"], "JSON decode error: nested too deeply") from err
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # perhaps Python's dialect, with NaN or Infinity
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError) as err:
        place = getattr(err, "pos", 0)
        raise malformed_body("json_invalid", ["body", place], f"JSON decode error: {err}") from err
    if not isinstance(decoded, dict):
        raise malformed_body("dict_type", ["body"], "Input should be a valid dictionary")
    return {name: _text(value) for name, value in decoded.items()}


def _check_keys(method: Method, fields: Fields) -> None:
    known = set(method.parameter_names)
    if method.name in _NO_IDENTITY_KEYS:
        known -= _IDENTITY_KEYS
    if method.name in _RELOADABLE:
        known.add("reload")
    for name in fields:
        if name not in known:
            raise bad_key(
                f"{method.name}() got an unexpected keyword argument '{name}'",
                name,
                code="unsupported_parameters",
                hint=f"Keys of this route: {', '.join(sorted(known - _IDENTITY_KEYS)) or 'none'}.",
            )


def _check_types(method: Method, fields: Fields) -> None:
    """The types that clients expect to be judged before the manager sees them."""
    if "item" in fields and _first(fields["item"]) != b"{":
        raise bad_key("Parameter 'item' must be a dictionary", "item")
    if "items" in fields:
        _check_items(fields["items"])
    if "lock_key" in fields and not _is_key(fields["lock_key"]):
        raise bad_key("Parameter 'lock_key' must be a non-empty string or null", "lock_key")
    if method.name == "re_runs" and "option" in fields and _first(fields["option"]) != b'"':
        raise bad_key("Parameter 'option' must be a string", "option")


def _check_items(items: msgspec.Raw) -> None:
    if _first(items) != b"[":
        raise bad_key("Parameter 'items' must be a list of dictionaries", "items")
    try:
        elements = _RAW_LIST.decode(items)
    except msgspec.MsgspecError:
        return  # Python's dialect inside: the manager looks at it
    for place, element in enumerate(elements):
        if _first(element) != b"{":
            raise bad_key(f"Parameter 'items' must hold dictionaries only: element {place} is none", f"items[{place}]")


def _is_key(value: msgspec.Raw) -> bool:
    text = bytes(value).strip()
    return text == b"null" or (text.startswith(b'"') and text != b'""')


def _first(value: msgspec.Raw) -> bytes:
    return bytes(memoryview(value)[:64]).lstrip()[:1]
