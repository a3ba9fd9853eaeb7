"""Operators who sign in at the issuer's own identity provider: they may look, and sign nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest

from bailment.control import oidc, page_provider
from bailment.drills.employer import Account, Client, Directory
from bailment.ledger.operator_records import OperatorInvited, OperatorSignedIn

from ..employer import Stage, employer
from ..world import World, world
from .people import Human, apply_spec, browser, operator

pytestmark = pytest.mark.anyio

EVE = Account("eve-at-the-lab", "eve@lab.example")
MALLORY = Account("mallory-at-the-lab", "mallory@lab.example")


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


class Lab:
    """An issuer with a provider, and an operator who has an account there."""

    world: World
    provider: Stage
    eve: Human


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    found = Lab()
    async with employer(lambda: found.world.clock.now() / 1000) as provider:
        more = (
            '\n[outbound]\nhosts = ["127.0.0.1"]\n'
            f'[operators]\nissuer = "{provider.issuer}"\nclient = "bailment"\nauth = "none"\n'
        )
        async with world(tmp_path_factory.mktemp("lab"), more=more) as made:
            found.world, found.provider = made, provider
            callback = Client((f"{made.url}/console/sign-in/callback",))
            provider.set_up = Directory({"bailment": callback}, (EVE, MALLORY))
            found.eve = await operator(made, "issuer-security", "Eve", account=EVE.sub)
            yield found
            await found.eve.http.aclose()


async def leave(lab: Lab, http: httpx2.AsyncClient) -> str:
    """Off to the provider: its address."""
    page = await http.get(f"{lab.world.url}/console/sign-in")
    assert "/console/sign-in/provider" in page.text
    sent = await http.get(f"{lab.world.url}/console/sign-in/provider")
    assert sent.status_code == 303
    location: str = sent.headers["location"]
    return location


async def pick(http: httpx2.AsyncClient, url: str, account: Account) -> str:
    """Sign in at the provider: where it sends the browser back to."""
    form = await http.get(url)
    asked = re.search(r'name="asked" value="([^"]+)"', form.text)
    assert asked is not None
    data = {"asked": asked[1], "sub": account.sub}
    sent = await http.post(urljoin(url, "/pick"), data=data)
    location: str = sent.headers["location"]
    return location


async def test_who_has_the_account_may_look_and_not_sign(lab: Lab) -> None:
    since = lab.world.size
    async with browser() as http:
        page = await http.get(await pick(http, await leave(lab, http), EVE))
        assert "You are signed in" in page.text, page.text
        assert (await http.get(f"{lab.world.url}/console/")).status_code == 200
        (told,) = lab.world.of(OperatorSignedIn, since)
        assert told == OperatorSignedIn(lab.eve.id)
        act = await lab.eve.propose_hold("everything")
        headers = {"origin": lab.world.url}
        path = f"{lab.world.url}/console/acts/{act}"
        asked = await http.post(f"{path}/challenge", headers=headers)
        assert asked.json()["allowCredentials"][0]["id"]
        empty = {"clientDataJSON": "", "authenticatorData": "", "signature": ""}
        shown = {"credential": {"id": "", "response": empty}}
        sent = await http.post(f"{path}/sign", json=shown, headers=headers)
        assert sent.json()["reason"] == "passkey-refused"


async def test_an_account_that_is_no_operator_s_is_refused(lab: Lab) -> None:
    async with browser() as http:
        page = await http.get(await pick(http, await leave(lab, http), MALLORY))
        assert (page.status_code, "no operator has this account" in page.text) == (403, True)
        assert (await http.get(f"{lab.world.url}/console/")).status_code == 303


async def test_who_is_lured_into_another_s_sign_in_is_not_signed_in(lab: Lab) -> None:
    """Login cross-site request forgery: the answer belongs to the browser that left."""
    async with browser() as attacker, browser() as victim:
        back = await pick(attacker, await leave(lab, attacker), EVE)
        assert (await victim.get(back)).status_code == 403
        assert (await attacker.get(back)).status_code == 403, "a state is good once"


async def test_an_answer_by_another_provider_is_refused(lab: Lab) -> None:
    async with browser() as http:
        back = await pick(http, await leave(lab, http), EVE)
        forged = re.sub(r"iss=[^&]+", "iss=https%3A%2F%2Fevil.example", back)
        page = await http.get(forged)
        assert "another provider answers" in page.text


async def test_an_answer_that_says_something_twice_is_refused(lab: Lab) -> None:
    async with browser() as http:
        back = await pick(http, await leave(lab, http), EVE)
        assert (await http.get(f"{back}&code=another")).status_code == 403
        assert "You are signed in" in (await http.get(back)).text


async def test_the_provider_is_called_for_only_so_many_at_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, told, discover = asyncio.Semaphore(0), asyncio.Event(), oidc.discover

    async def slowly(*whose: Any) -> Any:
        asked.release()
        await told.wait()
        return await discover(*whose)

    monkeypatch.setattr(oidc, "discover", slowly)
    monkeypatch.setattr(page_provider, "_AWAY_MS", 0)  # whoever left before is forgotten
    monkeypatch.setattr(page_provider, "_MOST", 2)
    url = f"{lab.world.url}/console/sign-in/provider"
    async with browser() as http:
        leaving = [asyncio.create_task(http.get(url)) for _ in range(2)]
        for _ in leaving:
            await asked.acquire()
        assert (await http.get(url)).status_code == 403
        told.set()
        assert [(await one).status_code for one in leaving] == [303, 303]
        assert (await http.get(url)).status_code == 303


async def test_who_never_comes_back_keeps_nobody_out(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_provider, "_MOST", 2)
    async with browser() as idle, browser() as http:
        first = await pick(idle, await leave(lab, idle), EVE)
        back = [await pick(http, await leave(lab, http), EVE) for _ in range(2)][-1]
        assert "was not begun here" in (await idle.get(first)).text
        assert "You are signed in" in (await http.get(back)).text


async def test_the_provider_is_asked_with_pkce_nonce_and_state(lab: Lab) -> None:
    async with browser() as http:
        query = parse_qs(urlsplit(await leave(lab, http)).query)
        assert query["code_challenge_method"] == ["S256"]
        assert {"state", "nonce", "code_challenge"} <= query.keys()
        cookie = http.cookies["bailment-away"]
        assert cookie not in str(query)


async def test_the_log_does_not_say_the_account(lab: Lab) -> None:
    (told,) = lab.world.of(OperatorInvited)
    assert re.fullmatch(r"[0-9a-f]{64}", told.claim)
    assert EVE.sub not in str(told)


async def test_who_is_ended_is_not_signed_in(lab: Lab) -> None:
    await apply_spec(lab.world)
    gone = await operator(lab.world, "auditor", "Mallory", account=MALLORY.sub)
    await lab.world.act("operator-end", operator=gone.id, reason="left")
    async with browser() as http:
        page = await http.get(await pick(http, await leave(lab, http), MALLORY))
        assert page.status_code == 403
    await gone.http.aclose()
