"""Each HTTP line of the first version's description does what it did then, at a server started with ``--legacy-root``."""

from __future__ import annotations

import http.client
import json
import shlex
from typing import Any

import pytest
from seed_lines import REQUESTS, Row
from seed_manager import SeedManager
from seed_web import LIMIT, TOKEN, Web

from jupyter_queueserver.api.first_version import COMMANDS
from jupyter_queueserver.api.registry import COMMON_PARAMETERS

#: What every request has.
HIDDEN = ("user", "user_group", *COMMON_PARAMETERS)

ORIGIN = "http://localhost:60610"


def request_of(line: str) -> tuple[str, str, str | None]:
    """Verb, path and body, as the program of that line sends them."""
    words = shlex.split(line)
    piped = words[1] if words[0] == "echo" else None
    verb, place, *fields = words[words.index("http") + 1 :]
    values: dict[str, Any] = {}
    for field in fields:
        name, mark, text = field.partition(":=")
        if mark:
            values[name] = json.loads(text)
        else:
            name, _, values[field.partition("=")[0]] = field.partition("=")
    return verb, place.removeprefix(ORIGIN), json.dumps(values) if fields else piped


def asked_by_clients(manager: SeedManager) -> list[dict[str, Any]]:
    """What the manager was asked, but for the status: the server itself asks for it now and then."""
    return [asked for asked in manager.requests if asked["method"] != "status"]


@pytest.mark.parametrize("prefix", ["", "/queueserver"], ids=["root", "below"])
@pytest.mark.parametrize(("row", "line"), REQUESTS, ids=[line for _, line in REQUESTS])
def test_a_line(row: Row, line: str, prefix: str, manager: SeedManager, web: Web) -> None:
    verb, path, body = request_of(line)
    manager.prepare(row.given)
    before = manager.facts()
    status, answer = web.ask(verb, f"{prefix}{path}" or "/", body, **({"Content-Type": "application/json"} if body else {}))
    # The server itself asks for the status now and then.
    [request] = [asked for asked in manager.requests if asked["method"] != "status" or row.method == "status"][:2]
    shown = {name: value for name, value in request["params"].items() if name not in HIDDEN}
    assert (request["method"], shown) == (row.method, row.params)
    assert manager.facts() == before | row.facts
    if row.reply is None:
        assert status == 408
        assert answer["error"]["code"] == "no_answer"
        return
    assert status == 200
    answer |= answer.get("item", {})
    assert answer | row.reply == answer


def test_each_declared_route_is_there(web: Web) -> None:
    """With the wrong verb, so that nothing is done."""
    for command in COMMANDS.values():
        for path in command.paths:
            wrong = "POST" if command.verb == "GET" else "GET"
            assert web.ask(wrong, path or "/")[0] == 405, path
            assert web.ask(wrong, f"{path}/")[0] == 405, path


WRONG: list[tuple[str, str | None, int, str]] = [
    ("/queue/plan/add", "{}", 400, "missing_parameter"),
    ("/queue/plan/add", None, 400, "missing_parameter"),
    ("/queue/plan/add", '{"plan": 3}', 400, "wrong_type"),
    ("/queue/plan/add", '{"plan": {"name": "count"}, "surplus": 1}', 400, "unsupported_parameters"),
    ("/queue/plan/add", '{"item": {"name": "count"}}', 400, "unsupported_parameters"),
    ("/queue/plan/add", '{"plan": ', 422, "malformed_body"),
    ("/queue/plan/add", "[]", 422, "malformed_body"),
    ("/re/pause", '{"when": "now"}', 400, "unsupported_parameters"),
    ("/queue/plan/put", "{}", 404, "not_found"),
]


@pytest.mark.parametrize(("path", "body", "status", "code"), WRONG)
@pytest.mark.parametrize("prefix", ["", "/queueserver"], ids=["root", "below"])
def test_a_wrong_request_is_refused_with_detail(
    path: str, body: str | None, status: int, code: str, prefix: str, manager: SeedManager, web: Web
) -> None:
    manager.prepare("open")
    found, answer = web.ask("POST", f"{prefix}{path}", body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert answer["detail"]
    assert asked_by_clients(manager) == []


def test_a_refusal_of_the_manager_is_success_false(manager: SeedManager, web: Web) -> None:
    manager.prepare("open")
    status, answer = web.ask("POST", "/queue/plan/remove", '{"pos": 5}')
    assert (status, answer["success"]) == (200, False)


def test_who_adds_a_plan_is_who_is_logged_in(manager: SeedManager, web: Web) -> None:
    manager.prepare("open")
    status, answer = web.ask("POST", "/queue/plan/add", '{"plan": {"name": "count", "args": [1]}, "user": "somebody"}')
    assert status == 200
    assert answer["item"]["user"] != "somebody"
    assert answer["item"]["user_group"] == "primary"


def test_a_token_is_needed(manager: SeedManager, web: Web) -> None:
    manager.prepare("open")
    for path in ("/", "/queue/start", "/queueserver/queue/start", "/api/status", "/docs"):
        verb = "POST" if path.endswith("start") else "GET"
        status, answer = web.ask(verb, path, Authorization="token wrong")
        assert status in (401, 403), path
        assert answer["detail"]
    assert asked_by_clients(manager) == []


def test_todays_interface_is_there_without_prefix(manager: SeedManager, web: Web) -> None:
    """So that a client that is given the first version's address as server works."""
    manager.prepare("open")
    assert web.ask("GET", "/api/status")[1]["items_in_queue"] == 5
    assert web.ask("POST", "/api/queue/item/remove", '{"pos": "front"}')[1]["success"]
    # With today's meaning: -1 is behind the last one.
    added = '{"item": {"item_type": "plan", "name": "count", "args": [1]}, "pos": -1}'
    assert web.ask("POST", "/api/queue/item/add", added)[1]["success"]
    assert manager.facts()["queue"] == [1, 2, 3, 4, "count"]


def test_a_browser_gets_the_page_at_the_root_too(web: Web) -> None:
    for path in ("/", "/docs"):
        connection = http.client.HTTPConnection(web.place, timeout=LIMIT)
        connection.request("GET", path, headers={"Authorization": f"token {TOKEN}", "Accept": "text/html"})
        reply = connection.getresponse()
        assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8"), path
        assert b"swagger" in reply.read()
        connection.close()


def test_doubled_slashes_and_keys_in_the_query_are_taken(manager: SeedManager, web: Web) -> None:
    manager.prepare("open")
    assert web.ask("POST", f"//queue//clear/?token={TOKEN}", Authorization="")[0] == 200
    assert manager.facts()["queue"] == []


def test_jupyter_itself_goes_on(web: Web) -> None:
    status, answer = web.ask("GET", "/api/kernelspecs")
    assert status == 200
    assert answer["kernelspecs"]


def ask_as_is(web: Web, verb: str, path: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
    """Status, content type and body of whatever is answered."""
    connection = http.client.HTTPConnection(web.place, timeout=LIMIT)
    try:
        connection.request(verb, path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.headers["Content-Type"], reply.read()
    finally:
        connection.close()


NOWHERE = ["/api/nope", "/nope", "/openapi.json", "/api/queue/nope", "/nope/", "/api/nope/", "/nope/nope?x=1"]
PROGRAMS = [
    {"Authorization": f"ApiKey {TOKEN}", "Accept": "*/*"},
    {"Authorization": f"Bearer {TOKEN}", "Accept": "text/html"},
    {"Authorization": f"token {TOKEN}"},
    {"Authorization": "ApiKey wrong"},
    {"Accept": "*/*"},
]


@pytest.mark.parametrize("path", NOWHERE)
def test_programs_are_told_in_json_that_there_is_no_such_route(path: str, web: Web) -> None:
    mark = "&" if "?" in path else "?"
    asked = [(path, headers) for headers in PROGRAMS] + [(f"{path}{mark}api_key={TOKEN}", {"Accept": "text/html"})]
    for where, headers in asked:
        for verb in ("GET", "POST", "DELETE"):
            status, content_type, body = ask_as_is(web, verb, where, headers)
            assert (status, content_type) == (404, "application/json"), (verb, where, headers)
            assert json.loads(body)["detail"] == "Not Found"
            assert TOKEN.encode() not in body


def test_browsers_keep_the_pages_of_jupyter(web: Web) -> None:
    browser = {"Accept": "text/html,*/*;q=0.8"}
    for path, expected in (("/login", 200), (f"/nope?token={TOKEN}", 404)):
        status, content_type, body = ask_as_is(web, "GET", path, browser)
        assert (status, content_type.partition(";")[0]) == (expected, "text/html"), path
        assert b"<html" in body
    assert ask_as_is(web, "GET", "/login/", browser)[0] == 302, "Jupyter takes the slash away"
    assert ask_as_is(web, "GET", "/api/kernelspecs/", {"Authorization": f"token {TOKEN}"})[0] == 302


def test_the_address_that_is_printed_is_that_of_the_page(web: Web) -> None:
    assert web.told == f"Queue server: http://{web.place}/queueserver\n", "a token that was given is not shown"
    browser = {"Accept": "text/html,*/*;q=0.8"}
    assert ask_as_is(web, "GET", "/queueserver", browser)[0] == 302, "to the login"
    status, content_type, body = ask_as_is(web, "GET", f"/queueserver?token={TOKEN}", browser)
    assert (status, content_type) == (200, "text/html; charset=utf-8")
    assert b'id="api-page"' in body
