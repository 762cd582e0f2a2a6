"""Credentials in all their forms, and what is said to who has none, wrong ones, or too few rights."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest
from gateway_manager import STOP, FakeManager
from jupyter_server.auth import Authorizer, IdentityProvider, User, passwd
from jupyter_server.auth.identity import PasswordIdentityProvider

Call = Any


@pytest.fixture
def call(http_server_client: Any, jp_base_url: str) -> Call:
    """``await call("GET", "/status", key="...")``: exactly these headers, and redirects are shown."""

    async def fetch(verb: str, path: str, header: str | None = None, body: Any = None, **headers: str) -> Any:
        if header is not None:
            headers["Authorization"] = header
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        return await http_server_client.fetch(
            f"{jp_base_url}queueserver/api{path}",
            method=verb,
            body=None if body is None else json.dumps(body),
            headers=headers,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            raise_error=False,
        )

    return fetch


@pytest.fixture
def token(jp_serverapp: Any) -> str:
    """The server's token."""
    return jp_serverapp.identity_provider.token


async def login(client: Any, base_url: str, token: str) -> dict[str, str]:
    """Cookies of a browser that is logged in."""
    replies = [await client.fetch(f"{base_url}api/status?token={token}"), await client.fetch(f"{base_url}login")]
    sent = [cookie.partition(";")[0].split("=", 1) for reply in replies for cookie in reply.headers.get_list("Set-Cookie")]
    return dict(sent)  # type: ignore[arg-type]


def jar(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


async def test_all_forms_mean_the_same(call: Call, token: str, manager: FakeManager) -> None:
    for header in ("ApiKey {}", "APIKEY {}", "Bearer {}", "bearer   {}", "token {}", "Token {}"):
        assert (await call("POST", "/queue/start", header.format(token), {})).code == 200, header
    for name in ("api_key", "token"):
        assert (await call("POST", f"/queue/start?{name}={token}", None, {})).code == 200, name
    assert len(manager.requests) == 8


REFUSED: list[tuple[str | None, str, int, str]] = [
    (None, "", 401, "not_authenticated"),
    ("ApiKey wrong", "", 401, "invalid_api_key"),
    ("Bearer wrong", "", 401, "invalid_api_key"),
    ("token wrong", "", 401, "invalid_api_key"),
    ("ApiKey", "", 401, "invalid_api_key"),
    ("ApiKey ", "", 401, "invalid_api_key"),
    ("ApiKey \u00e4", "", 401, "invalid_api_key"),
    ("Basic dXNlcjpwYXNz", "", 400, "wrong_scheme"),
    ("{token}", "", 400, "wrong_scheme"),
    ("Basic dXNlcjpwYXNz", "?api_key={token}", 400, "wrong_scheme"),
    ("ApiKey {token}", "?api_key=wrong", 401, "invalid_api_key"),
    ("ApiKey {token}", "?token=wrong", 401, "invalid_api_key"),
    (None, "?api_key=wrong&token={token}", 401, "invalid_api_key"),
    (None, "?api_key={token}&api_key=wrong", 401, "invalid_api_key"),
    (None, "?api_key=%FF%FE", 401, "invalid_api_key"),
]


async def test_refused_as_json_without_redirect(call: Call, token: str, manager: FakeManager) -> None:
    for verb, path in (("GET", "/status"), ("POST", "/queue/start"), ("GET", "/auth/whoami")):
        for header, query, status, code in REFUSED:
            case = (verb, path, header, query)
            sent = None if header is None else header.format(token=token)
            reply = await call(verb, f"{path}{query.format(token=token)}", sent, {} if verb == "POST" else None)
            said = json.loads(reply.body)
            assert (reply.code, said["error"]["code"]) == (status, code), case
            assert reply.headers["Content-Type"].startswith("application/json")
            if code == "invalid_api_key":
                assert said["detail"].startswith("Invalid API key")
            if status == 401:
                scope = {"/status": "read:status", "/queue/start": "write:queue:control", "/auth/whoami": ""}[path]
                assert reply.headers["WWW-Authenticate"] == f'Bearer scope="{scope}"'
                assert reply.headers["X-Tiled-Root"].endswith("/a%40b/queueserver/api")
    assert manager.requests == []


async def test_no_credentials_names_the_scope(call: Call) -> None:
    said = json.loads((await call("GET", "/queue/get")).body)
    assert said["detail"] == "Not enough permissions. Requires scopes ['read:queue']. Request had scopes []"
    assert "ApiKey" in said["error"]["hint"]


async def test_an_empty_key_in_the_query_is_none(call: Call, token: str) -> None:
    assert (await call("GET", "/status?api_key=&token=", f"ApiKey {token}")).code == 200


async def test_a_wrong_key_is_not_made_up_for_by_a_cookie(
    call: Call, token: str, http_server_client: Any, jp_base_url: str
) -> None:
    cookies = jar(await login(http_server_client, jp_base_url, token))
    assert (await call("GET", "/status", Cookie=cookies)).code == 200
    for path, header in (("/status", "ApiKey wrong"), ("/status?token=wrong", None), ("/status?api_key=wrong", None)):
        assert (await call("GET", path, header, Cookie=cookies)).code == 401


async def test_a_cookie_with_a_key_needs_no_xsrf_token_and_alone_it_does(
    call: Call, token: str, http_server_client: Any, jp_base_url: str
) -> None:
    cookies = await login(http_server_client, jp_base_url, token)
    refused = await call("POST", "/queue/start", None, {}, Cookie=jar(cookies))
    assert refused.code == 403
    assert "_xsrf" in json.loads(refused.body)["detail"]
    assert (await call("POST", "/queue/start", None, {}, Cookie=jar(cookies), **{"X-XSRFToken": cookies["_xsrf"]})).code == 200
    assert (await call("POST", "/queue/start", f"ApiKey {token}", {}, Cookie=jar(cookies))).code == 200
    assert (await call("POST", f"/queue/start?api_key={token}", None, {}, Cookie=jar(cookies))).code == 200


async def test_keys_do_not_get_into_logs(call: Call, token: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for verb, path in (("GET", "/status"), ("GET", "/nothing"), ("POST", "/status"), ("GET", "/queue/get")):
        await call(verb, f"{path}?x=1&api_key={token}")
        await call(verb, f"{path}?token={token}-wrong-secret")
    assert "api_key=[secret]" in caplog.text
    assert token not in caplog.text


async def test_who_is_refused_early_is_told_that_the_connection_ends(
    jp_serverapp: Any, http_server_client: Any, token: str, manager: FakeManager
) -> None:
    async def head_of(verb: str, path: str, key: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", jp_serverapp.port)
        head = f"{verb} /a%40b/queueserver/api{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n"
        writer.write(f"{head}Authorization: ApiKey {key}\r\n\r\n{{}}".encode())
        async with asyncio.timeout(15.0):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return answer

    for verb, path, key in (("POST", "/queue/start", "wrong"), ("GET", "/status", "wrong"), ("GET", "/queue/start", token)):
        assert b"\r\nConnection: close\r\n" in await head_of(verb, path, key), path
    for verb, path in (("POST", "/queue/item/update"), ("GET", "/status"), ("POST", "/auth/apikey")):
        assert b"Connection:" not in await head_of(verb, path, token), path


PASSWORD = {
    "ServerApp": {"identity_provider_class": PasswordIdentityProvider},
    "PasswordIdentityProvider": {"hashed_password": passwd("pw"), "token": ""},
}


@pytest.mark.parametrize("extra_config", [PASSWORD])
async def test_a_server_with_a_password_only_tells_what_to_do(call: Call, http_server_client: Any, jp_base_url: str) -> None:
    reply = await call("GET", "/status", "ApiKey pw")
    said = json.loads(reply.body)
    assert (reply.code, said["detail"]) == (401, "Invalid API key")
    assert "IdentityProvider.token" in said["error"]["hint"]
    page = await http_server_client.fetch(f"{jp_base_url}login")
    xsrf = page.headers["Set-Cookie"].partition(";")[0]
    entered = await http_server_client.fetch(
        f"{jp_base_url}login",
        method="POST",
        body=f"password=pw&{xsrf}",
        headers={"Cookie": xsrf},
        follow_redirects=False,
        raise_error=False,
    )
    cookies = "; ".join(cookie.partition(";")[0] for cookie in entered.headers.get_list("Set-Cookie"))
    assert (await call("GET", "/status", Cookie=f"{cookies}; {xsrf}")).code == 200


OPEN = {"IdentityProvider": {"token": ""}, "ServerApp": {"identity_provider_class": PasswordIdentityProvider}}
OPEN |= {"PasswordIdentityProvider": {"hashed_password": "", "token": ""}}


@pytest.mark.parametrize("extra_config", [OPEN])
async def test_a_server_without_authentication_takes_any_key(call: Call) -> None:
    assert (await call("GET", "/status")).code == 200
    assert (await call("POST", "/queue/start", "ApiKey whatever", {})).code == 200


class Hub(IdentityProvider):
    """As of a hub: tokens of several people, looked up elsewhere, and a session cookie."""

    people = {"k-ada": "ada", "k-bob": "bob"}  # noqa: RUF012 - a constant of this test

    async def get_user(self, handler: Any) -> User | None:
        found = re.fullmatch(r"(?:token|bearer)\s+(.+)", handler.request.headers.get("Authorization", ""), re.IGNORECASE)
        key = found[1] if found else handler.get_argument("token", "")
        if key in self.people:
            handler._token_authenticated = True
            return User(username=self.people[key], name="", display_name="")
        return User(username="cookie", name="") if not key and handler.get_cookie("session") == "yes" else None


HUB = {
    "ServerApp": {"identity_provider_class": Hub},
    "QueueServerExtension": {"user_group": "primary", "user_groups": {"ada": "admin", "*": "observer"}},
}


@pytest.mark.parametrize("extra_config", [HUB])
async def test_a_provider_of_its_own_decides(call: Call, manager: FakeManager) -> None:
    for header, query, name, group in (
        ("Bearer k-ada", "", "ada", "admin"),
        ("ApiKey k-bob", "", "bob", "observer"),
        (None, "?api_key=k-ada", "ada", "admin"),
        (None, "?token=k-bob", "bob", "observer"),
    ):
        assert (await call("POST", f"/queue/item/add{query}", header, {"item": STOP})).code == 200
        params = manager.requests[-1]["params"]
        assert (params["user"], params["user_group"]) == (name, group)
    wrong = await call("GET", "/status", "ApiKey k-eve")
    assert (wrong.code, json.loads(wrong.body)["detail"]) == (401, "Invalid API key")
    assert (await call("GET", "/status", "Basic x")).code == 400
    assert (await call("GET", "/status")).code == 401
    assert (await call("GET", "/status", Cookie="session=yes")).code == 200
    assert (await call("POST", "/queue/start", None, {}, Cookie="session=yes")).code == 403


class Ambient(IdentityProvider):
    """As behind a proxy that knows everybody by his session there."""

    async def get_user(self, handler: Any) -> User:
        return User(username="everybody")


@pytest.mark.parametrize("extra_config", [{"ServerApp": {"identity_provider_class": Ambient}}])
async def test_a_key_in_the_query_is_no_way_around_the_xsrf_check(call: Call, manager: FakeManager) -> None:
    assert (await call("POST", "/queue/start?api_key=anything", None, {})).code == 403
    assert manager.requests == []
    assert (await call("POST", "/queue/start", "ApiKey anything", {})).code == 200


class Reads(Authorizer):
    """Lets everybody look."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return action == "read"


@pytest.mark.parametrize("extra_config", [{"ServerApp": {"authorizer_class": Reads}}])
async def test_missing_rights_name_the_scopes(call: Call, token: str, http_server_client: Any, jp_base_url: str) -> None:
    reply = await call("POST", "/queue/item/add", f"ApiKey {token}", {"item": STOP})
    detail = json.loads(reply.body)["detail"]
    assert reply.code == 401
    assert detail.startswith("Not enough permissions. Requires scopes ['write:queue:edit']. Request had scopes [")
    assert "'read:status'" in detail
    assert "'write:" not in detail.partition("had scopes")[2]
    assert reply.headers["WWW-Authenticate"] == 'Bearer scope="write:queue:edit"'
    cookies = await login(http_server_client, jp_base_url, token)
    xsrf = {"X-XSRFToken": cookies["_xsrf"]}
    assert (await call("POST", "/queue/item/add", None, {"item": STOP}, Cookie=jar(cookies), **xsrf)).code == 403


async def test_slashes_do_not_matter(call: Call, token: str, http_server_client: Any, jp_base_url: str) -> None:
    for path in ("/status/", "//status", "///status//", "/queue//get", "/", ""):
        assert (await call("GET", path, f"ApiKey {token}")).code == 200, path
        assert (await call("GET", path, "ApiKey wrong")).code == 401, path
    for path in ("/queueserver//api/status", "//queueserver/api//status/", "/queueserver/api"):
        url = f"{jp_base_url.rstrip('/')}{path}"
        reply = await http_server_client.fetch(url, headers={"Authorization": f"ApiKey {token}"}, follow_redirects=False)
        assert reply.code == 200, path
    for path in ("/nothing", "/nothing/", "//status/x/", "/../api"):
        reply = await call("GET", path, f"ApiKey {token}")
        assert (reply.code, json.loads(reply.body)["detail"]) == (404, "Not Found"), path


async def test_browsers_of_other_pages_are_told_no(call: Call, token: str) -> None:
    asked = {"Origin": "http://page.example", "Access-Control-Request-Method": "POST"}
    reply = await call("OPTIONS", "/queue/start", **asked)
    assert (reply.code, json.loads(reply.body)["detail"]) == (400, "Disallowed CORS origin")
    plain = await call("OPTIONS", "/queue/start", f"ApiKey {token}")
    assert (plain.code, plain.headers["Allow"]) == (405, "POST")


async def test_pages_of_other_servers_are_refused_with_the_reason(
    call: Call, token: str, manager: FakeManager, http_server_client: Any, jp_base_url: str
) -> None:
    cookies = await login(http_server_client, jp_base_url, token)
    sent = {"Cookie": jar(cookies), "X-XSRFToken": cookies["_xsrf"]}
    for verb, path in (("POST", "/queue/start"), ("GET", "/status")):
        reply = await call(verb, path, body={} if verb == "POST" else None, Origin="http://evil.example", **sent)
        decoded = json.loads(reply.body)
        assert (reply.code, decoded["error"]["code"]) == (403, "foreign_origin"), path
        assert "http://evil.example" in decoded["detail"]
        assert "ServerApp.allow_origin" in decoded["error"]["hint"]
        assert "Access-Control-Allow-Origin" not in reply.headers
    assert manager.requests == []
    long = await call("POST", "/queue/start", body={}, Origin=f"http://{'x' * 5000}.example", **sent)
    assert (long.code, len(long.body) < 1000) == (403, True)
    assert (await call("POST", "/queue/start", body={}, Origin=http_server_client.get_url("").rstrip("/"), **sent)).code == 200
    # A key in the header is nothing that a page of another server could send by itself.
    assert (await call("POST", "/queue/start", f"ApiKey {token}", {}, Origin="http://evil.example")).code == 200


ALLOWED = {"ServerApp": {"allow_origin": "http://page.example"}}


@pytest.mark.parametrize("extra_config", [ALLOWED])
async def test_browsers_of_allowed_pages(call: Call, token: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    reply = await call("OPTIONS", "/queue/start", Origin="http://page.example", **asked)
    assert (reply.code, reply.headers["Access-Control-Allow-Origin"]) == (200, "http://page.example")
    assert reply.headers["Access-Control-Allow-Methods"] == "POST"
    assert "authorization" in reply.headers["Access-Control-Allow-Headers"]
    assert (await call("OPTIONS", "/queue/start", Origin="http://evil.example", **asked)).code == 400
    refused = await call("POST", "/queue/start", "ApiKey wrong", {}, Origin="http://page.example")
    assert (refused.code, refused.headers["Access-Control-Allow-Origin"]) == (401, "http://page.example")


async def test_a_program_with_a_key_gets_no_cookies(call: Call, token: str, manager: FakeManager) -> None:
    """Its HTTP library would send them back, and be logged in without the key."""
    for verb, path, body in ("GET", "/status", None), ("POST", "/queue/start", {}), ("GET", "/nowhere", None):
        for header in f"ApiKey {token}", f"token {token}", "ApiKey wrong":
            reply = await call(verb, path, header, body)
            assert reply.headers.get_list("Set-Cookie") == [], (verb, path, header)


async def test_a_reader_does_not_get_the_key_of_the_kernel(
    call: Call, token: str, manager: FakeManager, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Readers(Authorizer):
        def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
            return action == "read"

    monkeypatch.setitem(jp_serverapp.web_app.settings, "authorizer", Readers(parent=jp_serverapp))
    assert (await call("GET", "/status", f"token {token}")).code == 200
    assert (await call("GET", "/config/get", f"token {token}")).code == 401
