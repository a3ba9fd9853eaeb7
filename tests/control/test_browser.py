"""A journey in a real browser: two people register passkeys, and between them stop everything."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from ..browser import browser, chromium
from ..screenshots import arrive
from ..world import World, world
from .people import apply_spec

pytestmark = [pytest.mark.anyio, pytest.mark.journey]


async def test_two_people_with_passkeys_put_everything_on_hold(tmp_path: Path) -> None:
    chromium()
    # A passkey is for a host with a name.
    local = property(lambda lab: f"http://localhost:{lab.port}")
    with patch.object(World, "url", local):
        async with world(tmp_path) as lab, browser(tmp_path / "profile") as chrome:
            await (await (await lab.recipient()).person("Maria")).device()
            eve, sam = await chrome.page(), await chrome.page()
            for page, role in ((eve, "issuer-security"), (sam, "issuer-approver")):
                done = await lab.act("operator-invite", called=role, role=role)
                await arrive(page, done["url"])
            await apply_spec(lab, "hold-everything", "lift-everything")

            await eve.open(f"{lab.url}/console/holds/new")
            await eve.fill(subject="everything", reason="the model leaked")
            await eve.click("form.fields button")
            await eve.until("document.querySelector('button.danger') !== null")
            assert "Maria" in await eve.text()
            await eve.click("button.danger")
            await eve.click("#sign")
            await eve.until("document.body.innerText.includes('1 person must still sign')")
            assert not lab.register.holds_on.get("everything")

            await sam.open(f"{lab.url}/console/acts")
            await sam.click("td a")
            await sam.click("#sign")
            await sam.until("document.querySelector('h1').innerText === 'Done'")
            (hold,) = lab.register.holds_on["everything"]
            assert hold.reason == "the model leaked"

            await sam.open(f"{lab.url}/console/holds")
            assert "everything" in await sam.text()
            await sam.click(".who button")
            await sam.at("/console/sign-in")
            await sam.open(f"{lab.url}/console/")
            await sam.at("/console/sign-in")
