"""Where a Redis store is: the address, the prefix of its keys, and the password, which is never shown.

Words only, so that settings can be checked without the client library; nothing is connected here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

#: Beginnings of an address of a Redis server.
SCHEMES = ("redis", "rediss", "unix")
DEFAULT_PREFIX = "qs_default"

#: What may follow the question mark: database and files of the certificates.
_OPTIONS = frozenset({"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


@dataclass(frozen=True)
class RedisAddress:
    """One Redis store.

    Attributes
    ----------
    url
        ``redis://host:port/db``, ``rediss://...`` (TLS) or ``unix:///path?db=0``; without a password.
    prefix
        What the names of all keys begin with; empty: ``jqs``.
    password
        None: none is sent.
    """

    url: str
    prefix: str = DEFAULT_PREFIX
    password: str | None = field(default=None, repr=False)

    def key(self, name: str) -> str:
        """Return the full name of a key.  No key of other programs that use the same prefix begins so."""
        return f"{self.prefix or 'jqs'}_v1:{name}"


def is_redis_address(text: str) -> bool:
    """Tell whether a text is meant as the address of a Redis server."""
    return text.partition("://")[0] in SCHEMES and "://" in text


def split_password(text: str) -> tuple[str, str | None]:
    """Return an address without its password, and the password; None: it has none.

    Raises
    ------
    ValueError
        The address cannot be used; the text says what is wrong and never shows a password.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError("its port is not an integer from 1 to 65535") from error
    if parts.scheme == "unix":
        if not parts.path or parts.hostname:
            raise ValueError("it must be of the form unix:///path?db=0")
    elif not parts.hostname:
        raise ValueError(f"it names no host; the form is {parts.scheme}://host:port/db")
    elif port == 0:
        raise ValueError("its port is not an integer from 1 to 65535")
    elif not parts.path.strip("/").isdigit() and parts.path.strip("/"):
        raise ValueError("its database is not an integer")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise ValueError(f"it has an unknown option {name!r}; there are {', '.join(sorted(_OPTIONS))}")
        if name == "db" and not value.isdigit():
            raise ValueError("its database is not an integer")
    password = unquote(parts.password) if parts.password else None
    user, at, place = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{f'{user}{at}' if user else ''}{place}{parts.path}{query}", password


def from_short_form(text: str) -> str:
    """Return the address of ``host``, ``host:port`` or ``host:port/db``, the forms of ``--redis-addr``."""
    return text if is_redis_address(text) else f"redis://{text}"
