"""The page of the interface in a real browser: requests are tried with the mouse, by cookie and by a token that is typed in."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import PROGRAM, Browser, started_browser
from gateway_manager import FakeManager

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PROGRAM is None, reason="there is no chromium to open the page with"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short place for what the browser keeps."""
    path = Path(tempfile.mkdtemp(prefix="jqs-browser-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def root(jp_serverapp: Any, http_server_client: Any, jp_base_url: str) -> str:
    """Address of the page."""
    return f"http://127.0.0.1:{jp_serverapp.port}{jp_base_url}queueserver"


async def execute(page: Browser, name: str, body: str | None = None, file: Path | None = None) -> tuple[str, dict[str, Any]]:
    """Try a route with the mouse; returns status and answer as the page shows them."""
    block = f"[id$='-{name}']"
    await page.click(f"{block} .opblock-summary-control")
    await page.click(f"{block} .try-out__btn")
    if body is not None:
        await page.type_into(f"{block} textarea.body-param__text", body)
    if file is not None:
        await page.choose_file(f"{block} input[type=file]", file)
    await page.click(f"{block} .execute")
    status = f"document.querySelector(`{block} .live-responses-table tr.response td.response-col_status`)"
    text = f"document.querySelector(`{block} .live-responses-table .highlight-code code`)"
    await page.until(f"Boolean({status} && {text})")
    return (await page.evaluate(f"{status}.textContent"))[:3], json.loads(await page.evaluate(f"{text}.textContent"))


async def test_requests_can_be_tried(root: str, folder: Path, jp_serverapp: Any, manager: FakeManager, tmp_path: Path) -> None:
    token = jp_serverapp.identity_provider.token
    async with started_browser(folder) as page:
        await page.open(f"{root}?token={token}")
        assert await page.until("document.querySelectorAll('.opblock').length > 50")
        status, answer = await execute(page, "status")
        assert (status, answer["manager_state"]) == ("200", "idle")
        status, answer = await execute(page, "queue_item_add", '{"item": {"item_type": "instruction", "name": "queue_stop"}}')
        assert (status, answer["success"]) == ("200", True), answer
        assert [item.name for item in manager.state.queue] == ["queue_stop"]
        await page.click("[id$='-queue_item_update'] .opblock-summary-control")
        await page.click("[id$='-queue_item_update'] .try-out__btn")
        offered = "document.querySelector(`[id$='-queue_item_update'] textarea.body-param__text`)"
        assert await page.until(f"Boolean({offered} && {offered}.value)")
        assert list(json.loads(await page.evaluate(f"{offered}.value"))) == ["item"]
        (tmp_path / "tried.png").write_bytes(await page.picture())
        status, answer = await execute(page, "queue_item_get", '{"pos": "back"}')  # parameters of a GET
        assert (status, answer["item"]["name"]) == ("200", "queue_stop")
        assert manager.requests[-1] == {"method": "queue_item_get", "params": {"pos": "back"}}
        sheet = tmp_path / "plans.csv"
        sheet.write_text("plan,args\ncount,det\n")
        status, answer = await execute(page, "queue_upload_spreadsheet", file=sheet)
        assert (status, answer["error"]["path"]) == ("200", "B2"), answer
        assert [text for text in page.complaints if "favicon" not in text] == []
        elsewhere = [url for url in page.requests if not url.startswith((root.partition("/a%40b")[0], "data:", "about:"))]
        assert elsewhere == []


async def test_a_token_can_be_typed_in(root: str, folder: Path, jp_serverapp: Any, manager: FakeManager) -> None:
    token = jp_serverapp.identity_provider.token
    async with started_browser(folder) as page:
        await page.open(f"{root}/docs?token={token}")
        assert await page.until("document.querySelectorAll('.opblock').length > 50")
        await page.call("Network.clearBrowserCookies")
        status, answer = await execute(page, "queue_clear", "{}")
        assert (status, answer["error"]["code"]) == ("401", "not_authenticated")
        await page.click(".btn.authorize")
        await page.type_into(".auth-container input[type=text], .auth-container input[type=password]", token)
        await page.click(".auth-container .authorize")
        await page.click(".dialog-ux .close-modal")
        status, answer = await execute(page, "queue_start", "{}")
        assert status == "200", answer
        assert manager.requests[-1]["method"] == "queue_start"
