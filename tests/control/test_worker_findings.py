"""A finding that the worker hands in cuts off only whom the entries that it cites are about."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailment import canonical
from bailment.control.findings import KINDS
from bailment.detect.engine import Engine
from bailment.detect.event import Event, Finding
from bailment.detect.grouping import Recorded
from bailment.ledger.detection_records import FindingGrouped, FindingRaised, StepUpAsked
from bailment.ledger.records import AccessClosed, AccessOpened, AccessRefused, HoldAdded
from bailment.spec.detection import DetectionTerms, RuleTerms

from ..world import Device, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


async def opened(lab: World, device: Device) -> int:
    """An access of a device's; its entry."""
    since = lab.size
    assert (await device.ask()).status_code == 200
    await lab.until(lambda: lab.of(AccessClosed, since))
    return next(at for at, _, one in lab.news if at >= since and isinstance(one, AccessOpened))


async def hand_in(lab: World, subject: str, *records: int, **more: Any) -> FindingRaised:
    now, since = lab.clock.now(), lab.size
    facts = {"finding": secrets.token_hex(16), "kind": "relay", "sentence": "seen", "since": now}
    facts |= {"until": now, "subject": subject, "records": list(records)}
    await lab.act("finding-raise", type="finding.raised", facts=facts | more)
    await lab.settle()
    (found,) = [one for one in lab.of(FindingRaised, since) if one.finding == facts["finding"]]
    return found


async def test_a_forged_finding_about_anothers_device_cuts_off_nobody(lab: World) -> None:
    mine, other = await lab.device(), await lab.device()
    entry, since = await opened(lab, mine), lab.size
    person = lab.register.path(lab.register.link_of[other.id])[1].subject
    for subject in (f"device:{other.id}", f"person:{person}"):
        found = await hand_in(lab, subject, entry, 0)
        assert found.response == "person"
        assert f"no access or token that it cites is one of `{subject}`" in found.sentence
    assert not lab.of(StepUpAsked, since) and not lab.of(HoldAdded, since)
    assert (await other.ask()).status_code == 200


async def test_a_finding_without_entries_or_that_cites_what_strangers_do_cuts_off_nobody(
    lab: World,
) -> None:
    device, since = await lab.device(), lab.size
    headers = {"authorization": f"Bearer {device.token}"}
    assert (await lab.http.get(f"{lab.url}/v1/models", headers=headers)).status_code == 401
    await lab.until(lambda: lab.of(AccessRefused, since))
    (refused,) = [at for at, _, one in lab.news if at >= since and isinstance(one, AccessRefused)]
    for records in ((), (refused,)):
        assert (await hand_in(lab, f"device:{device.id}", *records)).response == "person"


async def test_whom_the_entries_are_about_is_asked_however_long_ago_it_was(lab: World) -> None:
    device, other = await lab.device(), await lab.device()
    entries = [await opened(lab, one) for one in (device, other)]
    # The token is not remembered any more: the key in the proof says whose access it was.
    lab.issuer.log.fold.admission.counted.tokens.clear()
    since = lab.size
    found = await hand_in(lab, f"device:{device.id}", *entries)
    assert (found.response, found.sentence) == ("step-up", "seen")
    await lab.until(lambda: lab.of(StepUpAsked, since))
    assert (await hand_in(lab, f"device:{other.id}", entries[0])).response == "person"


async def test_what_only_tells_is_not_looked_up(lab: World) -> None:
    assert "many-credentials" in KINDS
    found = await hand_in(lab, "device:" + "0" * 32, kind="many-credentials")
    assert (found.response, found.sentence) == ("person", "seen")


async def test_a_finding_cites_no_more_than_findings_do(lab: World) -> None:
    facts = {"finding": "0" * 32, "kind": "relay", "sentence": "seen", "since": 1, "until": 1}
    body = {"act": "finding-raise", "author": "worker", "type": "finding.raised"}
    told = body | {"facts": facts | {"records": [0] * 33}}
    sent = await lab.console.post("http://console/act", json=told)
    assert sent.status_code == 400 and "at most 32" in sent.text


class _Flood:
    """Finds something of somebody else in each event."""

    KIND = "many-credentials"

    def begin(self, terms: RuleTerms) -> None:
        return None

    def step(
        self, state: None, event: Event, now: int, terms: RuleTerms
    ) -> tuple[None, list[Finding]]:
        subject = f"person:{event.person}"
        return None, [Finding(self.KIND, subject, "seen", event.time, event.time, (0,))]


async def test_of_a_flood_the_log_has_a_few_records_that_add_up(lab: World) -> None:
    many, start, since = 100_000, 60_000 * 1_000_000, lab.size
    engine = Engine([_Flood()], DetectionTerms())
    found: list[Recorded] = []
    for at in range(many):
        found += engine.take(Event(at, start + at * 59_000 // many, "opened", person=str(at)))
    found += engine.end()
    for one in found:
        facts = json.loads(canonical.encode(one))
        # Once more, as when the answer was lost, is no second one.
        for _ in range(2):
            await lab.act("finding-raise", type=one.TYPE, facts=facts)
    raised = [one for one in lab.of(FindingRaised, since) if one.kind == _Flood.KIND]
    counted = [one for one in lab.of(FindingGrouped, since) if one.kind == _Flood.KIND]
    assert len(raised) == DetectionTerms().per_minute and len(found) < 100
    assert len(raised) + sum(one.count for one in counted) == many
    assert [one.kind for one in lab.of(FindingRaised, since)].count("findings-flood") == 1
