"""The credentials of a request, in the forms of existing clients, translated into those that Jupyter's identity providers read.

Nothing is decided here about who somebody is: that is the identity provider's matter.  But only one credential of a request
counts, a wrong one is never made up for by a cookie, and keys are taken out of what gets into logs.
"""

from __future__ import annotations

import hmac
import re
from typing import Literal, NamedTuple

from jupyter_server.auth import IdentityProvider
from tornado.httputil import HTTPServerRequest

#: Query parameters that hold a key, the first one that is there counts.
_QUERY = ("api_key", "token")
_SCHEMES = ("apikey", "bearer", "token")
_HEADER = re.compile(r"(\S+)(?:\s+(.*))?", re.DOTALL)
_SECRET = re.compile(rf"((?:^|[?&])(?:{'|'.join(_QUERY)})=)[^&]*")
#: What decides about tokens in Jupyter's own providers; who overrides one of these has rules of his own.
_DECIDING = ("get_user", "_get_user", "get_user_token", "get_token")


class Credentials(NamedTuple):
    """What was sent.

    Attributes
    ----------
    key
        The key or token; None: none was sent, only a cookie perhaps.
    place
        Where it was; ``unknown``: an ``Authorization`` header of a form that is not ours.
    """

    key: str | None
    place: Literal["none", "header", "query", "unknown"]


def take_credentials(request: HTTPServerRequest) -> Credentials:
    """Read the credential that counts and leave it in the request in the one form that every provider knows.

    A key in the query beats the header, as the interface says.  Afterwards it is no longer in the request's address, which gets
    into logs.
    """
    scheme, in_header = _header_parts(request.headers.get("Authorization", ""))
    in_query = _query_key(request)
    _scrub(request)
    if scheme and scheme not in _SCHEMES:
        return Credentials(None, "unknown")
    if in_query is not None:
        request.headers.pop("Authorization", None)
        for arguments in (request.arguments, request.query_arguments):
            arguments["token"] = [in_query.encode()]
        return Credentials(in_query, "query")
    if scheme:
        if scheme == "apikey":
            request.headers["Authorization"] = f"token {in_header}"
        return Credentials(in_header, "header")
    return Credentials(None, "none")


def _header_parts(text: str) -> tuple[str, str]:
    """Scheme in small letters and key; a scheme without key has the empty one."""
    found = _HEADER.fullmatch(text.strip())
    return (found[1].lower(), (found[2] or "").strip()) if found else ("", "")


def _query_key(request: HTTPServerRequest) -> str | None:
    for name in _QUERY:
        sent = request.query_arguments.get(name)
        if sent and sent[-1]:
            return sent[-1].decode("utf-8", "replace").strip()
    return None


def _scrub(request: HTTPServerRequest) -> None:
    if request.query:
        request.query = _SECRET.sub(r"\1[secret]", request.query)
        request.uri = f"{request.path}?{request.query}"


def is_plain(provider: IdentityProvider) -> bool:
    """Whether it knows exactly one token and compares it by itself, as Jupyter's own providers do."""
    return all(getattr(type(provider), name, None) is getattr(IdentityProvider, name, None) for name in _DECIDING)


def notes_tokens(provider: IdentityProvider) -> bool:
    """Whether it notes, for each request, that it was the token that counted and not a cookie."""
    return type(provider).get_user is IdentityProvider.get_user


def is_wrong(key: str, provider: IdentityProvider) -> bool:
    """Whether a key is certainly wrong, found out in constant time; of providers with rules of their own nothing is certain."""
    if not is_plain(provider):
        return False
    if not provider.token:
        return bool(provider.auth_enabled)  # only a password: there is no key that could be right
    return not hmac.compare_digest(key.encode("utf-8", "replace"), str(provider.token).encode())
