"""The simulated employer's provider on a port of its own, a browser, and a person who signs in."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urljoin

import httpx2
import uvicorn

from bailment.access.chain import commit_person
from bailment.access.signing_in import Registration, registration_body
from bailment.drills.employer import Account, Client, Directory, Employer

from .world import PATIENCE, Device, Person, Recipient, World

MARIA = Account("maria-7f31", "maria@acme.example")
NOOR = Account("noor-0c55", "noor@acme.example")


class Stage(Employer):
    """A provider whose directory a test changes."""

    set_up: Directory = Directory(people=(MARIA, NOOR))


@asynccontextmanager
async def employer(clock: Callable[[], float]) -> AsyncIterator[Stage]:
    """A provider that is served."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Stage(
            f"http://127.0.0.1:{listener.getsockname()[1]}", lambda: made.set_up, clock=clock
        )
        server = uvicorn.Server(uvicorn.Config(made.app(), log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield made
        finally:
            server.should_exit = True
            await serving


async def register(
    recipient: Recipient, provider: Stage, claim: str = "email", auth: str = "none", **changes: Any
) -> httpx2.Response:
    """The recipient's admin registers the provider, which knows us as its client."""
    url = recipient.world.url
    callback = f"{url}/sign-in/callback/{recipient.id}"
    known = Client((callback,), "s3cret" if auth == "client_secret_basic" else "")
    provider.set_up = Directory({"bailment": known}, (MARIA, NOOR))
    said = {
        "organisation": recipient.id,
        "issuer": provider.issuer,
        "client": "bailment",
        "claim": claim,
        "auth": auth,
    } | changes
    body = registration_body(Registration(**said))
    return await recipient.admin.send("POST", "/providers", body)


async def name(
    recipient: Recipient, email: str = MARIA.email, account: str = "", called: str = "Maria"
) -> Person:
    """The admin names a person."""
    link = recipient.below("person")
    told = {"name": called, "email": email, "subject": account}
    sent = await recipient.grant(link, {key: value for key, value in told.items() if value})
    assert sent.status_code == 201, sent.text
    return Person(recipient, link, sent.json()["invitation"]["code"])


@dataclass
class Browser:
    """Somebody's browser: it keeps cookies, and goes only where it is sent."""

    http: httpx2.AsyncClient = field(
        default_factory=lambda: httpx2.AsyncClient(
            trust_env=False, timeout=PATIENCE, limits=httpx2.Limits(max_keepalive_connections=0)
        )
    )

    async def leave(self, url: str) -> httpx2.Response:
        """Open a sign-in's page and go on to the provider: its page."""
        page = await self.http.get(url)
        onward = re.search(r'<a rel="nofollow" href="([^"]+)"', page.text)
        assert onward, page.text
        off = await self.http.get(urljoin(url, unescape(onward[1])))
        assert off.status_code == 303, off.text
        return await self.http.get(off.headers["location"])

    async def pick(self, form: httpx2.Response, account: Account) -> str:
        """Pick an account at the provider: where that sends the browser."""
        asked = re.search(r'name="asked" value="([^"]+)"', form.text)
        assert asked, form.text
        data = {"asked": asked[1], "sub": account.sub}
        sent = await self.http.post(urljoin(str(form.url), "/pick"), data=data)
        assert sent.status_code == 303, sent.text
        return str(sent.headers["location"])

    async def sign_in(self, url: str, account: Account = MARIA) -> httpx2.Response:
        """All of it: what our callback answers."""
        return await self.http.get(await self.pick(await self.leave(url), account))


def completion(page: httpx2.Response) -> str:
    """What the last page says to type."""
    found = re.search(r"<code>([A-Z2-7]{8})</code>", page.text)
    assert found, page.text
    return found[1]


async def begin(device: Device, person: Person | None = None, **more: Any) -> dict[str, Any]:
    """The device begins a sign-in: by the person's invitation, or as one that is enrolled."""
    about = {"invitation": person.code} if person else {"device": device.id}
    sent = await device.post("/sign-in", {**about, **more})
    assert sent.status_code in (200, 201), sent.text
    asked: dict[str, Any] = sent.json()
    return asked


async def complete(device: Device, asked: dict[str, Any], what: str) -> httpx2.Response:
    """The device shows what the browser was handed."""
    return await device.post(f"/sign-in/{asked['id']}/complete", {"completion": what})


async def signed_in(device: Device, person: Person | None, account: Account = MARIA) -> None:
    """A whole sign-in by which a person's device may enrol, or one that is renewed."""
    asked = await begin(device, person)
    page = await Browser().sign_in(asked["url"], account)
    done = await complete(device, asked, completion(page))
    assert done.status_code == 201, done.text


async def enrolled(world: World, recipient: Recipient) -> tuple[Person, Device]:
    """A person with a device, by a sign-in, a code and a second person."""
    person, device = await name(recipient), Device(world)
    await signed_in(device, person)
    await person.enrol(device)
    sent = await confirm(recipient, device)
    assert sent.status_code == 201, sent.text
    return person, device


async def confirm(recipient: Recipient, device: Device, **by: str) -> httpx2.Response:
    """The admin confirms a device; `by` says who that is."""
    found = await recipient.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
    seen = found.json()
    parent = recipient.world.register.links[seen["parent"]]
    personal = {**(by or {"name": "Noor"}), "salt": os.urandom(16).hex()}
    commitment = commit_person(personal)
    link = recipient.below(
        "device", parent, subject=device.id, key=seen["key"], personal=commitment
    )
    return await recipient.grant(link, personal)
