"""Who makes a request: the name that items carry, from the user that Jupyter authenticated.

Names never come from the body of a request.
"""

from __future__ import annotations

import getpass
import os

from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.identity import LegacyIdentityProvider, PasswordIdentityProvider

#: Providers that know no persons: a token user gets a new random name at each request without cookie.
_NAMELESS = (IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider)


def account_name() -> str:
    """Name of the operating system's account of this process; its number if it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def user_name(provider: IdentityProvider, user: User) -> str:
    """Return the name for items.

    With Jupyter's own providers the account of the server, who is the only person; otherwise the user name and, if it
    differs, the display name: ``ada "Ada Lovelace"``.
    """
    if type(provider) in _NAMELESS:
        return account_name()
    shown = user.display_name
    return f'{user.username} "{shown}"' if shown and shown != user.username else user.username
