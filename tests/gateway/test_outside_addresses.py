"""From addresses that are announced somewhere, as a proxy of ours hands them on: who uses a
credential from elsewhere and by another client is held."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import UNSET

from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.records import AccessOpened, HoldAdded

from ..world import Device, World, refused, world

pytestmark = pytest.mark.anyio

#: A network of a university in Germany, and two in the United States that rent out machines.
HOME, AWAY, ELSEWHERE = "141.84.44.1", "3.80.10.1", "20.40.10.1"
OWN, OTHER = "OpenAI/Python 2.1.0", "curl/8.5.0"
HOURS = 3_600_000


async def use(lab: World, device: Device, address: str, client: str) -> None:
    """Ask from an address, by a client, some hours later than before."""
    lab.clock.ahead += 2 * HOURS
    await device.renew()
    headers = {"x-forwarded-for": f"10.0.0.1, {address}", "user-agent": client}
    assert (await device.ask(headers=headers)).status_code == 200
    await lab.settle()


async def test_a_new_network_with_a_new_client_is_held_and_either_alone_is_not(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, listen='proxies = ["127.0.0.1/32"]') as lab:
        device, since = await lab.device(), lab.size
        for _ in range(6):  # it is young no more
            await use(lab, device, HOME, OWN)
        await use(lab, device, AWAY, OWN)
        await use(lab, device, HOME, OTHER)
        assert not lab.of(HoldAdded, since)
        await use(lab, device, ELSEWHERE, "node/22.1")
        await lab.until(lambda: lab.of(HoldAdded, since))
        (hold,) = lab.of(HoldAdded, since)
        found = lab.of(FindingRaised, since)
        assert [one.kind for one in found if one.finding in hold.reason] == [
            "new-network-and-client"
        ]
        assert hold.subject == f"device:{device.id}"
        assert refused(await device.ask()) == (403, "held")
        places = [
            (one.context.asn, one.context.country, one.context.address)
            for one in lab.of(AccessOpened, since)
            if one.context is not UNSET
        ]
        assert (places[0], places[-1]) == ((12816, "DE", ""), (8075, "US", "hosting"))
