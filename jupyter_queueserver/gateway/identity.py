"""Who makes a request: names and user groups of items, from the user that Jupyter authenticated.

Names never come from the body of a request.
"""

from __future__ import annotations

import getpass
import os
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.identity import LegacyIdentityProvider, PasswordIdentityProvider

#: Providers that know no persons: a token user gets a new random name at each request without cookie.
_NAMELESS = (IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider)
#: Name space of the uuids of persons.
_PERSONS = uuid.UUID("f3b0a0c6-6c0c-4a53-9a25-5f8a1d0e7c11")


class UserGroups(NamedTuple):
    """Which user group somebody belongs to, and who may speak for others.

    Attributes
    ----------
    default
        Group of everybody who is not named.
    named
        Group by user name; the name ``*`` stands for all others and beats `default`.
    trusted
        Login names of gateways that know their own users: what they send as ``user`` and ``user_group`` counts.
    """

    default: str = "primary"
    named: Mapping[str, str] = {}
    trusted: frozenset[str] = frozenset()

    def of(self, name: str) -> str:
        """Return the group of a user name."""
        return self.named.get(name) or self.named.get("*") or self.default


def account_name() -> str:
    """Name of the operating system's account of this process; its number if it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def login_name(provider: IdentityProvider, user: User) -> str:
    """Return the name by which somebody is known; with Jupyter's own providers the account of the server, its only person."""
    return account_name() if type(provider) in _NAMELESS else user.username


def user_name(provider: IdentityProvider, user: User) -> str:
    """Return the name for items: the login name and, if it differs, the display name: ``ada "Ada Lovelace"``."""
    name = login_name(provider, user)
    shown = None if type(provider) in _NAMELESS else user.display_name
    return f'{name} "{shown}"' if shown and shown != name else name


def principal(provider: IdentityProvider, user: User, roles: list[str], scopes: list[str], key: str | None) -> dict[str, Any]:
    """Return the object by which the interface describes somebody; ``key`` is the one of this request, None without."""
    name = login_name(provider, user)
    keys = [] if key is None else [key_data(key)]
    return {
        "uuid": str(uuid.uuid5(_PERSONS, name)),
        "type": "user",
        "identities": [{"id": name, "provider": "jupyter", "latest_login": None}],
        "api_keys": keys,
        "sessions": [],
        "latest_activity": None,
        "roles": roles,
        "scopes": scopes,
        "api_key_scopes": keys[0]["scopes"] if keys else None,
    }


def key_data(key: str) -> dict[str, Any]:
    """Describe the key of a request: Jupyter's tokens do not expire by themselves and give all rights of their owner."""
    return {
        "first_eight": key[:8],
        "expiration_time": None,
        "note": "A token of the Jupyter server",
        "scopes": ["inherit"],
        "latest_activity": None,
    }
