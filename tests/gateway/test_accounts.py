"""The routes about accounts: what Jupyter's identity can answer is answered, the rest is refused with a reason."""

from __future__ import annotations

import getpass
import json
import uuid
from typing import Any

import msgspec
import pytest
from gateway_manager import FakeManager
from jsonschema import Draft202012Validator
from jupyter_server.auth import Authorizer, IdentityProvider, User

from jupyter_queueserver.api import methods
from jupyter_queueserver.api.http_routes import OPERATIONS

NOBODY = {"Authorization": ""}


def checked(name: str, reply: Any) -> dict[str, Any]:
    """The answer, which is as declared."""
    assert reply.code == 200, reply.body
    decoded = json.loads(reply.body)
    Draft202012Validator(dict(OPERATIONS[name].reply or {})).validate(decoded)
    return decoded


async def test_who_am_i(api: Any, jp_serverapp: Any, manager: FakeManager) -> None:
    token = jp_serverapp.identity_provider.token
    found = checked("auth_whoami", await api("GET", "/auth/whoami", headers={"Authorization": f"ApiKey {token}"}))
    assert found["identities"] == [{"id": getpass.getuser(), "provider": "jupyter", "latest_login": None}]
    assert found["roles"] == ["expert"]
    assert {method.scope for method in methods().values()} <= set(found["scopes"])
    assert not [scope for scope in found["scopes"] if scope.startswith(("admin:", "user:"))]
    assert found["scopes"] == sorted(found["scopes"])
    assert found["api_key_scopes"] == ["inherit"]
    assert found["api_keys"][0]["first_eight"] == token[:8]
    again = checked("auth_whoami", await api("GET", "/auth/whoami"))
    assert uuid.UUID(again["uuid"]) == uuid.UUID(found["uuid"])
    assert manager.requests == []


async def test_scopes_of_somebody_and_of_nobody(api: Any) -> None:
    found = checked("auth_scopes", await api("GET", "/auth/scopes"))
    assert found["roles"] == ["expert"]
    assert "read:console" in found["scopes"]
    assert checked("auth_scopes", await api("GET", "/auth/scopes", headers=NOBODY)) == {"roles": [], "scopes": []}
    assert (await api("GET", "/auth/scopes", headers={"Authorization": "ApiKey wrong"})).code == 401


class Reads(Authorizer):
    """Lets everybody look."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return action == "read"


@pytest.mark.parametrize("extra_config", [{"ServerApp": {"authorizer_class": Reads}}])
async def test_scopes_follow_the_authorizer(api: Any) -> None:
    found = checked("auth_scopes", await api("GET", "/auth/scopes"))
    assert found["roles"] == ["observer"]
    needs: dict[str, set[str]] = {}
    for method in methods().values():
        needs.setdefault(method.scope, set()).add(method.access)
    expected = {scope for scope, actions in needs.items() if actions == {"read"}} | {"read:console", "read:testing"}
    assert set(found["scopes"]) == expected


class Ada(IdentityProvider):
    """Knows one person by a cookie."""

    async def get_user(self, handler: Any) -> User | None:
        return User(username="ada") if handler.get_cookie("session") else None


@pytest.mark.parametrize("extra_config", [{"ServerApp": {"identity_provider_class": Ada}}])
async def test_a_person_without_key(api: Any) -> None:
    cookie = NOBODY | {"Cookie": "session=yes"}
    found = checked("auth_whoami", await api("GET", "/auth/whoami", headers=cookie))
    assert (found["identities"][0]["id"], found["api_keys"], found["api_key_scopes"]) == ("ada", [], None)
    refused = await api("GET", "/auth/apikey", headers=cookie)
    assert (refused.code, json.loads(refused.body)["detail"]) == (401, "No API key was provided with this request.")


async def test_the_key_of_a_request(api: Any, jp_serverapp: Any) -> None:
    token = jp_serverapp.identity_provider.token
    assert checked("auth_apikey", await api("GET", "/auth/apikey"))["first_eight"] == token[:8]
    none = await api("GET", "/auth/apikey", headers=NOBODY)
    assert (none.code, json.loads(none.body)["detail"]) == (401, "No API key was provided with this request.")
    wrong = await api("GET", "/auth/apikey", headers={"Authorization": "ApiKey wrong"})
    assert json.loads(wrong.body)["detail"].startswith("Invalid API key")


async def test_logout_deletes_the_cookie(api: Any) -> None:
    for headers in ({}, NOBODY):
        reply = await api("POST", "/auth/logout", {}, headers=headers)
        assert checked("auth_logout", reply) == {}
        cookies = [cookie for cookie in reply.headers.get_list("Set-Cookie") if cookie.startswith("username-")]
        assert cookies
        assert all('=""' in cookie for cookie in cookies)
    assert (await api("POST", "/auth/logout", {}, headers={"Authorization": "ApiKey wrong"})).code == 401


REFUSED: list[tuple[str, str, int, str]] = [
    ("POST", "/auth/apikey", 401, "Requires scopes ['user:apikeys']"),
    ("DELETE", "/auth/apikey", 401, "Requires scopes ['user:apikeys']"),
    ("GET", "/auth/principal", 401, "Requires scopes ['admin:read:principals']"),
    ("GET", "/auth/principal/5c0b8c4e-1f0b-4f0e-8f0a-1b2c3d4e5f60", 401, "Requires scopes ['admin:read:principals']"),
    ("POST", "/auth/principal/x/apikey", 401, "Requires scopes ['admin:apikeys']"),
    ("POST", "/auth/provider/toy/token", 404, "There is no login provider here."),
    ("GET", "/auth/provider/toy/code", 404, "There is no login provider here."),
    ("POST", "/auth/provider/toy/code", 404, "There is no login provider here."),
    ("GET", "/auth/provider/toy/login", 404, "There is no login provider here."),
    ("POST", "/auth/session/refresh", 401, "Could not validate credentials."),
    ("DELETE", "/auth/session/revoke/0123", 404, "There is no session here."),
]


async def test_what_needs_accounts_of_its_own_says_what_to_do_instead(api: Any) -> None:
    for verb, path, status, words in REFUSED:
        reply = await api(verb, path, {}, params={"first_eight": "01234567"})
        said = json.loads(reply.body)
        assert reply.code == status, path
        assert words in said["detail"]
        assert "Jupyter's are used" in said["detail"]
        assert said["error"]["code"] in ("jupyter_accounts", "not_permitted")


async def test_message_pack_and_etag(api: Any) -> None:
    packed = await api("GET", "/auth/scopes", headers={"Accept": "application/x-msgpack"})
    assert packed.headers["Content-Type"] == "application/x-msgpack"
    assert msgspec.msgpack.decode(packed.body) == json.loads((await api("GET", "/auth/scopes")).body)
    etag = packed.headers["ETag"]
    known = await api("GET", "/auth/scopes", headers={"Accept": "application/x-msgpack", "If-None-Match": etag})
    assert (known.code, known.body) == (304, b"")
