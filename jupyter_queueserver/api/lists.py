"""Lists of plans and devices."""

from __future__ import annotations

from typing import Any

from ..core.errors import RequestError
from ..core.status import part_uid
from .registry import Context, Key, State, read
from .schemas import OBJECT, UID, UID_OR_NULL


def _required(user_group: Any) -> str:
    if user_group is None:
        raise RequestError(
            "Incorrect request format: user group is not specified",
            code="item_format",
            hint="Send 'user_group', e.g. 'primary'.",
            path="user_group",
        )
    return user_group


def _allowed(state: State, context: Context, kind: str, user_group: Any) -> dict[str, Any]:
    name = f"{kind}_allowed"
    version = getattr(state.versions, name)
    return {
        name: state.catalogue.text(kind, _required(user_group)),
        f"{name}_uid": part_uid(context.epoch, name, version),
    }


def _existing(state: State, context: Context, kind: str) -> dict[str, Any]:
    name = f"{kind}_existing"
    version = getattr(state.versions, name)
    return {name: state.catalogue.text(kind), f"{name}_uid": part_uid(context.epoch, name, version)}


@read(
    scope="read:resources",
    words="allowed plans",
    reply={"plans_allowed": Key(OBJECT, {}), "plans_allowed_uid": Key(UID_OR_NULL, None)},
)
def plans_allowed(state: State, context: Context, *, user_group: str) -> dict[str, Any]:
    """Return the plans that a user group may submit.

    Parameters
    ----------
    user_group
        Name of the group.
    """
    return _allowed(state, context, "plans", user_group)


@read(
    scope="read:resources",
    words="allowed devices",
    reply={"devices_allowed": Key(OBJECT, {}), "devices_allowed_uid": Key(UID_OR_NULL, None)},
)
def devices_allowed(state: State, context: Context, *, user_group: str) -> dict[str, Any]:
    """Return the devices that a user group may name.

    Parameters
    ----------
    user_group
        Name of the group.
    """
    return _allowed(state, context, "devices", user_group)


@read(
    scope="read:resources",
    words="existing plans",
    reply={"plans_existing": Key(OBJECT, {}), "plans_existing_uid": Key(UID, None)},
)
def plans_existing(state: State, context: Context) -> dict[str, Any]:
    """Return all plans of the environment, whoever may use them."""
    return _existing(state, context, "plans")


@read(
    scope="read:resources",
    words="existing devices",
    reply={"devices_existing": Key(OBJECT, {}), "devices_existing_uid": Key(UID, None)},
)
def devices_existing(state: State, context: Context) -> dict[str, Any]:
    """Return all devices of the environment, whoever may use them."""
    return _existing(state, context, "devices")
