"""What a submitted item must look like, and making the stored one of it.

The checks and their order are those of the interface: shape, who submits, then the plan against its description.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..catalogue import Catalogue
from ..codec import Verbatim
from ..errors import ItemInvalid, RequestError
from ..items import Item, kept

#: Levels of lists and dictionaries in an item.
DEPTH_LIMIT = 64
_TYPES = ("plan", "instruction")
_INSTRUCTIONS = ("queue_stop",)


def item_shape(item: Any, types: tuple[str, ...] = _TYPES) -> Mapping[str, Any]:
    """Check that it is an item at all, of one of these types; returns it."""
    if item is None:
        raise _format("request contains no item info", "item", "Send the item in the parameter 'item'.")
    if not isinstance(item, dict):
        raise _format(
            f"incorrect type ('{type(item).__name__}') of item parameter: item parameter must have type 'dict'",
            "item",
            "An item is an object with 'item_type', 'name', 'args', 'kwargs'.",
        )
    if "item_type" not in item:
        raise _format("'item_type' key is not found", "item.item_type", _set_to(types))
    if item["item_type"] not in types:
        raise _format(
            f"unsupported 'item_type' value: '{item['item_type']}', supported item types {types}",
            "item.item_type",
            _set_to(types),
        )
    return item


def _set_to(types: tuple[str, ...]) -> str:
    return f"Set it to {' or '.join(map(repr, types))}."


def submitter(user: Any, user_group: Any) -> None:
    """Check that it is said who submits."""
    if user_group is None:
        raise _format("user group is not specified", "user_group", "Send 'user_group', e.g. 'primary'.")
    if user is None:
        raise _format("user name is not specified", "user", "Send 'user', the name of who submits.")


def _format(text: str, path: str, hint: str) -> RequestError:
    return RequestError(f"Incorrect request format: {text}", code="item_format", path=path, hint=hint)


def prepared(catalogue: Catalogue, item: Any, user: Any, user_group: Any, uid: str) -> Item:
    """Check a submitted item wholly and return the one to be stored.

    Raises
    ------
    RequestError, ItemInvalid
        With the item's own data in ``data["item"]``: nothing was changed.
    """
    shape = item_shape(item)
    submitter(user, user_group)
    if nested_too_deeply([shape, user]):
        raise ItemInvalid(
            f"The item is nested more than {DEPTH_LIMIT} levels deep",
            code="item_format",
            hint="Pass such data through a file or a device; an item holds arguments.",
            path="item",
        )
    catalogue.plans_allowed(user_group)  # an unknown group is refused for instructions too
    fields = kept(shape) | {"item_uid": uid, "user": user, "user_group": user_group}
    if shape["item_type"] == "instruction":
        _check_instruction(fields)
    else:
        _check_plan(catalogue, fields)
    return _stored(fields)


def updated(catalogue: Catalogue, item: Any, user: Any, user_group: Any, new_uid: str | None) -> Item:
    """Check an item that shall take the place of the queued one that its ``item_uid`` names.

    Parameters
    ----------
    new_uid
        Uid that the item gets; None: it keeps the one that it has.
    """
    shape = item_shape(item)
    submitter(user, user_group)
    uid = shape.get("item_uid") if new_uid is None else new_uid
    if not isinstance(uid, str):
        raise RequestError(
            "Item description contains no UID and UID generation is skipped",
            code="item_format",
            hint="Set 'item_uid' to the uid of the queued item.",
            path="item.item_uid",
        )
    return prepared(catalogue, item, user, user_group, uid)


def _stored(fields: dict[str, Any]) -> Item:
    """Make the item; what JSON cannot carry (bytes of a msgpack client) cannot be stored."""
    try:
        return Item(fields)
    except (TypeError, ValueError, RecursionError) as err:
        raise ItemInvalid(
            str(err), code="not_json", hint="Send only what JSON can carry: text, numbers, lists and objects.", path="item"
        ) from err


def nested_too_deeply(value: Any) -> bool:
    """Whether lists and dictionaries lie in each other deeper than every encoder of the server can follow."""
    level: list[Any] = [value]
    for _ in range(DEPTH_LIMIT):
        level = [part for parts in level for part in _parts_of(parts)]
        if not level:
            return False
    return True


def _parts_of(value: Any) -> Any:
    parts = value.values() if isinstance(value, dict) else value
    return [part for part in parts if isinstance(part, (dict, list, tuple))]


def _check_instruction(fields: dict[str, Any]) -> None:
    if fields.get("name") not in _INSTRUCTIONS:
        raise ItemInvalid(
            f"Unrecognized instruction: {fields}",
            code="unknown_instruction",
            hint="The only instruction is 'queue_stop'.",
            path="item.name",
        )
    _check_properties(fields)


def _check_plan(catalogue: Catalogue, fields: dict[str, Any]) -> None:
    try:
        _check_properties(fields)
        catalogue.check(fields)
    except ItemInvalid as err:
        raise ItemInvalid(
            f"Plan validation failed: {err.msg}\nPlan: {fields}", code=err.code, hint=err.hint, path=_in_item(err.path)
        ) from err


def _check_properties(fields: dict[str, Any]) -> None:
    properties = fields.get("properties")
    if "properties" in fields and not isinstance(properties, dict):
        raise ItemInvalid(
            f"'properties' must be a dictionary, not {type(properties).__name__}",
            code="item_format",
            hint="Leave 'properties' out: they belong to the server.",
            path="properties",
        )


def _in_item(path: str) -> str:
    return path if path.startswith("item") else f"item.{path}" if path else "item"


def echoed(item: Any) -> Verbatim | None:
    """Return the item as it was sent, for a refusing reply; None if JSON cannot carry it."""
    try:
        return None if item is None else Verbatim(item)
    except (TypeError, ValueError, RecursionError):
        return None
