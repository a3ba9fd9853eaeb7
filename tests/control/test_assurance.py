"""Assurance as it is served: spec, enclave, evidence and what standing follows, each a record."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from bailment import canonical
from bailment.access import jws
from bailment.access.approval import EXCEPTION, TIER, sign_approval
from bailment.access.planning import draw
from bailment.assurance.capability import decide, propose
from bailment.assurance.reasons import EvidenceRefused as Refusal
from bailment.cli.serve import opened
from bailment.control.assurance import Assurance, Handed
from bailment.ledger.evidence_records import (
    EvidenceReceived,
    EvidenceRefused,
    StandingEvaluated,
    StandingNoticed,
)
from bailment.ledger.records import SpecApplied
from bailment.spec.validation import load

from ..access.small_spec import HOUR, SPEC
from ..assurance.reports import data, roster, scubagear, user
from ..world import Key, Person, Recipient, World, refused, world

pytestmark = pytest.mark.anyio

#: The scanner's check in place of the little spec's own name for it, and expiry felt at once.
TEXT = SPEC.replace(b"check: MFA", b"check: MS.AAD.3.1v1")
LONE = TEXT.replace(b"mass_change_hold: 20%", b"mass_change_hold: 100%")


class Lab:
    """A served issuer with the small spec in force, and two people who approve."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.approvers = {name: Key(world) for name in ("ada", "bo")}

    async def prepare(self, text: bytes = LONE) -> None:
        for name, key in self.approvers.items():
            await self.world.act("approver-add", approver=name, key=key.public.jwk)
        await self.apply(text)

    def plan(self, text: bytes) -> dict[str, Any]:
        document = msgspec.to_builtins(load(text))
        drawn = draw(self.world.register, document, self.world.issuer.log.sequencer.time)
        saved: dict[str, Any] = json.loads(canonical.encode(drawn))
        return saved

    async def apply(self, text: bytes) -> None:
        await self.world.act("spec-apply", plan=self.plan(text))

    def signed(self, kind: str, told: Any, *names: str) -> list[str]:
        keys = [self.approvers[name] for name in names]
        return [sign_approval(kind, told, key.private, key.public.thumbprint) for key in keys]

    async def tier(self, model: str, tier: Any) -> None:
        spec = self.world.register.spec
        proposal = propose(spec, (), model="")
        decision = msgspec.to_builtins(
            decide(proposal, model=model, tier=tier, reasons="a test", now=self.world.clock.now())
        )
        await self.world.act(
            "model-tier", decision=decision, approvals=self.signed(TIER, decision, "ada")
        )

    async def acme(self) -> Acme:
        recipient = await self.world.recipient()
        tenant = f"tenant-{secrets.token_hex(4)}"
        await self.world.act("enclave-declare", recipient=recipient.id, tenant=[tenant])
        return Acme(self, recipient, tenant)

    async def act(self, act: str, **members: Any) -> httpx2.Response:
        value = {"act": act, "author": "tests", **members}
        return await self.world.console.post("http://console/act", json=value)


class Acme:
    """A recipient with an enclave of one tenant."""

    def __init__(self, lab: Lab, recipient: Recipient, tenant: str) -> None:
        self.lab, self.recipient, self.tenant = lab, recipient, tenant
        self.id = recipient.id

    def roster(self, *names: str, **fields: Any) -> bytes:
        """Active accounts of these names, and one of somebody who left."""
        users = [user(str(number), name) for number, name in enumerate(names)]
        users.append(user("left", "left@acme.example", active=False))
        told = roster(*users, id=secrets.token_hex(8), scope=self.tenant, **fields)
        return data({**told, "collected": fields.get("collected", self.now)})

    def scan(self, result: str = "Pass") -> bytes:
        told = scubagear(Result=result, OriginalResult=result)
        told["MetaData"] |= {"TenantId": self.tenant, "ReportUUID": secrets.token_hex(8)}
        del told["Raw"]
        told["MetaData"]["TimestampZulu"] = _zulu(self.now)
        return data(told)

    @property
    def now(self) -> int:
        return self.lab.world.issuer.log.sequencer.time

    async def hand(self, kind: str, body: bytes, **query: str) -> httpx2.Response:
        """The issuer hands in a file about it."""
        asked = {"recipient": self.id, "kind": kind, "by": "issuer", "author": "tests", **query}
        return await self.lab.world.console.post(
            "http://console/evidence", params=asked, content=body
        )

    async def send(self, kind: str, body: bytes, key: Key | None = None) -> httpx2.Response:
        """Its admin hands in a file."""
        return await (key or self.recipient.admin).send("POST", f"/evidence/{kind}", body)

    async def pass_all(self) -> None:
        assert (await self.hand("roster", self.roster())).json()["items"]
        assert (await self.hand("scan", self.scan())).json()["tier"] == "T2"

    async def standing(self) -> dict[str, Any]:
        sent = await self.recipient.admin.send("GET", "/standing")
        assert sent.status_code == 200, sent.text
        told: dict[str, Any] = sent.json()
        return told

    @property
    def tier(self) -> int:
        tier: int = self.lab.world.register.proven(self.id).standing.tier
        return tier


def _zulu(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with world(tmp_path) as made:
        found = Lab(made)
        await found.prepare()
        yield found


def problem(sent: httpx2.Response) -> tuple[int, str]:
    assert sent.headers["content-type"] == "application/problem+json"
    return sent.status_code, sent.json()["detail"]


# The spec


async def test_a_spec_is_applied_by_its_plan_signed_by_the_issuer(lab: Lab) -> None:
    facts = lab.world.of(SpecApplied)[-1]
    signature = jws.parse(str(facts.signature))
    assert jws.verify(signature, lab.world.register.key(lab.world.register.state.issuer))
    assert canonical.decode(signature.payload) == {"digest": lab.world.register.spec.digest}
    assert lab.world.register.policy.contact == "access@lab.example"


async def test_what_is_applied_is_the_plan_that_was_read(lab: Lab) -> None:
    plan = lab.plan(LONE.replace(b"version: 1.0.0", b"version: 1.0.1"))
    await lab.world.act("spec-apply", plan=plan)
    facts = lab.world.of(SpecApplied)[-1]
    assert facts.document == plan["document"]
    assert facts.plan == hashlib.sha256(canonical.encode(plan)).hexdigest()


async def test_a_plan_made_before_another_spec_was_applied_is_stale(lab: Lab) -> None:
    plan = lab.plan(LONE.replace(b"version: 1.0.0", b"version: 1.0.1"))
    await lab.apply(LONE.replace(b"version: 1.0.0", b"version: 1.0.2"))
    status, detail = problem(await lab.act("spec-apply", plan=plan))
    assert (status, "another spec was applied since" in detail) == (403, True)


async def test_a_plan_is_stale_once_it_would_do_something_else(lab: Lab) -> None:
    acme = await lab.acme()
    await acme.pass_all()
    lenient = LONE.replace(b"version: 1.0.0", b"version: 1.0.1")
    strict = lenient.replace(b"max_age: PT2H", b"max_age: PT1H")
    harmless, plan = lab.plan(lenient), lab.plan(strict)
    assert [effect["recipient"] for effect in plan["effects"]] == [acme.id]
    assert (await acme.hand("scan", acme.scan("Fail"))).status_code == 201
    status, detail = problem(await lab.act("spec-apply", plan=plan))
    assert (status, "evidence or exceptions came since" in detail) == (403, True)
    await lab.world.act("spec-apply", plan=harmless)
    assert lab.world.register.spec.version == "1.0.1"


async def test_a_forged_plan_says_what_would_happen_or_is_refused(lab: Lab) -> None:
    acme = await lab.acme()
    await acme.pass_all()
    plan = lab.plan(LONE.replace(b"max_age: PT2H", b"max_age: PT1H"))
    plan["effects"] = []
    status, _ = problem(await lab.act("spec-apply", plan=plan))
    assert status == 403


async def test_applying_a_spec_evaluates_everybody_under_it(lab: Lab) -> None:
    one, other = await lab.acme(), await lab.acme()
    since = lab.world.size
    await lab.apply(LONE.replace(b"version: 1.0.0", b"version: 1.0.1"))
    evaluated = [facts.recipient for facts in lab.world.of(StandingEvaluated, since)]
    assert sorted(evaluated) == sorted((one.id, other.id))


# Evidence and what follows


async def test_evidence_brings_standing_and_standing_brings_access(lab: Lab) -> None:
    acme = await lab.acme()
    await lab.tier("smollm2", "T2")
    device = await (await acme.recipient.person()).enrol()
    await acme.recipient.confirm(device)
    await device.renew()
    assert refused(await device.ask()) == (403, "standing-too-low")
    await acme.hand("roster", acme.roster("maria@acme.example"))
    answered = await acme.hand("scan", acme.scan())
    assert answered.json()["tier"] == "T2"
    await device.renew()
    assert (await device.ask()).status_code == 200


async def test_the_people_of_a_roster_are_matched_by_what_their_admin_signed(lab: Lab) -> None:
    acme = await lab.acme()
    maria: Person = await acme.recipient.person()
    sent = await acme.hand("roster", acme.roster("maria@acme.example", "x@acme.example"))
    assert sent.json()["items"][0]["claims"]["unmatched_accounts"] == 1
    item = lab.world.of(EvidenceReceived)[-1].item
    assert item["people"] == [maria.id]
    assert "maria@" not in json.dumps(item)


async def test_evidence_that_is_none_is_refused_on_the_record(lab: Lab) -> None:
    acme, other = await lab.acme(), await lab.acme()
    since = lab.world.size
    body = other.scan()
    sent = await acme.hand("scan", body)
    assert (sent.status_code, sent.json()["reason"]) == (422, "evidence-scope")
    (facts,) = lab.world.of(EvidenceRefused, since)
    digest = hashlib.sha256(body).hexdigest()
    assert (facts.recipient, facts.digest, facts.reason) == (acme.id, digest, "evidence-scope")
    for body, reason in ((b"{", "evidence-truncated"), (b"\xff\xfe", "evidence-malformed")):
        assert (await acme.hand("scan", body)).json()["reason"] == reason
    scan = acme.scan()
    assert (await acme.hand("scan", scan)).status_code == 201
    assert (await acme.hand("scan", scan)).json()["reason"] == "evidence-reused"
    assert lab.world.of(StandingEvaluated, since)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"kind": "nothing"}, "the spec has no evidence `nothing`"),
        ({"recipient": "0" * 32}, "there is no such recipient"),
        ({"by": "peer"}, "a peer is another recipient"),
        ({"by": "nobody"}, "Invalid enum value 'nobody' - at `$.by`"),
    ],
)
async def test_what_is_handed_in_as_nothing_is_refused(
    lab: Lab, query: dict[str, str], why: str
) -> None:
    acme = await lab.acme()
    given = {"kind": "scan", **query}
    kind = given.pop("kind")
    assert why in problem(await acme.hand(kind, acme.scan(), **given))[1]


async def test_without_an_enclave_nothing_can_be_about_a_recipient(lab: Lab) -> None:
    recipient = await lab.world.recipient()
    sent = await Acme(lab, recipient, "tenant-x").hand("scan", b"{}")
    assert "no tenant is declared as the recipient's" in problem(sent)[1]


async def test_an_enclave_is_nobody_elses(lab: Lab) -> None:
    acme, other = await lab.acme(), await lab.acme()
    sent = await lab.act("enclave-declare", recipient=other.id, tenant=[acme.tenant])
    assert "is another recipient's" in problem(sent)[1]


async def test_ids_of_an_enclave_are_compared_as_reports_have_them(lab: Lab) -> None:
    acme = await lab.acme()
    acme.tenant = "0F2B5A6E-1C3D-4E5F-8A9B-0C1D2E3F4A5B"
    await lab.world.act("enclave-declare", recipient=acme.id, tenant=[acme.tenant])
    assert (await acme.hand("scan", acme.scan())).status_code == 201


# What recipients do themselves


async def test_what_a_recipient_hands_in_is_its_own_word(lab: Lab) -> None:
    acme = await lab.acme()
    sent = await acme.send("scan", acme.scan())
    assert sent.status_code == 201, sent.text
    (shown,) = sent.json()["items"]
    assert shown["independence"] == "self-tool"
    item = lab.world.of(EvidenceReceived)[-1]
    assert (item.item["collector"], item.author) == (acme.id, f"recipient:{acme.id}")
    told = await acme.standing()
    assert [one["independence"] for one in told["evidence"]] == ["self-tool"]
    assert told["tier"] is None
    assert told["lacking"]["T2"][0] == {
        "requirement": "ID-1",
        "title": "Nobody unknown",
        "status": "missing",
    }


async def test_nobody_but_the_recipients_admin_hands_in_or_reads(lab: Lab) -> None:
    acme, since = await lab.acme(), lab.world.size
    stranger = Key(lab.world)
    assert (await acme.send("scan", acme.scan(), stranger)).status_code == 401
    assert (await stranger.send("GET", "/standing")).status_code == 401
    assert lab.world.size == since


# Time


async def test_what_expires_is_noticed_and_evaluated_when_it_is_due(lab: Lab) -> None:
    acme = await lab.acme()
    await acme.pass_all()
    since = lab.world.size
    lab.world.clock.ahead = HOUR + 60_000  # an hour before the scan is too old
    await lab.world.hold("everything")  # any record wakes it
    await lab.world.until(lambda: lab.world.of(StandingNoticed, since))
    noticed = lab.world.of(StandingNoticed, since)
    assert [(one.recipient, one.tier, one.contact) for one in noticed] == [
        (acme.id, 1, "security@acme.example")
    ]
    assert lab.world.of(StandingEvaluated, since) == []
    lab.world.clock.ahead = 2 * HOUR + 60_000
    await lab.world.hold("model:smollm2")
    await lab.world.until(lambda: lab.world.of(StandingEvaluated, since))
    told = await acme.standing()
    assert (told["tier"], told["phase"]) == ("T2", "grace")
    assert told["ahead"][0]["tier"] == 1


async def test_after_a_restart_nobody_is_told_twice(lab: Lab) -> None:
    acme = await lab.acme()
    await acme.pass_all()
    lab.world.clock.ahead = HOUR + 60_000
    await lab.world.hold("everything")
    await lab.world.until(lambda: lab.world.of(StandingNoticed))
    size = lab.world.size
    await lab.world.restart()
    # Which returns once all is evaluated, and told.
    await lab.world.act("enclave-declare", recipient=acme.id, tenant=[acme.tenant])
    assert len(lab.world.of(StandingEvaluated, size)) == 1
    assert lab.world.of(StandingNoticed, size) == []


async def test_what_expired_while_nothing_ran_is_evaluated_at_the_start(lab: Lab) -> None:
    acme = await lab.acme()
    await acme.pass_all()
    await lab.world.stop()
    since = lab.world.size
    lab.world.clock.ahead = 2 * HOUR + 60_000
    await lab.world.restart()
    await lab.world.until(lambda: lab.world.of(StandingNoticed, since))
    assert [one.recipient for one in lab.world.of(StandingEvaluated, since)] == [acme.id]


async def test_what_came_while_nobody_evaluated_is_evaluated_at_the_start(lab: Lab) -> None:
    acme = await lab.acme()
    await acme.hand("scan", acme.scan())
    body = acme.roster()
    await lab.world.stop()
    async with opened(lab.world.folder) as issuer:
        handed = Handed(acme.id, "roster", "issuer", "tests")
        assert not isinstance(await Assurance(issuer.actions, {}).receive(handed, body), Refusal)
    await lab.world.restart()
    await lab.world.until(lambda: acme.tier == 2)


async def test_a_restart_alone_puts_nothing_on_record(lab: Lab) -> None:
    acme = await lab.acme()
    await acme.pass_all()
    size = lab.world.size
    await lab.world.restart()
    await lab.act("standing-release", reason="which waits for the evaluator")
    assert lab.world.of(StandingEvaluated, size) == []


# Exceptions and tiers


async def test_an_exception_takes_the_approvers_that_the_spec_asks_for(lab: Lab) -> None:
    acme = await lab.acme()
    await acme.hand("roster", acme.roster())
    grant = {
        "id": secrets.token_hex(16),
        "requirement": "ID-2",
        "from": acme.now,
        "until": acme.now + HOUR,
        "approvers": ["ada", "bo"],
        "compensating": ["watched by hand"],
    }
    told = {"recipient": acme.id, "grant": grant, "text": "their scanner is broken"}
    one = lab.signed(EXCEPTION, told, "ada")
    sent = await lab.act("exception-grant", **told, approvals=one)
    assert problem(sent)[0] == 403
    await lab.world.act(
        "exception-grant", **told, approvals=one + lab.signed(EXCEPTION, told, "bo")
    )
    assert (await acme.standing())["tier"] == "T2"


async def test_a_tier_is_not_decided_without_a_signature(lab: Lab) -> None:
    proposal = propose(lab.world.register.spec, (), model="")
    decision = msgspec.to_builtins(
        decide(proposal, model="smollm2", tier="T2", reasons="a test", now=lab.world.clock.now())
    )
    sent = await lab.act("model-tier", decision=decision, approvals=[])
    assert problem(sent)[0] == 403
    sent = await lab.act("model-tier", decision={**decision, "tier": "T9"}, approvals=[])
    assert problem(sent)[0] == 400


async def test_without_a_spec_nothing_is_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        acme = Acme(Lab(made), await made.recipient(), "tenant-x")
        assert "there is no spec" in problem(await acme.hand("scan", acme.scan()))[1]
        assert (await acme.standing())["tier"] is None
        assert refused(await (await made.device()).ask(model="none")) == (
            403,
            "model-outside-chain",
        )
