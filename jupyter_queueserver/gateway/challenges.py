"""Refusals of who is not known or may not do what he wants, in the form that existing clients expect: 401 with a challenge.

Texts and headers only; who is refused is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .refusals import Refusal

_HOW = (
    "Send the header 'Authorization: ApiKey <token>' with a token of this Jupyter server (`jupyter server list` shows the one"
    " of a server of yours), or log in with a browser."
)


class Route(NamedTuple):
    """What a challenge tells of a route: the scope that it wants (empty: none) and the address of the interface."""

    scope: str
    root: str

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the 401."""
        return {"WWW-Authenticate": f'Bearer scope="{self.scope}"', "X-Tiled-Root": self.root}


def invalid_key(route: Route, *, has_tokens: bool) -> Refusal:
    """Return the 401 for a wrong key; ``has_tokens`` tells whether the server has any key that could be right."""
    hint = (
        _HOW
        if has_tokens
        else "This server knows only a password, which serves browsers: set IdentityProvider.token or JUPYTER_TOKEN for programs."
    )
    return Refusal(401, "Invalid API key", code="invalid_api_key", hint=hint, headers=route.headers)


def wrong_scheme() -> Refusal:
    """Return the 400 for an ``Authorization`` header of another form."""
    return Refusal(
        400,
        "Authorization header must be 'ApiKey <token>', 'Bearer <token>' or 'token <token>'",
        code="wrong_scheme",
        hint="Put one of these words in front of the token, or leave the header out.",
    )


def not_authenticated(route: Route) -> Refusal:
    """Return the 401 for who sends nothing by which he could be known."""
    if not route.scope:
        return Refusal(401, "No valid credentials were sent", code="not_authenticated", hint=_HOW, headers=route.headers)
    return Refusal(401, _lacks(route, []), code="not_authenticated", hint=_HOW, headers=route.headers)


def not_permitted(route: Route, scopes: Sequence[str], *, by_key: bool, remark: str = "") -> Refusal:
    """Return the refusal for who may not: 401 as the interface says, and 403 for browsers, which would else ask for a login.

    Parameters
    ----------
    scopes
        Those that the identity has.
    by_key
        Whether a key was sent.
    remark
        A sentence behind the text of the interface.
    """
    return Refusal(
        401 if by_key else 403,
        f"{_lacks(route, scopes)}{'. ' if remark else ''}{remark}",
        code="not_permitted",
        hint="Ask the administrator of this server for more rights.",
        headers=route.headers if by_key else None,
    )


def _lacks(route: Route, scopes: Sequence[str]) -> str:
    return f"Not enough permissions. Requires scopes {[route.scope]}. Request had scopes {list(scopes)}"
