"""From the body of an HTTP request to the frame that the manager gets.  Pure.

Only the keys of the outermost object are looked at; their values are copied as text, so that a batch of ten thousand items
costs no decoding here.  What a method's parameters mean is the manager's matter.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec

from ..api import Method
from ..api import http_form as form
from ..api.http_form import ID_HEADER
from ..api.registry import REQUEST_ID, REQUEST_USER
from .refusals import bad_key, malformed_body, not_finite
from .strict import place_of_non_finite

#: First characters of a JSON text of the type that is wanted.
_TASK_UID_STARTS = {"task_status": (b'"', b"["), "task_result": (b'"',)}

_RAW_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])

Fields = dict[str, msgspec.Raw]


class Submitter(NamedTuple):
    """Who makes a request, as the items of the queue show it.

    Attributes
    ----------
    is_trusted
        Whether he may name somebody else in the body.
    """

    user: str
    user_group: str
    is_trusted: bool = False


def make_request(
    method: Method,
    body: bytes,
    submitter: Submitter,
    fixed: dict[str, Any] | None = None,
    request_id: str | None = None,
) -> bytes:
    """Make the manager's request frame; raises `Refusal` (400 or 422).

    Parameters
    ----------
    body
        As it came; empty counts as missing.
    fixed
        Parameters that the route itself gives; the body is ignored then.  None: they come from the body.
    request_id
        As a header gives it; None: it may be in the body.
    """
    fields = _params(method, body) if fixed is None else {name: _text(value) for name, value in fixed.items()}
    for name, value in (("user", submitter.user), ("user_group", submitter.user_group)):
        if name in method.parameter_names and not (submitter.is_trusted and name in fields):
            fields[name] = _text(value)
    if method.is_recorded:
        _identify(fields, fields.get("user", _text(submitter.user)), request_id)
    return msgspec.json.encode({"method": method.name, "params": fields})


def _identify(fields: Fields, user: msgspec.Raw, request_id: str | None) -> None:
    """Put in the id of the request, if it has one, and who asks, whom the events name; a retry is one of the same user only."""
    fields.pop(REQUEST_USER, None)
    if request_id is not None:
        given = json.loads(bytes(fields.get(REQUEST_ID.name, b"null")))
        if given is not None and given != request_id:
            raise bad_key(
                f"The header {ID_HEADER} and the key '{REQUEST_ID.name}' say different things",
                REQUEST_ID.name,
                code="ambiguous_parameters",
                hint="Send one of them.",
            )
        fields[REQUEST_ID.name] = _text(request_id)
    fields[REQUEST_USER] = user


def header_id(value: str | None) -> str | None:
    """Return the id of a request that the header gives, with or without quotes; None: there is none."""
    text = "" if value is None else value.strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return None if value is None else text[1:-1] if quoted else text


def require_json(content_type: str | None) -> None:
    """Refuse (422) a body that says it is something else; without a word it is taken as JSON.

    Browsers send the types that are refused here to other servers without asking, see the same-origin policy.
    """
    if content_type is None:
        return
    main, _, kind = content_type.partition(";")[0].strip().lower().partition("/")
    if main != "application" or not (kind == "json" or kind.endswith("+json")):
        raise malformed_body(
            "dict_type",
            ["body"],
            f"Input should be a valid dictionary: the body is {content_type!r}, send 'Content-Type: application/json'",
        )


def ignores_body(method: Method) -> bool:
    """Whether a body may be anything, because the method has no use for it."""
    return method.name in form.IGNORE_BODY


def _text(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def _params(method: Method, body: bytes) -> Fields:
    if method.name in form.IGNORE_BODY:
        return {}
    if not body.strip():
        if method.name in form.NEED_BODY:
            raise malformed_body("missing", ["body"], "Field required")
        return {}
    fields = _decode(body)
    if method.name == "queue_mode_set":
        fields = _with_mode(fields)
    required = form.JUDGED_BY_MANAGER.get(method.name)
    if method.name not in form.RAW and (required is None or required in fields):
        _check_keys(method, fields)
        _check_types(method, fields)
        for name in form.GATEWAY_KEYS.get(method.name, ()):
            fields.pop(name, None)
    return fields


def _with_mode(fields: Fields) -> Fields:
    """Existing clients may give the keys of the mode directly."""
    if "mode" in fields:
        return fields
    outside = {name: value for name, value in fields.items() if name in ("lock_key", REQUEST_ID.name)}
    mode = {name: value for name, value in fields.items() if name not in outside}
    return outside | ({"mode": msgspec.Raw(msgspec.json.encode(mode))} if mode else {})


def _decode(body: bytes) -> Fields:
    try:
        text = body.decode()  # the first decoder below does not look into what it copies, the second would guess
    except UnicodeDecodeError as err:
        raise malformed_body("json_invalid", ["body", err.start], f"JSON decode error: it is not UTF-8: {err}") from err
    if (place := place_of_non_finite(body)) is not None:
        raise not_finite(place)
    try:
        return _RAW_OBJECT.decode(body)
    except RecursionError as err:
        raise malformed_body("json_invalid", ["body"], "JSON decode error: nested too deeply") from err
    except msgspec.MsgspecError:
        pass  # perhaps only a text with half a surrogate pair; if not, the other decoder says it better
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError) as err:
        at = getattr(err, "pos", 0)
        raise malformed_body("json_invalid", ["body", at], f"JSON decode error: {err}") from err
    if not isinstance(decoded, dict):
        raise malformed_body("dict_type", ["body"], "Input should be a valid dictionary")
    return {name: _text(value) for name, value in decoded.items()}


def _check_keys(method: Method, fields: Fields) -> None:
    known = {*method.parameter_names, *form.GATEWAY_KEYS.get(method.name, ()), REQUEST_ID.name}
    if method.name in form.NO_IDENTITY_KEYS:
        known -= form.IDENTITY_KEYS
    hidden = form.IDENTITY_KEYS if method.is_recorded else {*form.IDENTITY_KEYS, REQUEST_ID.name}
    for name in fields:
        if name not in known:
            raise bad_key(
                f"{method.name}() got an unexpected keyword argument '{name}'",
                name,
                code="unsupported_parameters",
                hint=f"Keys of this route: {', '.join(sorted(known - hidden)) or 'none'}.",
            )
    wanted = form.WANTED.get(method.name)
    if wanted is not None and wanted not in fields:
        raise bad_key(
            f"{method.name}() is missing the required keyword argument '{wanted}'",
            wanted,
            code="missing_parameter",
            hint="Add that key to the object in the body.",
        )


def _check_types(method: Method, fields: Fields) -> None:
    """The types that clients expect to be judged before the manager sees them."""
    if "item" in fields and _first(fields["item"]) != b"{":
        raise bad_key("Parameter 'item' must be a dictionary", "item")
    if "items" in fields:
        _check_items(fields["items"])
    if "lock_key" in fields and not _is_key(fields["lock_key"], or_null=form.WANTED.get(method.name) != "lock_key"):
        raise bad_key("Parameter 'lock_key' must be a non-empty string", "lock_key")
    if "enable" in fields and _first(fields["enable"]) not in (b"t", b"f"):
        raise bad_key("Parameter 'enable' must be true or false", "enable")
    if method.name == "re_runs" and "option" in fields and _first(fields["option"]) != b'"':
        raise bad_key("Parameter 'option' must be a string", "option")
    if "task_uid" in fields and _first(fields["task_uid"]) not in _TASK_UID_STARTS[method.name]:
        raise bad_key("Parameter 'task_uid' must be a string, or a list of strings to ask for several states", "task_uid")
    if "reduced" in fields and _first(fields["reduced"]) not in (b"t", b"f"):
        raise bad_key("Parameter 'reduced' must be true or false", "reduced")


def _check_items(items: msgspec.Raw) -> None:
    if _first(items) != b"[":
        raise bad_key("Parameter 'items' must be a list of dictionaries", "items")
    try:
        elements = _RAW_LIST.decode(items)
    except msgspec.MsgspecError:
        return  # half a surrogate pair inside: the manager looks at it
    for place, element in enumerate(elements):
        if _first(element) != b"{":
            raise bad_key(f"Parameter 'items' must hold dictionaries only: element {place} is none", f"items[{place}]")


def _is_key(value: msgspec.Raw, *, or_null: bool) -> bool:
    text = bytes(value).strip()
    return (or_null and text == b"null") or (text.startswith(b'"') and text != b'""')


def _first(value: msgspec.Raw) -> bytes:
    return bytes(memoryview(value)[:64]).lstrip()[:1]
