"""Sign-ins at an identity provider that we did not write: npm `oidc-provider`."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest

from bailment.access.signing_in import Registration, registration_body
from bailment.drills.stage import free_port
from bailment.ledger.identity_records import PersonSignedIn

from ..employer import Browser, begin, complete, completion, name
from ..world import PATIENCE, Device, Recipient, World, world
from .test_sign_in import HOSTS

CLIENTS = Path(__file__).parents[1] / "clients"
INSTALLED = CLIENTS / "node_modules" / "oidc-provider"
#: The one that is installed beside it, for a system's own may be too old.
NODE = CLIENTS / "node_modules" / "node" / "bin" / "node"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.journey,
    pytest.mark.skipif(
        not (NODE.exists() and INSTALLED.exists()),
        reason="no `npm install` in tests/clients: no independent provider",
    ),
]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, more=HOSTS) as made:
        yield made


@asynccontextmanager
async def served(client: dict[str, Any]) -> AsyncIterator[str]:
    """The provider, knowing this client; its issuer."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(CLIENTS / "provider.mjs"),
        str(port),
        json.dumps({"clients": [client]}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin and process.stdout
    try:
        while line := await asyncio.wait_for(process.stdout.readline(), PATIENCE):
            if b"serving" in line:
                break
        assert line, "the provider did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        await process.communicate()


async def set_up(lab: World, recipient: Recipient, auth: str) -> dict[str, Any]:
    """What the provider is told of us, as its administrator would be."""
    callback = f"{lab.url}/sign-in/callback/{recipient.id}"
    told: dict[str, Any] = {
        "client_id": "bailment",
        "redirect_uris": [callback],
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": auth,
        "id_token_signed_response_alg": "RS256",
    }
    if auth == "private_key_jwt":
        told["jwks"] = (await lab.http.get(f"{lab.url}/sign-in/jwks.json")).json()
        told["token_endpoint_auth_signing_alg"] = "ES256"
    if auth == "client_secret_basic":
        told["client_secret"] = "a secret of % and : and +"
        kept = await recipient.admin.send(
            "POST", "/providers/secret", told["client_secret"].encode()
        )
        assert kept.status_code == 200
    return told


async def sign_in(browser: Browser, url: str, account: str) -> httpx2.Response:
    """Click through the provider's pages until it sends the browser back to us; our answer."""
    page = await browser.leave(url)
    for _ in range(12):
        if page.status_code in (302, 303):
            onward = urljoin(str(page.url), page.headers["location"])
            page = await browser.http.get(onward)
            if "/sign-in/callback/" in onward:
                return page
            continue
        assert page.status_code == 200, page.text
        action = re.search(r'<form[^>]+action="([^"]+)"', page.text)
        prompt = re.search(r'name="prompt" value="([^"]+)"', page.text)
        assert action and prompt, page.text
        data = {"prompt": prompt[1], "login": account, "password": "any"}
        page = await browser.http.post(urljoin(str(page.url), unescape(action[1])), data=data)
    raise AssertionError("the provider's pages lead nowhere")


@pytest.mark.parametrize("claim", ["email", "sub"])
@pytest.mark.parametrize("auth", ["none", "private_key_jwt", "client_secret_basic"])
async def test_a_person_signs_in_at_an_independent_provider(
    lab: World, auth: str, claim: str
) -> None:
    recipient = await lab.recipient()
    async with served(await set_up(lab, recipient, auth)) as issuer:
        said = Registration(recipient.id, issuer, "bailment", claim, auth)  # type: ignore[arg-type]
        sent = await recipient.admin.send("POST", "/providers", registration_body(said))
        assert sent.status_code == 201, sent.text
        person = await name(recipient, account="maria")
        device, since = Device(lab), lab.size
        asked = await begin(device, person)
        page = await sign_in(Browser(), asked["url"], "maria")
        assert page.status_code == 200, page.text
        done = await complete(device, asked, completion(page))
        assert done.status_code == 201, done.text
        await person.enrol(device)
        (found,) = lab.of(PersonSignedIn, since)
        assert (found.issuer, found.person) == (issuer, person.id)
        # And somebody else does not.
        other = await name(recipient, account="maria")
        asked = await begin(Device(lab), other)
        page = await sign_in(Browser(), asked["url"], "noor")
        assert page.status_code == 403
        assert "not the one that your admin named" in page.text
