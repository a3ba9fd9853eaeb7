"""The pictures in docs/operators.md, made anew: `make pictures`, or python -m tests.screenshots."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from unittest.mock import patch

from bailment.ledger.detection_records import FindingRaised

from .browser import Page, browser
from .control.people import apply_spec
from .world import World, world

IMAGES = Path(__file__).parents[1] / "docs" / "images"


async def arrive(page: Page, url: str) -> None:
    """Follow an invitation: make a passkey, and sign in with it."""
    await page.open(url)
    await page.click("#register")
    await page.at("/console/sign-in")
    await page.click("#sign-in")
    await page.at("/console/")


async def furnish(lab: World) -> None:
    """Recipients with people and devices, a hold and a finding."""
    for names in (("Maria Lopez", "Jun Sato"), ("Ada Obi",), ("Priya Nair", "Tom Berg")):
        recipient = await lab.recipient()
        for name in names:
            await (await recipient.person(name)).device()
    held = next(link for link in lab.register.links.values() if link.kind == "person")
    await lab.hold(f"person:{held.subject}")
    sentence = "maria's device called from a network that nobody declared, 14 times in 5 minutes"
    now = lab.clock.now()
    finding = FindingRaised("0" * 32, "off-network", sentence, now - 300_000, now)
    await lab.issuer.actions.append(lambda now: finding)


async def main() -> None:
    local = property(lambda lab: f"http://localhost:{lab.port}")
    with tempfile.TemporaryDirectory() as folder, patch.object(World, "url", local):
        root = Path(folder)
        async with world(root) as lab, browser(root / "profile") as chrome:
            await furnish(lab)
            eve, sam = await chrome.page(), await chrome.page(dark=True)
            for page, role, name in (
                (eve, "issuer-security", "Eve"),
                (sam, "issuer-approver", "Sam"),
            ):
                done = await lab.act("operator-invite", called=name, role=role)
                await arrive(page, done["url"])
            await apply_spec(lab, "hold-everything", "lift-everything", "operator-change")
            await eve.open(f"{lab.url}/console/holds/new")
            await eve.fill(subject="everything", reason="the model leaked")
            await eve.click("form.fields button")
            await eve.until("document.querySelector('button.danger') !== null")
            pictures = {"hold": await eve.picture()}
            await eve.click("button.danger")
            await eve.click("#sign")
            await eve.until("document.body.innerText.includes('1 person must still sign')")
            await eve.open(f"{lab.url}/console/")
            pictures["overview"] = await eve.picture()
            await sam.open(f"{lab.url}/console/acts")
            await sam.click("td a")
            await sam.until("document.querySelector('#sign') !== null")
            pictures["sign"] = await sam.picture()
    IMAGES.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (IMAGES / f"{name}.png").write_bytes(picture)


if __name__ == "__main__":
    asyncio.run(main())
