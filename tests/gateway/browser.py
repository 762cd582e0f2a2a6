"""A real browser without a screen, told what to do by its debugging protocol over a websocket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

PROGRAM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
LIMIT = 60.0

#: Resolves as soon as an expression is true; looks again at each change of the page.
_UNTIL = """
new Promise((resolve) => {
  const look = () => { const found = (%s); if (found) { watch.disconnect(); resolve(found); } };
  const watch = new MutationObserver(look);
  watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
  look();
})
"""


class Browser:
    """One page of a running browser.

    Attributes
    ----------
    complaints
        What the page wrote to its console as warning or error, and what it was not allowed to load.
    requests
        Addresses that it asked for.
    """

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []
        self.requests: list[str] = []

    async def hear(self) -> None:
        """Take what the browser says until it ends."""
        while (text := await self._socket.read_message()) is not None:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            elif message["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif message["method"] == "Log.entryAdded":
                self.complaints.append(message["params"]["entry"]["text"])
            elif message["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]["exceptionDetails"]))
            elif message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(LIMIT):
            message = await answer
        assert "error" not in message, message
        return message["result"]

    async def open(self, url: str) -> None:
        """Load a page."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(LIMIT):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression; of a promise what it brings."""
        reply = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true; returns its value, which must be plain."""
        return await self.evaluate(_UNTIL % expression)

    async def click(self, selector: str) -> None:
        """Click on an element as soon as it is there, with the mouse."""
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        where = await self.evaluate(
            f"(() => {{ const element = document.querySelector({json.dumps(selector)});"
            " element.scrollIntoView({block: 'center', behavior: 'instant'}); const box = element.getBoundingClientRect();"
            " return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where)

    async def type_into(self, selector: str, text: str) -> None:
        """Replace the text of a field."""
        await self.click(selector)
        await self.evaluate("document.activeElement.select()")
        await self.call("Input.insertText", text=text)

    async def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in a field as soon as it is there."""
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        found = await self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        await self.call("DOM.setFileInputFiles", files=[str(path)], objectId=found["result"]["objectId"])

    async def picture(self) -> bytes:
        """Return a picture (PNG) of what is seen."""
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


@contextlib.asynccontextmanager
async def started_browser(folder: Path) -> AsyncIterator[Browser]:
    """Start a browser that keeps everything in a folder; it ends with the block."""
    assert PROGRAM is not None
    switches = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    switches += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"]
    switches += [f"--user-data-dir={folder}", "--remote-debugging-port=0", "--window-size=1200,1000", "about:blank"]
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *switches, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=os.environ | {"HOME": str(folder)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT):
            address = await _address_of(process, folder)
            socket = await websocket_connect(address, max_message_size=64 << 20)
        browser = Browser(socket)
        hearing = asyncio.create_task(browser.hear())
        try:
            for part in ("Page", "Runtime", "Log", "Network"):
                await browser.call(f"{part}.enable")
            yield browser
        finally:
            socket.close()
            await hearing
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        assert process.stderr is not None
        await process.stderr.read()
        await process.wait()


async def _address_of(process: asyncio.subprocess.Process, folder: Path) -> str:
    """Return the websocket address of the first page."""
    from tornado.httpclient import AsyncHTTPClient

    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on" in line:
            place = line.split(b"ws://")[1].split(b"/")[0].decode()
            break
    else:
        raise AssertionError("the browser ended at once")
    pages = json.loads((await AsyncHTTPClient().fetch(f"http://{place}/json/list")).body)
    return next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
