"""Every door of the web server, found in the application itself: who is let in, and who may do what.

Nothing here is a list of routes: a route that somebody adds later is tried too.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from gateway_manager import FakeManager
from jupyter_server.auth import Authorizer
from test_credentials import jar, login
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from jupyter_queueserver.api import methods
from jupyter_queueserver.api.http_form import NOT_SERVED
from jupyter_queueserver.api.http_routes import OPERATIONS
from jupyter_queueserver.gateway.handler import QueueServerHandler
from jupyter_queueserver.gateway.page import AssetHandler
from jupyter_queueserver.gateway.paths import API_PREFIX

VERBS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
PLAIN_AND_LEGACY = pytest.mark.parametrize(
    "extra_config",
    [
        pytest.param({}, id="prefix"),
        pytest.param({"QueueServerExtension": {"legacy_root": True}}, id="root", marks=pytest.mark.long),
    ],
)
#: What a browser must send along for a websocket.
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def asked_of(manager: FakeManager) -> list[Any]:
    """Requests of clients: the gateway itself asks for the status now and then."""
    return [request for request in manager.requests if request != {"method": "status", "params": {}}]


class Door(NamedTuple):
    """A route of the application: an address that leads there, and what answers."""

    path: str
    handler: type[Any]
    pattern: str

    @property
    def is_socket(self) -> bool:
        return issubclass(self.handler, WebSocketHandler)

    @property
    def is_public(self) -> bool:
        return bool(getattr(self.handler, "is_public", False))


def rules(router: Any) -> Iterator[Any]:
    for rule in router.rules:
        if hasattr(rule.target, "rules"):
            yield from rules(rule.target)
        else:
            yield rule


def sample(pattern: str) -> str:
    """An address that the pattern of a route matches."""
    text = pattern.removesuffix("$").replace("(?:/*)", "").replace("(?:/.*)?", "/what/ever").replace("/+", "/")
    text = re.sub(r"\(\[\^/\]\+\)", "swagger-ui.css" if "docs" in text else "x", text)
    text = text.removesuffix("/*") if text.endswith("/*") else text
    return re.sub(r"\\(.)", r"\1", text) or "/"


def doors(app: Any) -> list[Door]:
    """All routes that our code answers, and all below our prefix, whoever answers them."""
    found = []
    for rule in rules(app.web_app.default_router):
        pattern = getattr(getattr(rule.matcher, "regex", None), "pattern", "")
        is_ours = isinstance(rule.target, type) and rule.target.__module__.startswith("jupyter_queueserver")
        if pattern and (is_ours or "queueserver" in pattern):
            path = sample(pattern)
            assert re.fullmatch(pattern, path), (pattern, path)
            found.append(Door(path, rule.target, pattern))
    return found


def served(door: Door) -> tuple[str, ...]:
    """Verbs for which the handler has something of its own."""
    missing = RequestHandler._unimplemented_method
    return tuple(verb for verb in VERBS if getattr(door.handler, verb.lower()) is not missing)


@pytest.fixture
def ask(http_server_client: Any) -> Any:
    """``await ask("GET", path, headers)``: exactly that."""

    async def fetch(verb: str, path: str, headers: dict[str, str], body: str | None = None) -> Any:
        if body is None and verb in ("POST", "PUT", "PATCH"):
            body = "{}"
        if body is not None:
            headers = {"Content-Type": "application/json"} | headers
        return await http_server_client.fetch(
            path,
            method=verb,
            body=body,
            headers=headers,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            raise_error=False,
            request_timeout=20.0,
        )

    return fetch


@pytest.fixture
def token(jp_serverapp: Any) -> str:
    return jp_serverapp.identity_provider.token


def test_the_doors_are_found(jp_serverapp: Any) -> None:
    found = doors(jp_serverapp)
    paths = {door.path for door in found}
    base = "/a%40b" if any(path.startswith("/a%40b") for path in paths) else "/a@b"
    for method in methods().values():
        assert method.name in NOT_SERVED or f"{base}{API_PREFIX}{method.path}" in paths, method.name
    for operation in OPERATIONS.values():
        path = re.sub(r"\{\w+\}", "x", operation.path)
        assert f"{base}{API_PREFIX}{path}" in paths, operation.name
    assert sum(door.is_socket for door in found) == 4
    assert {door.handler for door in found} >= {AssetHandler}
    assert len(found) > 90


@PLAIN_AND_LEGACY
async def test_nothing_is_answered_without_the_token(jp_serverapp: Any, ask: Any, token: str, manager: FakeManager) -> None:
    """No token, wrong ones in every form: no 2xx, no redirect for programs, nothing reaches the manager."""
    strangers: list[tuple[str, dict[str, str]]] = [
        ("", {}),
        ("", {"Authorization": "ApiKey wrong"}),
        ("", {"Authorization": f"token {token[:-1]}"}),
        ("?token=wrong", {}),
        ("", {"Cookie": "username-127-0-0-1=forged; _xsrf=x", "X-XSRFToken": "x"}),
    ]
    for door, verb in itertools.product(doors(jp_serverapp), VERBS):
        # Other verbs are refused before anything else is looked at.
        for query, headers in strangers if verb in served(door) else strangers[:1]:
            sent = headers | (UPGRADE if door.is_socket else {})
            reply = await ask(verb, f"{door.path}{query}", sent)
            case = (verb, door.path, query, headers, reply.code)
            if door.is_public and reply.code == 200:
                assert json.loads(reply.body) in ({}, {"roles": [], "scopes": []}), case
                assert "Authorization" not in headers, case
                continue
            assert reply.code in (400, 401, 403, 404, 405), case
            assert token.encode() not in reply.body, case
    assert asked_of(manager) == []


async def test_only_two_routes_are_public(jp_serverapp: Any) -> None:
    """And each of them belongs to who is not known yet: what do I have, let me go."""
    public = {door.path.rpartition("/api")[2] for door in doors(jp_serverapp) if door.is_public}
    assert public == {"/auth/scopes", "/auth/logout"}


async def test_a_browser_without_login_gets_the_login_page_only(jp_serverapp: Any, ask: Any, manager: FakeManager) -> None:
    for door in doors(jp_serverapp):
        reply = await ask("GET", door.path, {"Accept": "text/html", **(UPGRADE if door.is_socket else {})})
        if reply.code == 302:
            assert "/login?next=" in reply.headers["Location"], door.path
        elif not (door.is_public and reply.code == 200):
            assert reply.code in (401, 403, 404, 405), (door.path, reply.code)
    assert asked_of(manager) == []


@PLAIN_AND_LEGACY
async def test_a_cookie_alone_changes_nothing(
    jp_serverapp: Any, ask: Any, token: str, manager: FakeManager, http_server_client: Any, jp_base_url: str
) -> None:
    """Every verb that may change something wants the XSRF token of the page."""
    cookies = await login(http_server_client, jp_base_url, token)
    for door, verb in itertools.product(doors(jp_serverapp), ("POST", "PUT", "DELETE", "PATCH")):
        if verb not in served(door) and verb != "POST":
            continue
        for extra in ({}, {"X-XSRFToken": "wrong"}, {"X-XSRFToken": cookies["_xsrf"], "Origin": "http://evil.example"}):
            reply = await ask(verb, door.path, {"Cookie": jar(cookies)} | extra)
            assert reply.code in (403, 404, 405), (verb, door.path, extra, reply.code)
    assert asked_of(manager) == []
    # The same with a GET that calls itself a POST, and the reverse.
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        reply = await ask("GET", f"{jp_base_url}queueserver/api/queue/start", {"Cookie": jar(cookies), name: "POST"})
        assert reply.code == 405
    assert asked_of(manager) == []


async def opened(app: Any, path: str, headers: dict[str, str]) -> int:
    """Try to open a websocket; returns the status of the answer."""
    try:
        connection = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{app.port}{path}", headers=headers))
    except HTTPClientError as error:
        return error.code
    connection.close()
    return 101


async def test_websockets_ask_who_it_is_and_where_the_page_comes_from(
    jp_serverapp: Any, token: str, http_server_client: Any, jp_base_url: str
) -> None:
    cookies = jar(await login(http_server_client, jp_base_url, token))
    here = f"http://127.0.0.1:{jp_serverapp.port}"
    cases: list[tuple[str, dict[str, str], bool]] = [
        ("", {}, False),
        ("", {"Authorization": "ApiKey wrong"}, False),
        ("", {"Authorization": f"Basic {token}"}, False),
        ("?token=wrong", {"Cookie": cookies}, False),
        ("", {"Cookie": cookies, "Origin": "http://evil.example"}, False),
        ("", {"Cookie": cookies, "Origin": "null"}, False),
        ("?scopes=", {}, False),
        ("", {"Cookie": cookies, "Origin": here}, True),
        ("", {"Authorization": f"ApiKey {token}"}, True),
        (f"?token={token}", {}, True),
    ]
    sockets = [door for door in doors(jp_serverapp) if door.is_socket]
    assert len(sockets) == 4
    for door, (query, headers, let_in) in itertools.product(sockets, cases):
        code = await opened(jp_serverapp, f"{door.path}{query}", headers)
        assert code == (101 if let_in else 403), (door.path, query, headers)


class Grants(Authorizer):
    """Grants exactly one action on our resource, and notes what it was asked."""

    granted = ""
    asked: set[tuple[str, str]] = set()  # noqa: RUF012 - shared with the test on purpose

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        if isinstance(handler, QueueServerHandler) or resource == "queueserver":
            self.asked.add((action, resource))
        return action == self.granted and resource == "queueserver"


def needed_rights() -> dict[tuple[str, str], str]:
    """(verb, path) -> the right that the declarations want."""
    found = {(m.verb, m.path): str(m.access) for m in methods().values() if m.name not in NOT_SERVED}
    found |= {(o.verb, o.path): str(o.access) for o in OPERATIONS.values() if o.access is not None and o.media}
    return found


@pytest.mark.parametrize("granted", ["read", "write", "execute", "none"])
@pytest.mark.parametrize("extra_config", [{"ServerApp": {"authorizer_class": Grants}}])
async def test_each_right_opens_what_is_declared_and_nothing_else(
    ask: Any, token: str, granted: str, jp_base_url: str, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Grants, "granted", granted)
    monkeypatch.setattr(Grants, "asked", set())
    let_in = set()
    for (verb, path), right in needed_rights().items():
        if path == "/stream_console_output" and right == granted:
            continue  # has no end
        reply = await ask(verb, f"{jp_base_url}queueserver/api{path}", {"Authorization": f"ApiKey {token}"}, "{}")
        if right == granted:
            assert reply.code in (200, 400, 422), (verb, path, reply.code, reply.body)
            let_in.add(path)
        else:
            assert reply.code == 401, (verb, path, right, reply.code)
            assert json.loads(reply.body)["error"]["code"] == "not_permitted"
    assert bool(let_in) is (granted != "none")
    assert {resource for _, resource in Grants.asked} == {"queueserver"}
    assert all(methods()[request["method"]].access == granted for request in asked_of(manager))


@pytest.mark.parametrize("granted", ["read", "write", "execute"])
@pytest.mark.parametrize("extra_config", [{"ServerApp": {"authorizer_class": Grants}}])
async def test_websockets_and_page_want_the_right_to_read(
    jp_serverapp: Any, ask: Any, token: str, granted: str, jp_base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Grants, "granted", granted)
    key = {"Authorization": f"ApiKey {token}"}
    for door in doors(jp_serverapp):
        if door.is_socket:
            assert await opened(jp_serverapp, door.path, key) == (101 if granted == "read" else 403), door.path
    page = await ask("GET", f"{jp_base_url}queueserver/docs", key)
    assert page.code == (200 if granted == "read" else 401)


async def test_the_table_of_rights(jp_serverapp: Any) -> None:
    """The rights follow from the declarations: looking is `read`, the queue is `write`, running code is `execute`."""
    rights = needed_rights()
    for name in ("script_upload", "function_execute", "manager_stop", "permissions_set"):
        method = methods()[name]
        assert rights[(method.verb, method.path)] == "execute", name
    for method in methods().values():
        if method.kind == "write" and method.name not in NOT_SERVED:
            assert rights[(method.verb, method.path)] in ("write", "execute"), method.name
