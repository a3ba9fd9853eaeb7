"""A sign-in at the employer's provider, from the device: show where, and wait for the browser.

What the browser is handed at the end comes back to a listener on this machine alone, or is typed.
So somebody who sends another person the address of a sign-in for a device of their own waits in
vain: it never comes to them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.to_thread
import msgspec

from bailment.access.enrolment import code_of
from bailment.agent.answers import GatewayRefused
from bailment.agent.client import GatewayClient
from bailment.errors import VerificationError

_PAGE = (
    b"HTTP/1.1 %b\r\ncontent-type: text/html; charset=utf-8\r\ncache-control: no-store\r\n"
    b"content-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\n"
    b"connection: close\r\n\r\n<!doctype html><title>bailment</title><h1>%b</h1>"
)
_DONE = _PAGE % (b"200 OK", b"You are signed in</h1><p>Your terminal shows what comes next.")
_NOTHING = _PAGE % (b"404 Not Found", b"There is nothing here")
_MOST_HEAD = 8192


class Asked(msgspec.Struct, frozen=True):
    """Where the person signs in; `url` is empty where nobody asks for it. `expires` in ms."""

    id: str
    url: str
    provider: str
    code: str
    expires: int


class SignedIn(msgspec.Struct, frozen=True):
    """It is on record. `auth_time` in ms; `acr` and `amr` are the provider's words for how."""

    person: str
    auth_time: int
    acr: str
    amr: tuple[str, ...]


class _Standing(msgspec.Struct, frozen=True):
    status: Literal["waiting", "failed", "signed-in"]
    why: str = ""
    hint: str = ""


async def sign_in(
    client: GatewayClient,
    show: Callable[[Asked], None],
    typed: Callable[[], str] | None = None,
    *,
    invitation: str = "",
    device: str = "",
    poll: float = 1.0,
) -> SignedIn | None:
    """Sign the person in, for an invitation's code or an enrolled device's id; None where nobody
    asks for it.

    `show` shows where to; `typed` asks for what the browser shows at the end, where that is on
    another machine. Raises GatewayRefused, GatewayUnreachable, FormatError, and VerificationError
    if the gateway says that it is for another key.
    """
    waiting = asyncio.get_running_loop().create_future()
    async with _listening(waiting) as back:
        body = {"invitation": invitation, "device": device, "back": "" if typed else back}
        asked = await client.post("/sign-in", body, Asked)
        if not asked.url:
            return None
        ours = asked.url.startswith(f"{client.gateway}/sign-in/")
        if asked.code != code_of(client.signer.public.thumbprint) or not ours:
            raise VerificationError(
                "the gateway would have you sign in for another device",
                hint="do not sign in; tell the issuer",
            )
        show(asked)
        path = f"/sign-in/{asked.id}"
        polling = asyncio.create_task(_until_failed(client, f"{path}/status", poll))
        try:
            if typed is not None:
                given = await anyio.to_thread.run_sync(typed, abandon_on_cancel=True)
                completion = given.strip().upper()
            else:
                await asyncio.wait({waiting, polling}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    await polling  # which raises why
                completion = waiting.result()
        finally:
            polling.cancel()
        return await client.post(f"{path}/complete", {"completion": completion}, SignedIn)


async def _until_failed(client: GatewayClient, path: str, poll: float) -> None:
    """Ask how it stands, and raise GatewayRefused once it came to nothing."""
    while True:
        await anyio.sleep(poll)
        found = await client.get(path, _Standing)
        if found.status == "failed":
            raise GatewayRefused("sign-in-failed", found.why, status=403, hint=found.hint)


@asynccontextmanager
async def _listening(waiting: asyncio.Future[str]) -> AsyncIterator[str]:
    """A listener for this machine's browser; its address, which has a secret in it."""
    path = f"/{secrets.token_urlsafe(24)}"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                head = await reader.readuntil(b"\r\n\r\n")
            method, _, rest = head.decode("latin-1").partition(" ")
            target = urlsplit(rest.partition(" ")[0])
            given = parse_qs(target.query).get("completion", [""])[0]
            right = method == "GET" and target.path == path and given
            if right and not waiting.done():
                waiting.set_result(given)
            writer.write(_DONE if right else _NOTHING)
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # whoever it was has gone, or speaks no HTTP
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_MOST_HEAD)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}{path}"
