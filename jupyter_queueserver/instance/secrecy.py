"""What must not be seen by others: environment variables with keys, and the files and sockets of an instance.

Which variables hold a key stands here and nowhere else.  This module reads no values; it only leaves them out or closes files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

#: Keys of ours that may be given by a variable: a manager gets them with its settings, nobody else needs them.
OWN_SECRETS = frozenset(
    {
        "QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER",
        "QSERVER_ZMQ_PRIVATE_KEY",
        "QSERVER_EMERGENCY_LOCK_KEY_FOR_SERVER",
        "QSERVER_REDIS_PASSWORD",
        "JUPYTER_QUEUESERVER_STORE",  # the address may hold a password
        "QSERVER_IMPORT_URL",  # as may this one; read by `qserver import` alone
    }
)
#: Keys of the Jupyter server, its hub, and the web server of the interface: none of our processes has a use for them.
FOREIGN_SECRETS = frozenset(
    {
        "JUPYTER_TOKEN",
        "JPY_API_TOKEN",
        "JUPYTERHUB_API_TOKEN",
        "CONFIGPROXY_AUTH_TOKEN",
        "QSERVER_HTTP_SERVER_SINGLE_USER_API_KEY",
        "QSERVER_HTTP_SERVER_SERVER_SECRET_KEYS",
    }
)


def without_secrets(environ: Mapping[str, str] | None = None, *, keep: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return the environment for a child: a plan that prints its variables must not show a key to all who read the console.

    Parameters
    ----------
    environ
        None: that of this process.
    keep
        Secrets that the child needs all the same.
    """
    given = os.environ if environ is None else environ
    left_out = (OWN_SECRETS | FOREIGN_SECRETS) - keep
    return {name: value for name, value in given.items() if name not in left_out}


def close_socket(address: str | os.PathLike[str]) -> None:
    """Take the socket file that was just bound from all other users, whatever the umask; no effect on addresses without file.

    Those of an instance lie in a private directory, so nobody could come in between.
    """
    path = os.fspath(address).removeprefix("ipc://")
    if "://" not in path and not path.startswith("@"):
        os.chmod(path, 0o600)


def close_tree(directory: Path) -> None:
    """Take a directory and all that is in it from all other users; what is gone meanwhile does not matter."""
    for path in (directory, *directory.rglob("*")):
        if path.is_symlink():
            continue
        try:
            path.chmod(0o700 if path.is_dir() else 0o600)
        except FileNotFoundError:
            continue
