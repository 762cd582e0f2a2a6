"""The REST routes against a fake manager: forms of replies and refusals, and who may do what."""

from __future__ import annotations

import asyncio
import getpass
import json
import re
from typing import Any

import msgspec
import pytest
from gateway_manager import STOP, FakeManager
from jsonschema import Draft202012Validator
from jupyter_server.auth import Authorizer, IdentityProvider, User

from jupyter_queueserver.api import methods
from jupyter_queueserver.api.http_form import FURTHER_ROUTES, NOT_SERVED
from jupyter_queueserver.api.http_routes import OPERATIONS
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.reduced import reduced_plans
from jupyter_queueserver.gateway import requests as requests_module
from jupyter_queueserver.gateway.handler import STRANGER_LIMIT
from jupyter_queueserver.gateway.identity import UserGroups
from jupyter_queueserver.gateway.paths import API_PREFIX
from jupyter_queueserver.gateway.rest import BODY_LIMIT, CONNECTION_LIMIT, UnknownRouteHandler
from jupyter_queueserver.gateway.routes import Means, make_routes

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Answered also without credentials; they do nothing and tell nothing.
PUBLIC = {"/auth/scopes", "/auth/logout", "/auth/session/refresh"}


def served() -> dict[str, set[str]]:
    """Paths below the prefix of the interface and their verbs, as declared."""
    found: dict[str, set[str]] = {}
    for method in methods().values():
        if method.name not in NOT_SERVED:
            found.setdefault(method.path, set()).add(method.verb)
    for path in FURTHER_ROUTES:
        found.setdefault(path, set()).add("GET")
    for operation in OPERATIONS.values():
        found.setdefault(operation.path, set()).add(operation.verb)
    return found


def test_what_is_served_is_what_is_declared() -> None:
    routes = make_routes(Means(None, None, None, None, UserGroups()))  # type: ignore[arg-type]
    paths = [path.removeprefix(API_PREFIX) for path, _, _ in routes if path.startswith(API_PREFIX)]
    assert sorted(paths) == sorted(served())
    assert routes[-1][1] is UnknownRouteHandler


async def test_every_route_refuses_without_token(http_server_client: Any, jp_base_url: str, manager: FakeManager) -> None:
    for path, verbs in served().items():
        place = f"{jp_base_url}queueserver/api{path}".replace("{", "").replace("}", "")
        for verb in VERBS:
            reply = await http_server_client.fetch(
                place, method=verb, body=None, allow_nonstandard_methods=True, raise_error=False
            )
            said = json.loads(reply.body) if verb != "HEAD" else {}
            if path.endswith("/ws") or path == "/events":
                assert reply.code in (403, 405), (verb, path)
            elif verb not in verbs:
                assert (reply.code, reply.headers["Allow"]) == (405, ", ".join(sorted(verbs, key=VERBS.index))), (verb, path)
            elif path in PUBLIC:
                assert reply.code in (200, 401), (verb, path)
            elif "/provider/" in path or "/revoke/" in path:
                assert (reply.code, said["error"]["code"]) == (404, "jupyter_accounts"), (verb, path)
            else:
                assert (reply.code, said["error"]["code"]) == (401, "not_authenticated"), (verb, path)
    assert manager.requests == []


async def test_the_reply_passes_unchanged(api: Any, manager: FakeManager) -> None:
    reply = await api("GET", "/queue/get")
    assert (reply.code, reply.body) == (200, manager.replies[-1])
    assert reply.headers["Content-Type"].startswith("application/json")


async def test_a_refusal_of_the_manager_is_200(api: Any) -> None:
    reply = await api("POST", "/queue/start", {})
    decoded = json.loads(reply.body)
    assert reply.code == 200
    assert decoded["success"] is False
    assert decoded["error"]["code"]


FURTHER: list[tuple[str, str, dict[str, Any]]] = [
    ("/", "status", {}),
    ("/status/", "status", {}),
    ("/re/runs/open", "re_runs", {"option": "open"}),
    ("/re/runs/active", "re_runs", {"option": "active"}),
]


async def test_further_routes(api: Any, manager: FakeManager) -> None:
    for path, method, params in FURTHER:
        reply = await api("GET", path, "no JSON at all" if params else None)
        assert reply.code == 200
        assert manager.requests[-1] == {"method": method, "params": params}


# A table in one test, not parameters: each test starts a Jupyter server.
REFUSED: list[tuple[str, str, Any, int]] = [
    ("POST", "/queue/item/add", {"item": STOP, "surplus": 1}, 400),
    ("POST", "/queue/item/add", {"item": 3}, 400),
    ("POST", "/queue/item/add", {"item": STOP, "lock_key": 3}, 400),
    ("POST", "/queue/item/add", {"item": STOP, "lock_key": ""}, 400),
    ("POST", "/queue/item/add/batch", {"items": [STOP, 3]}, 400),
    ("POST", "/queue/item/add/batch", {"items": {}}, 400),
    ("POST", "/re/runs", {"option": 3}, 400),
    ("POST", "/queue/item/update", {"replace": True}, 400),
    ("POST", "/queue/autostart", {}, 400),
    ("POST", "/queue/autostart", {"enable": "yes"}, 400),
    ("POST", "/lock", {"queue": True}, 400),
    ("POST", "/lock", {"lock_key": None}, 400),
    ("POST", "/lock", {"lock_key": "k", "user_group": "primary"}, 400),
    ("POST", "/unlock", {}, 400),
    ("POST", "/unlock", {"lock_key": ""}, 400),
    ("POST", "/queue/mode/set", {"mode": {"loop": True}, "surplus": True}, 400),
    ("GET", "/task/status", {"task_uid": 3}, 400),
    ("GET", "/task/result", {"task_uid": ["u"]}, 400),
    ("GET", "/plans/existing", {"reload": True}, 400),
    ("GET", "/plans/existing", {"reduced": 1}, 400),
    ("GET", "/test/server/sleep", {}, 400),
    ("GET", "/test/server/sleep", {"time": "1"}, 400),
    ("GET", "/test/server/sleep", {"time": -1}, 400),
    ("GET", "/test/server/sleep", {"time": 1e9}, 400),
    ("GET", "/test/server/sleep", '{"time": NaN}', 422),
    ("GET", "/test/server/sleep", None, 422),
    ("GET", "/lock/info", None, 422),
    ("GET", "/queue/get", {"user": "x"}, 400),
    ("GET", "/status", {"surplus": 1}, 400),
    ("GET", "/plans/allowed", {"user_group": "x"}, 400),
    ("GET", "/plans/allowed", {"reload": True}, 400),
    ("POST", "/queue/item/add/batch", None, 422),
    ("POST", "/queue/item/remove", "", 422),
    ("POST", "/queue/item/add", '{"item": ', 422),
    ("POST", "/queue/item/add", b'{"item": {"name": "\xff"}}', 422),
    ("POST", "/queue/item/add", '{"item": ' + "[" * 100_000, 422),
    ("GET", "/status", "null", 422),
    ("GET", "/status", "[]", 422),
    ("GET", "/status", '"text"', 422),
    ("GET", "/nothing", None, 404),
    ("POST", "/status", None, 405),
    ("GET", "/queue/start", None, 405),
    ("DELETE", "/queue/get", None, 405),
    ("HEAD", "/status", None, 405),
]


async def test_refused_by_form(api: Any, manager: FakeManager) -> None:
    for verb, path, body, status in REFUSED:
        reply = await api(verb, path, body)
        assert reply.code == status, (verb, path, body)
        if verb == "HEAD":
            continue
        decoded = json.loads(reply.body)
        assert decoded["error"].keys() == {"code", "hint", "path"}
        assert isinstance(decoded["detail"], list if status == 422 else str)
        if status == 400 and "surplus" in str(body):
            assert decoded["detail"].endswith("got an unexpected keyword argument 'surplus'")
        if status == 405:
            assert decoded["detail"] == "Method Not Allowed"
    assert manager.requests == []


JUDGED: list[tuple[str, Any, str]] = [
    ("/queue/item/add", {}, "request contains no item info"),
    ("/queue/item/add", {"surplus": 1}, "unsupported parameters: 'surplus'"),
    ("/queue/item/add/batch", {}, "the list of items is not found"),
    ("/manager/stop", {"surplus": 1}, "unsupported parameters: 'surplus'"),
]


async def test_judged_by_the_manager(api: Any) -> None:
    for path, body, words in JUDGED:
        reply = await api("POST", path, body)
        assert reply.code == 200
        assert words in json.loads(reply.body)["msg"]


async def test_the_type_of_the_body(api: Any, manager: FakeManager) -> None:
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/problem+json"):
        assert (await api("GET", "/queue/get", {}, headers={"Content-Type": kind})).code == 200, kind
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", ""):
        reply = await api("POST", "/queue/start", {}, headers={"Content-Type": kind})
        assert reply.code == 422, kind
        assert "application/json" in json.loads(reply.body)["detail"][0]["msg"]
        assert (await api("POST", "/queue/start", "", headers={"Content-Type": kind})).code == 200, kind
    for path in ("/permissions/get", "/re/runs/active"):
        assert (await api("GET", path, "no JSON", headers={"Content-Type": "text/plain"})).code == 200, path


async def test_a_body_without_a_type_is_json(jp_serverapp: Any, http_server_client: Any, manager: FakeManager) -> None:
    body = b'{"mode": {"loop": true}}'
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_serverapp.port)
    head = f"POST /a%40b/queueserver/api/queue/mode/set HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Authorization: ApiKey {jp_serverapp.identity_provider.token}\r\n\r\n".encode() + body)
    async with asyncio.timeout(15.0):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    assert manager.requests[-1]["params"]["mode"] == {"loop": True}


MODES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"mode": {"loop": True}}, {"mode": {"loop": True}}),
    ({"mode": "default"}, {"mode": "default"}),
    ({"loop": True, "ignore_failures": False}, {"mode": {"loop": True, "ignore_failures": False}}),
    ({"loop": True, "lock_key": "k"}, {"mode": {"loop": True}, "lock_key": "k"}),
    ({"lock_key": "k"}, {"lock_key": "k"}),
    ({"strange": 1}, {"mode": {"strange": 1}}),
]


async def test_the_mode_with_and_without_its_key(api: Any, manager: FakeManager) -> None:
    for sent, expected in MODES:
        assert (await api("POST", "/queue/mode/set", sent)).code == 200
        sent = manager.requests[-1]["params"]
        assert {name: value for name, value in sent.items() if name != "request_user"} == expected


PLAN = {
    "name": "count",
    "module": "m",
    "properties": {"is_generator": True},
    "parameters": [{"name": "num", "kind": {"name": "KEYWORD_ONLY", "value": 3}, "annotation": {"type": "int"}, "default": "1"}],
}


async def test_plans_in_the_short_form(api: Any, manager: FakeManager) -> None:
    everything = Permissions.parse({"user_groups": {"root": {"allowed_plans": [None]}, "primary": {"allowed_plans": [None]}}})
    manager.state = msgspec.structs.replace(manager.state, catalogue=Catalogue({"count": PLAN}, {}, everything))
    for name in ("plans_existing", "plans_allowed"):
        method = methods()[name]
        whole = json.loads((await api("GET", method.path, {"reduced": False})).body)
        short = json.loads((await api("GET", method.path, {"reduced": True})).body)
        assert whole[name] == {"count": PLAN}
        assert short == whole | {name: reduced_plans({"count": PLAN})}
        assert "reduced" not in manager.requests[-1]["params"]


async def test_sleep_lets_others_go_on(api: Any) -> None:
    sleeping = asyncio.ensure_future(api("GET", "/test/server/sleep", {"time": 0.3}))
    assert (await api("GET", "/status")).code == 200
    assert not sleeping.done()
    reply = await sleeping
    assert (reply.code, json.loads(reply.body)) == (200, {"success": True, "msg": ""})


async def test_numbers_go_through_as_they_came(api: Any, manager: FakeManager) -> None:
    text = '{"item": {"name": "NaN", "kwargs": {"a": "1e999", "b": 12345678901234567890123, "c": [1e300, -0.5E+3, "8e879"]}}}'
    await api("POST", "/queue/item/add", text)
    item = manager.requests[-1]["params"]["item"]
    assert item["name"] == "NaN"
    assert item["kwargs"] == {"a": "1e999", "b": 12345678901234567890123, "c": [1e300, -500.0, "8e879"]}


async def test_numbers_that_are_not_finite_are_refused_by_place(api: Any, manager: FakeManager) -> None:
    for number in ("NaN", "-Infinity", "Infinity", "1e999", "-1.5E+0400", "9" * 309 + ".0"):
        text = '{"items": [{"name": "x"}, {"name": "y", "kwargs": {"a": [1, NUMBER]}}]}'.replace("NUMBER", number)
        reply = await api("POST", "/queue/item/add/batch", text)
        decoded = json.loads(reply.body)
        assert reply.code == 422, number
        assert decoded["error"]["code"] == "malformed_body"
        assert decoded["error"]["path"] == "items[1].kwargs.a[1]"
        assert decoded["detail"][0]["loc"] == ["body", "items", 1, "kwargs", "a", 1]
    assert manager.requests == []


def no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


async def test_answers_are_strict_json(api: Any, manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    said = b'{"success": true, "items": [{"name": "NaN", "a": NaN, "b": [Infinity, -Infinity, 1.5]}], "plans_allowed": {}}'
    monkeypatch.setattr(manager, "answer", lambda request: said)
    wanted = json.loads(said, parse_constant=lambda _: None)
    for reply in (await api("GET", "/queue/get"), await api("GET", "/plans/allowed", {"reduced": True})):
        assert reply.code == 200
        assert json.loads(reply.body, parse_constant=no_constant) == wanted
    text = b'{"success": true, "msg": "a  text with NaN and Infinity"}'
    monkeypatch.setattr(manager, "answer", lambda request: text)
    assert (await api("GET", "/queue/get")).body == text, "what is strict passes as it is"


async def test_a_silent_manager_gives_408(api: Any, manager: FakeManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "PATIENCE", 0.1)
    manager.silent = True
    reply = await api("GET", "/status")
    assert reply.code == 408
    assert json.loads(reply.body)["detail"].startswith("Request timeout: ")
    manager.silent = False
    assert (await api("GET", "/status")).code == 200


async def test_a_reading_request_survives_a_restart_of_the_manager(
    api: Any, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests_module, "FIRST_ATTEMPT", 0.1)
    manager.silent = True
    asking = asyncio.ensure_future(api("GET", "/queue/get"))
    while not manager.requests:  # noqa: ASYNC110 - the request is on its way
        await asyncio.sleep(0.005)
    manager.silent = False
    assert (await asking).code == 200
    assert [request["method"] for request in manager.requests] == ["queue_get", "queue_get"]


async def announce(app: Any, length: int) -> tuple[bytes, bool]:
    """Announce a body of that length without sending it; the reply, and whether the connection was closed."""
    token = app.identity_provider.token
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    try:
        head = f"POST /a%40b/queueserver/api/queue/item/add HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n"
        writer.write(f"{head}Authorization: token {token}\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        size = int(re.search(rb"Content-Length: (\d+)", answer)[1])  # type: ignore[index]
        answer += await reader.readexactly(size)
        writer.write(b"x")
        closed = length > CONNECTION_LIMIT and await reader.read() == b""
        return answer, closed
    finally:
        writer.close()


async def test_a_body_that_is_too_large_is_refused_unread(jp_serverapp: Any, http_server_client: Any) -> None:
    answer, closed = await announce(jp_serverapp, BODY_LIMIT + 1)
    assert answer.startswith(b"HTTP/1.1 413")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_large"
    assert not closed


async def test_a_monstrous_body_closes_the_connection(jp_serverapp: Any, http_server_client: Any) -> None:
    answer, closed = await announce(jp_serverapp, CONNECTION_LIMIT + 1)
    assert answer.startswith(b"HTTP/1.1 413")
    assert closed


@pytest.mark.parametrize("path", ["queue/item/add", "nothing/here"])
async def test_a_stranger_cannot_upload(jp_serverapp: Any, http_server_client: Any, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_serverapp.port)
    head = f"POST /a%40b/queueserver/api/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    writer.write(f"{head}Content-Length: {STRANGER_LIMIT + 1}\r\n\r\n".encode())
    async with asyncio.timeout(15.0):
        answer = await reader.read()  # to the end: nothing of the body was sent, the connection is closed nevertheless
    writer.close()
    assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 404"))


async def test_the_hint_names_only_keys_that_count(api: Any) -> None:
    reply = await api("POST", "/queue/item/add", {"item": STOP, "surplus": 1})
    names = {*methods()["queue_item_add"].parameter_names, "request_id"} - {"user", "user_group"}
    assert json.loads(reply.body)["error"]["hint"] == f"Keys of this route: {', '.join(sorted(names))}."


async def test_a_write_without_answer_is_a_wish_for_a_manager(
    extension: Any, api: Any, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests_module, "PATIENCE", 0.05)

    class Keeper:
        reason = "The store is damaged."
        wishes = 0

        def try_again(self) -> None:
            self.wishes += 1

    manager.silent = True
    monkeypatch.setattr(extension, "keeper", keeper := Keeper())
    replies = [await api("GET", "/status"), await api("POST", "/queue/start", {})]
    assert [reply.code for reply in replies] == [408, 408]
    assert all(json.loads(reply.body)["detail"].endswith("The store is damaged.") for reply in replies)
    assert keeper.wishes == 1
    monkeypatch.undo()


async def test_items_carry_the_account_of_the_server(api: Any, manager: FakeManager) -> None:
    await api("POST", "/queue/item/add", {"item": STOP, "user": "somebody", "user_group": "admin"})
    params = manager.requests[-1]["params"]
    assert (params["user"], params["user_group"]) == (getpass.getuser(), "primary")


class Named(IdentityProvider):
    """A provider that knows persons."""

    async def get_user(self, handler: Any) -> User:
        return User(username="ada", name="Ada", display_name="Ada Lovelace")


PERSON = {
    "ServerApp": {"identity_provider_class": Named, "disable_check_xsrf": True},
    "QueueServerExtension": {"user_group": "observer"},
}


@pytest.mark.parametrize("extra_config", [PERSON])
async def test_items_carry_the_names_of_the_person(api: Any, manager: FakeManager) -> None:
    await api("POST", "/queue/item/add", {"item": STOP, "user": "somebody"})
    params = manager.requests[-1]["params"]
    assert (params["user"], params["user_group"]) == ('ada "Ada Lovelace"', "observer")
    await api("GET", "/devices/allowed", {"user_group": "admin"})
    assert manager.requests[-1] == {"method": "devices_allowed", "params": {"user_group": "observer"}}


async def test_a_cookie_needs_its_xsrf_token(
    jp_serverapp: Any, http_server_client: Any, jp_base_url: str, manager: FakeManager
) -> None:
    token = jp_serverapp.identity_provider.token
    page = await http_server_client.fetch(f"{jp_base_url}api/status?token={token}")
    login = await http_server_client.fetch(f"{jp_base_url}login")
    cookies = dict(
        cookie.partition(";")[0].split("=", 1) for reply in (page, login) for cookie in reply.headers.get_list("Set-Cookie")
    )
    jar = "; ".join(f"{name}={value}" for name, value in cookies.items())
    assert "_xsrf" in cookies

    async def start(**headers: str) -> int:
        path = f"{jp_base_url}queueserver/api/queue/start"
        reply = await http_server_client.fetch(
            path, method="POST", body="", headers={"Cookie": jar, **headers}, raise_error=False
        )
        assert "detail" in json.loads(reply.body) or reply.code == 200
        return reply.code

    assert await start() == 403
    assert manager.requests == []
    assert await start(**{"X-XSRFToken": cookies["_xsrf"]}) == 200
    status = await http_server_client.fetch(f"{jp_base_url}queueserver/api/status", headers={"Cookie": jar})
    assert status.code == 200


class OnlyReads(Authorizer):
    """Lets everybody look, and remembers what it was asked."""

    asked: tuple[tuple[str, str], ...] = ()

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        type(self).asked += ((action, resource),)
        return action == "read"


@pytest.mark.parametrize("extra_config", [{"ServerApp": {"authorizer_class": OnlyReads}}])
async def test_the_authorizer_is_asked_for_what_the_method_declares(api: Any, manager: FakeManager) -> None:
    codes = {}
    for name in ("queue_item_add", "status", "queue_start", "re_runs", "queue_get"):
        method = methods()[name]
        OnlyReads.asked = ()
        codes[name] = (await api(method.verb, method.path, {})).code
        assert OnlyReads.asked[0] == (method.access, "queueserver")
    assert codes == {"queue_item_add": 401, "status": 200, "queue_start": 401, "re_runs": 200, "queue_get": 200}
    assert {request["method"] for request in manager.requests} == {"status", "re_runs", "queue_get"}


async def test_openapi_names_the_place_of_the_routes(api: Any, manager: FakeManager) -> None:
    document = json.loads((await api("GET", "/openapi.json")).body)
    assert document["servers"][0]["url"] == "/a%40b/queueserver/api"
    assert set(document["paths"]) >= {method.path for method in methods().values() if method.name not in NOT_SERVED}


async def test_every_answer_is_as_described(api: Any) -> None:
    """With no parameters at all; refusals of the manager have the same keys as its answers."""
    document = json.loads((await api("GET", "/openapi.json")).body)
    seen = 0
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            if operation["operationId"] not in methods() or operation["operationId"] in ("manager_stop", "manager_kill"):
                continue
            reply = await api(verb.upper(), path, {})
            described = operation["responses"][str(reply.code)]
            if "$ref" in described:
                described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
            schema = described["content"]["application/json"]["schema"] | {"components": document["components"]}
            Draft202012Validator(schema).validate(json.loads(reply.body))
            seen += reply.code == 200
    assert seen > 40


async def test_reading_does_not_count_as_activity(api: Any, jp_web_app: Any) -> None:
    await api("GET", "/status")
    before = jp_web_app.settings.get("api_last_activity")
    await api("GET", "/queue/get")
    assert jp_web_app.settings.get("api_last_activity") == before
    await api("POST", "/queue/clear", {})
    assert jp_web_app.settings["api_last_activity"] != before
