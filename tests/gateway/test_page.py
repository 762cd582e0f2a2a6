"""The page of the interface: who gets it and who gets JSON, what it may load, and that it is complete without a network."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from gateway_manager import FakeManager

from jupyter_queueserver.gateway import page

BROWSER = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def fetch(http_server_client: Any, jp_base_url: str, jp_serverapp: Any) -> Any:
    """``await fetch("/docs", accept=..., token=...)`` below the prefix; refusals and redirects are returned."""

    def fetched(path: str, accept: str = "*/*", token: str | None = "", **options: Any) -> Any:
        headers = {"Accept": accept} | options.pop("headers", {})
        if token is not None:
            headers["Authorization"] = f"ApiKey {token or jp_serverapp.identity_provider.token}"
        url = f"{jp_base_url}queueserver{path}"
        return http_server_client.fetch(url, headers=headers, raise_error=False, follow_redirects=False, **options)

    return fetched


async def test_browsers_get_the_page_and_programs_the_status(fetch: Any, manager: FakeManager) -> None:
    for path in ("", "/"):
        reply = await fetch(path, BROWSER)
        assert (reply.code, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert b'id="api-page"' in reply.body
        assert manager.requests == []
        for accept in ("*/*", "application/json"):
            reply = await fetch(path, accept)
            assert (reply.code, reply.body) == (200, manager.replies[-1])
            assert json.loads(reply.body)["manager_state"] == "idle"
        manager.requests.clear()


async def test_who_is_not_logged_in_is_sent_to_the_login_only_in_a_browser(fetch: Any, jp_base_url: str) -> None:
    for path in ("", "/docs", "/docs/"):
        reply = await fetch(path, BROWSER, token=None)
        assert reply.code == 302, path
        assert reply.headers["Location"].startswith(f"{jp_base_url}login?next=")
        for accept, token in ((BROWSER, "wrong"), ("*/*", None), ("*/*", "wrong")):
            reply = await fetch(path, accept, token=token)
            assert reply.code == 401, (path, accept, token)
            assert json.loads(reply.body).keys() == {"detail", "error"}


async def test_the_page_loads_nothing_from_elsewhere(fetch: Any, jp_base_url: str, jp_serverapp: Any) -> None:
    reply = await fetch("/docs")
    text = reply.body.decode()
    policy = dict(rule.split(maxsplit=1) for rule in reply.headers["Content-Security-Policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    assert policy["frame-ancestors"] == "'self'"
    reply = await fetch(f"/docs?token={jp_serverapp.identity_provider.token}", BROWSER, token=None)  # as a person's link has it
    assert any(cookie.startswith("_xsrf=") for cookie in reply.headers.get_list("Set-Cookie"))
    links = re.findall(r'(?:href|src|data-openapi)="([^"]+)"', text)
    assert len(links) > 4
    for link in links:
        assert link.startswith(f"{jp_base_url}queueserver/")
        part = await fetch(link.removeprefix(f"{jp_base_url}queueserver"))
        assert part.code == 200, link
        assert len(part.body) > 50
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|<style", text)


async def test_files_are_known_by_their_mark(fetch: Any) -> None:
    first = await fetch("/docs/swagger-ui.css")
    assert first.headers["Content-Type"] == "text/css; charset=utf-8"
    again = await fetch("/docs/swagger-ui.css", headers={"If-None-Match": first.headers["Etag"]})
    assert (again.code, again.body) == (304, b"")


async def test_only_files_of_the_page_are_sent(fetch: Any) -> None:
    for name in ("NOTICE", "page.py", "..%2fpage.py", "%2e%2e/page.py", "swagger"):
        reply = await fetch(f"/docs/{name}")
        assert reply.code == 404, name
        assert json.loads(reply.body)["error"]["code"] == "not_found"
    assert (await fetch("/docs/swagger-ui.css", token=None)).code == 401


def test_the_licenses_of_foreign_files_are_there() -> None:
    folder = page._STATIC / "swagger"
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "SmartBear" in (folder / "NOTICE").read_text(encoding="utf-8")
    assert {path.name for path in folder.iterdir()} >= {"swagger-ui-bundle.js.LICENSE.txt", "README.md"}


async def test_a_page_can_send_the_parameters_of_a_get(api: Any, jp_auth_header: dict[str, str], manager: FakeManager) -> None:
    headers = jp_auth_header | {"X-HTTP-Method-Override": "GET", "Content-Type": "application/json"}
    reply = await api("POST", "/queue/item/get", {"pos": "back"}, headers=headers)
    assert reply.code == 200
    assert manager.requests == [{"method": "queue_item_get", "params": {"pos": "back"}}]
    assert (await api("POST", "/queue/start", {}, headers=headers)).code == 405  # what changes something stays a POST
