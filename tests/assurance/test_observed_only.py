"""Under the built-in spec: only the gateway says what the gateway saw."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from bailment.assurance.evaluation import evaluate
from bailment.assurance.intake import Collector, Submission, receive
from bailment.assurance.item import Item
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.cli.catalogue import spec_text
from bailment.spec.compiled import CompiledSpec, compile_spec
from bailment.spec.terms import GATEWAY, LADDER
from bailment.spec.validation import load

from .reports import ALICE, BOB, ORG, THEN, data, observation, report, roster, user

NOW = THEN + 60_000


@pytest.fixture(scope="module")
def spec() -> CompiledSpec:
    return compile_spec(load(spec_text().encode()))


def seen(spec: CompiledSpec, kind: str, *people: str, alerts: int = 0) -> Item:
    """What the gateway saw: of these people, and that a credential was shared so often."""
    counts = {"shared_credential_alerts": alerts, "off_network_requests": 0}
    found = report(data(observation(id=kind, kind=kind, people=list(people), counts=counts)))
    handed = Submission(spec.kinds[kind], {ORG}, "gateway", "gateway", 0)
    items = receive(found, handed, item=f"{len(kind):032x}", now=THEN)
    assert isinstance(items, tuple), items
    return items[0]


def covering(spec: CompiledSpec) -> Item:
    """A roster that the issuer pulled; Bob is not on it."""
    told = report(data(roster(user(name="alice@acme.example"), scope=ORG)))
    people = {ALICE: ["alice@acme.example"], BOB: ["bob@acme.example"]}
    handed = Submission(spec.kinds["idp.roster"], {ORG}, "issuer", "pull", 0, people=people)
    items = receive(told, handed, item="f" * 32, now=THEN)
    assert isinstance(items, tuple), items
    return items[0]


def statuses(spec: CompiledSpec, items: Sequence[Item]) -> dict[tuple[int, str], object]:
    return {
        (tier.rank, one.requirement): (one.status, one.proof.people)
        for tier in evaluate(spec, items, (), NOW).tiers
        for one in tier.verdicts
    }


@pytest.mark.parametrize("by", ["recipient", "peer", "issuer"])
def test_a_file_of_what_the_gateway_saw_is_refused(spec: CompiledSpec, by: Collector) -> None:
    kinds = [kind for kind in spec.kinds.values() if kind.adapter == GATEWAY]
    assert {kind.name for kind in kinds} == {"gw.use", "gw.register"}
    for kind in kinds:
        found = report(data(observation(kind=kind.name)))
        refused = receive(found, Submission(kind, {ORG}, by, "acme", 0), item="0" * 32, now=NOW)
        assert isinstance(refused, EvidenceRefused)
        assert refused.reason == EvidenceReason.NOT_OBSERVED


@pytest.mark.parametrize("worth", LADDER[:-1])
def test_not_even_on_record_does_it_change_who_was_seen_or_any_status(
    spec: CompiledSpec, worth: str
) -> None:
    honest = [
        seen(spec, "gw.use", ALICE, BOB, alerts=1),
        seen(spec, "gw.register"),
        covering(spec),
    ]
    newer = seen(spec, "gw.use", ALICE)
    newer = structs.replace(newer, id="9" * 32, dated=NOW, received=NOW)
    before = statuses(spec, honest)
    forged = structs.replace(newer, independence=worth, collector="acme")
    assert statuses(spec, [*honest, forged]) == before
    assert statuses(spec, [*honest, newer]) != before, "the gateway itself can say so"
