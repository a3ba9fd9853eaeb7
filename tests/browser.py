"""Chromium, driven over its debugging pipe, with passkeys that it simulates (WebAuthn by CDP)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

#: Nothing may take this long (seconds), however busy the machine.
PATIENCE = 60
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,860"),
    *("--no-proxy-server", "--remote-debugging-pipe", "about:blank"),
)
_AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def chromium() -> str:
    """Where it is; the test is skipped, and says so, where it is absent."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium here: apt-get install chromium")
    return found


class Browser:
    """A running browser, in which each page has cookies and a passkey of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.create_task(self._read())

    async def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """What the browser answers to a command; AssertionError if it refuses."""
        number = next(self._ids)
        told = {"id": number, "method": method, "params": params}
        if session:
            told["sessionId"] = session
        self._waiting[number] = asyncio.get_running_loop().create_future()
        os.write(self._writer, json.dumps(told).encode() + b"\0")
        answer = await asyncio.wait_for(self._waiting[number], PATIENCE)
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    async def page(self, *, dark: bool = False) -> Page:
        """A page of somebody who was never here, with an authenticator in the machine."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = await self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self, attached["sessionId"])
        await page.call("Page.enable")
        # No passkey answers a page that nobody looks at.
        await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await page.call("WebAuthn.enable", enableUI=False)
        await page.call("WebAuthn.addVirtualAuthenticator", options=_AUTHENTICATOR)
        if dark:
            feature = {"name": "prefers-color-scheme", "value": "dark"}
            await page.call("Emulation.setEmulatedMedia", features=[feature])
        return page

    async def _read(self) -> None:
        while True:
            try:
                message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            except asyncio.IncompleteReadError:
                return
            waiting = self._waiting.pop(message.get("id", 0), None)
            if waiting is not None:
                waiting.set_result(message)


class Page:
    """A page in a browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command to this page."""
        return await self._browser.call(method, self._session, **params)

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self.run("window.left = true")
        await self.call("Page.navigate", url=url)
        await self.until("!window.left && document.readyState === 'complete'")

    async def click(self, selector: str) -> None:
        """Click what is there."""
        there = f"document.querySelector({json.dumps(selector)}) !== null"
        await self.until(f"document.readyState === 'complete' && {there}")
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def fill(self, **fields: str) -> None:
        """Type into fields by their names."""
        for name, value in fields.items():
            found = f"document.querySelector('[name=\"{name}\"]:not([type=hidden])')"
            await self.run(f"{found}.value = {json.dumps(value)}")

    async def until(self, condition: str) -> None:
        """Wait until an expression in the page is true."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self.run(condition):  # noqa: ASYNC110 - the page tells nobody
                    await asyncio.sleep(0.05)
        except TimeoutError:
            where = await self.run("location.href")
            raise AssertionError(f"{condition}: at {where}:\n{await self.text()}") from None

    async def at(self, path: str) -> None:
        """Wait until the page is this one."""
        here = f"location.pathname === {json.dumps(path)}"
        await self.until(f"{here} && document.readyState === 'complete'")

    async def text(self) -> str:
        """What is to be read."""
        found: str = await self.run("document.body.innerText")
        return found

    async def picture(self) -> bytes:
        """What is to be seen, as PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Browser]:
    """A browser with a fresh profile in this folder."""
    command = chromium()
    to_browser, ours = os.pipe()
    theirs, from_browser = os.pipe()
    # It speaks on the descriptors 3 and 4.
    script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script, "bash", command, f"--user-data-dir={profile}", *_FLAGS),
        pass_fds=(to_browser, from_browser),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    reader = asyncio.StreamReader(limit=2**26)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(theirs, "rb")
    )
    made = Browser(reader, ours)
    try:
        yield made
        await made.call("Browser.close")
    finally:
        if process.returncode is None:
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()
        transport.close()
        os.close(ours)
        made._reading.cancel()
        await asyncio.gather(made._reading, return_exceptions=True)
