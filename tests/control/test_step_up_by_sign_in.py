"""Who has to sign in again because of a finding is let in once they did, at the employer's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailment.access.reasons import Reason
from bailment.ledger.detection_records import StepUpAsked
from bailment.ledger.records import TokenIssued

from ..employer import employer, enrolled, register, signed_in
from ..world import refused, world
from .test_worker_findings import hand_in

pytestmark = pytest.mark.anyio

HOSTS = '\n[outbound]\nhosts = ["127.0.0.1"]\n'


async def test_a_sign_in_at_the_employers_ends_it(tmp_path: Path) -> None:
    async with (
        world(tmp_path, more=HOSTS) as lab,
        employer(lambda: lab.clock.now() / 1000) as provider,
    ):
        recipient = await lab.recipient()
        assert (await register(recipient, provider)).status_code == 201
        (_, device), since = await enrolled(lab, recipient), lab.size
        await device.renew()
        assert (await device.ask()).status_code == 200
        (token,) = [at for at, _, one in lab.news if at >= since and isinstance(one, TokenIssued)]
        lab.clock.ahead += 5_000  # the sign-in by which it enrolled was before
        assert (await hand_in(lab, f"device:{device.id}", token)).response == "step-up"
        await lab.until(lambda: lab.of(StepUpAsked, since))
        assert refused(await device.ask()) == (403, Reason.SIGN_IN_TOO_OLD)
        await signed_in(device, None)
        assert not lab.register.state.step_ups
        await device.renew()
        assert (await device.ask()).status_code == 200
