"""The agent's side of a sign-in, against the issuer that `bailment serve` runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from bailment.agent import profile
from bailment.agent.admin import Admin, make_admin_key
from bailment.agent.answers import GatewayRefused
from bailment.agent.client import GatewayClient, enrol, wait_until_active
from bailment.agent.sign_in import Asked, sign_in
from bailment.drills.browser import sign_in as browse
from bailment.drills.employer import Client, Directory
from bailment.errors import VerificationError
from bailment.ledger.identity_records import PersonSignedIn, ProviderRegistered

from ..employer import MARIA, NOOR, Browser, Stage, completion, employer
from ..world import DAY, PURPOSE, World, world
from .test_sign_in import HOSTS

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), more=HOSTS) as made:
        yield made


@pytest.fixture
async def provider(lab: World) -> AsyncIterator[Stage]:
    async with employer(lambda: lab.clock.now() / 1000) as made:
        yield made


@pytest.fixture
async def admin(lab: World, provider: Stage, tmp_path: Path) -> AsyncIterator[Admin]:
    """An admin whose organisation's people sign in."""
    key = make_admin_key(tmp_path / "admin")
    await lab.act(
        "recipient-add",
        handle=f"acme-{key.thumbprint[:8].strip('-_')}",
        contact="security@acme.example",
        key=key.jwk,
        models=["smollm2"],
        purposes=[PURPOSE],
        until=lab.clock.now() + 30 * DAY,
    )
    async with Admin(tmp_path / "admin", lab.url) as asking:
        told = await asking.register_provider(provider.issuer, "bailment", "email", "none")
        known = Client((told.redirect_uri,))
        provider.set_up = Directory({"bailment": known}, (MARIA, NOOR))
        yield asking


def in_a_browser(asked: Asked, pages: list[str], email: str = MARIA.email) -> None:
    """A person opens the page, beside the agent that waits."""
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, lambda: pages.append(browse(asked.url, email)))


async def invited(admin: Admin) -> str:
    granted = await admin.sign_person_link("Maria", MARIA.email, sponsor="Noor")
    assert granted.invitation is not None
    return granted.invitation.url


def signing(pages: list[str], email: str = MARIA.email) -> object:
    async def run(client: GatewayClient, invitation: str) -> object:
        show = partial(in_a_browser, pages=pages, email=email)
        return await sign_in(client, show, invitation=invitation, poll=0.05)

    return run


async def test_a_device_enrols_by_a_sign_in_in_this_machines_browser(
    lab: World, admin: Admin, tmp_path: Path
) -> None:
    pages: list[str] = []
    folder, since = tmp_path / "device", lab.size
    pending = await enrol(await invited(admin), folder, "laptop", sign_in=signing(pages))  # type: ignore[arg-type]
    assert pages == ["You are signed in Your terminal shows what comes next."]
    seen = await admin.pending(pending.code)
    assert seen.signed_in is not None
    await admin.confirm(seen, by="Noor")
    device = await wait_until_active(folder, 0.05)
    assert device.profile.status == "active"
    # And later anew, for the same device.
    async with GatewayClient(lab.url, device.key) as client:
        show = partial(in_a_browser, pages=pages)
        done = await sign_in(client, show, device=device.profile.device, poll=0.05)
    assert done is not None
    assert (done.person, done.acr) == (device.profile.person, "phr")
    assert [facts.invitation == "" for facts in lab.of(PersonSignedIn, since)] == [False, True]


async def test_where_the_browser_is_elsewhere_the_person_types_what_it_shows(
    lab: World, admin: Admin, tmp_path: Path
) -> None:
    pages: list[str] = []

    async def run(client: GatewayClient, invitation: str) -> object:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()

        def show(asked: Asked) -> None:
            async def person() -> None:
                page = await Browser().sign_in(asked.url)
                pages.append(page.text)
                ready.set_result(completion(page))

            person.task = asyncio.ensure_future(person())  # type: ignore[attr-defined]

        def typed() -> str:
            waiting = asyncio.run_coroutine_threadsafe(asyncio.wait_for(ready, 60), loop)
            return f" {waiting.result().lower()}\n"

        return await sign_in(client, show, typed, invitation=invitation, poll=0.05)

    await enrol(await invited(admin), tmp_path / "device", "laptop", sign_in=run)
    assert "You are signed in" in pages[0]


async def test_somebody_else_in_the_browser_ends_the_waiting_and_is_said(
    lab: World, admin: Admin, tmp_path: Path
) -> None:
    pages: list[str] = []
    folder, since = tmp_path / "device", lab.size
    with pytest.raises(GatewayRefused, match="not the one that your admin named") as caught:
        await enrol(await invited(admin), folder, "laptop", sign_in=signing(pages, NOOR.email))  # type: ignore[arg-type]
    assert "sign out" in caught.value.hint
    assert lab.of(PersonSignedIn, since) == []
    assert not (folder / profile.PROFILE).exists()


async def test_a_gateway_that_would_have_one_sign_in_for_another_device_is_found_out(
    lab: World, admin: Admin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Asked("x", f"{lab.url}/sign-in/x", "login", "ABCD-EFGH", 0)

    async def post(self: object, path: str, body: object, kind: object) -> object:
        return wrong

    monkeypatch.setattr(GatewayClient, "post", post)
    shown: list[Asked] = []
    url = f"{lab.url}/enrol#x"
    with pytest.raises(VerificationError, match="for another device"):
        await enrol(
            url,
            tmp_path / "device",
            "laptop",
            sign_in=lambda client, code: sign_in(client, shown.append, invitation=code),
        )
    assert shown == []


async def test_the_devices_listener_takes_nothing_but_what_it_waits_for(
    lab: World, admin: Admin, tmp_path: Path
) -> None:
    """Another page in the same browser can reach its port, and does not know its path."""
    answered: list[int] = []

    async def run(client: GatewayClient, invitation: str) -> object:
        posted: list[str] = []
        send = client.post

        async def noted(path: str, body: dict[str, str], kind: type) -> object:
            posted.append(body.get("back", ""))
            return await send(path, body, kind)

        client.post = noted  # type: ignore[assignment, method-assign]

        def person(asked: Asked) -> None:
            base = posted[0].rpartition("/")[0]
            for path in ("/", "/?completion=AAAAAAAA", "/x?completion=AAAAAAAA"):
                answered.append(httpx2.get(base + path, trust_env=False).status_code)
            browse(asked.url, MARIA.email)

        def show(asked: Asked) -> None:
            asyncio.get_running_loop().run_in_executor(None, person, asked)

        return await sign_in(client, show, invitation=invitation, poll=0.05)

    await enrol(await invited(admin), tmp_path / "device", "laptop", sign_in=run)
    assert answered == [404, 404, 404]


async def test_the_admin_ends_a_provider(lab: World, admin: Admin) -> None:
    since = lab.size
    await admin.register_provider("", "", "email", "none")
    (facts,) = lab.of(ProviderRegistered, since)
    assert facts.issuer == ""
