"""A subcontractor exists as a declared, narrowed link, proves what it must itself, and is nobody's
way in where it does not."""

from __future__ import annotations

from typing import Any

import pytest

from bailment.access.assured import standing_record
from bailment.access.decision import decide
from bailment.access.observing import observe, windows
from bailment.access.reasons import Reason, Refused
from bailment.access.sightings import Sightings
from bailment.access.signing_in import organisation_of
from bailment.access.slot import slot_of
from bailment.errors import VerificationError
from bailment.ledger.evidence_records import EnclaveDeclared
from bailment.ledger.records import (
    Budget,
    DelegationEnded,
    HoldAdded,
    HoldLifted,
    RecipientRegistered,
)

from .book import DAY, Party
from .small_spec import SPEC, Specified


class Chain(Specified):
    """acme has a subcontractor, both with a person and a device, for a model of T1."""

    def __init__(self, text: bytes = SPEC) -> None:
        super().__init__()
        self.add(self.spec(text))
        self.add(self.tiered("small", "T1", "ada"))
        self.acme = self.recipient(budget=Budget(1000, 60))
        self.vendor = self.subcontractor(self.acme, handle="vendor", contact="sec@vendor.example")
        self.at_acme = self.device(self.acme, self.person(self.acme))
        self.at_vendor = self.device(self.vendor, self.person(self.vendor))

    def proves(self, organisation: Party, scope: str) -> None:
        name = organisation.its.subject
        recipient = self.register.organisations[name].recipient
        self.add(EnclaveDeclared(name, {"tenant": (scope,)}, "tests"), recipient)
        item = self.item("roster", claims={"unmatched_accounts": 0}, scope=scope)
        self.add(self.evidence(name, item), recipient)
        self.judges(name)

    def judges(self, name: str) -> None:
        record = standing_record(self.register, name, self.time)
        self.add(record, self.register.organisations[name].recipient)

    def asks(self, device: Party) -> Refused | None:
        answer = decide(self.ask(self.make_token(device)), self.register, self.time)
        return answer if isinstance(answer, Refused) else None


@pytest.fixture
def chain() -> Chain:
    return Chain()


def reason(refused: Refused | None) -> Reason | None:
    return refused.reason if refused else None


def test_a_subcontractor_must_meet_the_tier_itself(chain: Chain) -> None:
    chain.proves(chain.acme, "tenant-a")
    assert chain.asks(chain.at_acme) is None
    refused = chain.asks(chain.at_vendor)
    assert reason(refused) is Reason.STANDING_TOO_LOW
    assert refused is not None
    assert refused.subject == f"subcontractor:{chain.vendor.its.subject}"
    above = chain.register.organisations[chain.acme.its.subject].handle
    assert f"the subcontractor {above}/vendor's standing is none" in refused.detail
    chain.proves(chain.vendor, "tenant-v")
    assert chain.asks(chain.at_vendor) is None


def test_a_subcontractor_in_good_standing_does_not_carry_its_recipient(chain: Chain) -> None:
    chain.proves(chain.vendor, "tenant-v")
    assert reason(chain.asks(chain.at_vendor)) is Reason.STANDING_TOO_LOW


def test_where_the_spec_asks_nothing_of_delegates_only_the_recipient_proves() -> None:
    chain = Chain(SPEC.replace(b"delegate_meets: same-tier", b"delegate_meets: nothing"))
    chain.proves(chain.acme, "tenant-a")
    assert chain.asks(chain.at_vendor) is None


def test_evidence_about_a_subcontractor_is_not_its_recipients(chain: Chain) -> None:
    chain.proves(chain.acme, "tenant-a")
    with pytest.raises(VerificationError, match="another recipient's"):
        chain.proves(chain.vendor, "tenant-a")


def test_its_records_lie_in_its_recipients_slot(chain: Chain) -> None:
    facts = EnclaveDeclared(chain.vendor.its.subject, {}, "tests")
    assert slot_of(facts, chain.register) == chain.acme.its.subject


def test_it_is_called_by_who_delegates_to_it_and_no_two_alike(chain: Chain) -> None:
    above = chain.register.organisations[chain.acme.its.subject].handle
    found = chain.register.organisations[chain.vendor.its.subject]
    assert (found.handle, found.contact) == (f"{above}/vendor", "sec@vendor.example")
    with pytest.raises(VerificationError, match="already"):
        chain.subcontractor(chain.acme, handle="vendor")


@pytest.mark.parametrize("given", [{"handle": "x"}, {"contact": "x"}, {"attributes": {"a": "b"}}])
def test_a_device_has_no_handle_and_no_attributes(chain: Chain, given: dict[str, Any]) -> None:
    person = chain.person(chain.acme)
    with pytest.raises(VerificationError):
        chain.device(chain.acme, person, **given)


def test_depth_exceeded_is_refused_when_it_is_granted() -> None:
    chain = Chain(SPEC.replace(b"max_depth: 2", b"max_depth: 1"))
    with pytest.raises(VerificationError, match="1 subcontractors"):
        chain.subcontractor(chain.vendor)


def test_depth_exceeded_for_a_tier_is_refused_at_use() -> None:
    limit = b"delegate_meets: nothing, by_tier: {T2: {max_depth: 0}}}"
    chain = Chain(SPEC.replace(b"delegate_meets: same-tier}", limit))
    chain.proves(chain.acme, "tenant-a")
    assert chain.asks(chain.at_vendor) is None
    chain.add(chain.tiered("small", "T2", "ada"))
    assert reason(chain.asks(chain.at_acme)) is Reason.STANDING_TOO_LOW
    refused = chain.asks(chain.at_vendor)
    assert reason(refused) is Reason.CHAIN_BROKEN and refused is not None
    assert "0 subcontractors" in refused.detail


def test_a_link_that_lasts_longer_than_the_spec_lets_is_refused(chain: Chain) -> None:
    link = chain.acme.its
    chain.person(chain.acme, until=link.start + 30 * DAY)
    chain.add(
        chain.spec(SPEC.replace(b"max_depth: 2, max_ttl: P30D", b"max_depth: 2, max_ttl: P7D"))
    )
    with pytest.raises(VerificationError, match="7 days"):
        chain.person(chain.acme)


def test_a_link_signed_by_the_wrong_party_is_refused(chain: Chain) -> None:
    with pytest.raises(VerificationError, match="`kid` is not the delegating party's"):
        chain.grant(chain.vendor, "person", chain.acme.its)
    with pytest.raises(VerificationError, match="`kid` is not the delegating party's"):
        chain.grant(chain.acme, "person", chain.vendor.its)


def test_cutting_a_middle_link_kills_descendants_and_nobody_else(chain: Chain) -> None:
    chain.proves(chain.acme, "tenant-a")
    chain.proves(chain.vendor, "tenant-v")
    chain.add(DelegationEnded(chain.vendor.its.id, "tests", "over"), chain.acme.its.subject)
    assert reason(chain.asks(chain.at_vendor)) is Reason.LINK_ENDED
    assert chain.asks(chain.at_acme) is None


def test_restoring_does_not_revive_descendants(chain: Chain) -> None:
    """A new link for the subcontractor is another subject: nothing below the old hangs on it."""
    chain.proves(chain.acme, "tenant-a")
    chain.proves(chain.vendor, "tenant-v")
    chain.add(DelegationEnded(chain.vendor.its.id, "tests", "over"), chain.acme.its.subject)
    again = chain.subcontractor(chain.acme, handle="vendor-again")
    assert again.its.subject != chain.vendor.its.subject
    assert reason(chain.asks(chain.at_vendor)) is Reason.LINK_ENDED


def test_what_a_hold_alone_held_lives_when_it_is_lifted(chain: Chain) -> None:
    chain.proves(chain.acme, "tenant-a")
    chain.proves(chain.vendor, "tenant-v")
    subject = f"subcontractor:{chain.vendor.its.subject}"
    chain.add(HoldAdded("ab" * 16, subject, "a test", "tests"), chain.acme.its.subject)
    assert reason(chain.asks(chain.at_vendor)) is Reason.HELD
    assert chain.asks(chain.at_acme) is None
    chain.add(HoldLifted("ab" * 16, "over", "tests"), chain.acme.its.subject)
    assert chain.asks(chain.at_vendor) is None


def test_ten_children_cannot_each_spend_the_parents_quota(chain: Chain) -> None:
    """Whoever asks, the reservation must fit every budget above; the append counts, and not the
    decision, so that it does not matter how many were decided at once."""
    devices = [chain.device(chain.vendor, chain.person(chain.vendor)) for _ in range(10)]
    tokens = [chain.token(device) for device in devices]
    opened = [
        chain.open(device, token, ceiling=300)
        for device, token in zip(devices, tokens, strict=True)
    ]
    assert [one is not None for one in opened] == [True] * 3 + [False] * 7
    assert opened[0] is not None
    chain.close(opened[0].access, used=10)
    assert chain.open(devices[9], tokens[9], ceiling=300) is not None, "what was not used is free"


def test_an_attribute_is_held_and_cuts_that_group_and_nobody_else(chain: Chain) -> None:
    chain.proves(chain.acme, "tenant-a")
    here = chain.device(chain.acme, chain.person(chain.acme, attributes={"jurisdiction": "DE"}))
    there = chain.device(chain.acme, chain.person(chain.acme, attributes={"jurisdiction": "FR"}))
    chain.hold("attribute:jurisdiction=DE")
    refused = chain.asks(here)
    assert reason(refused) is Reason.HELD and refused is not None
    assert refused.subject == "attribute:jurisdiction=DE"
    assert chain.asks(there) is None
    assert chain.asks(chain.at_acme) is None


def test_each_organisation_is_seen_for_itself(chain: Chain) -> None:
    """A request counts for all on its chain, a person only for who employs them."""
    text = SPEC.replace(
        b"tiers:\n",
        b"  gw.use: {adapter: gateway/1, class: machine, max_age: P1D, scope: tenant}\ntiers:\n",
        1,
    ).replace(
        b"{kind: roster, claim: unmatched_accounts, max: 0}",
        b"{join: {seen: gw.use, covered_by: [roster]}}",
    )
    chain.add(chain.spec(text))
    seen, since = Sightings(chain.register), len(chain.entries)
    for device in (chain.at_acme, chain.at_vendor):
        chain.open(device, chain.token(device))
    seen.follow(
        (since + at, leaf, facts) for at, (leaf, _, facts) in enumerate(chain.entries[since:])
    )
    spec = chain.register.spec
    assert spec is not None
    found = {}
    for name, party in (("acme", chain.acme), ("vendor", chain.vendor)):
        (asked,) = windows(spec, party.its.subject, chain.fold.size, chain.time)
        item = observe(seen, asked, f"tenant-{name}", "ab" * 16)
        assert item is not None
        found[name] = item.claims["observed"], item.people
    person = {
        name: chain.register.path(device.its.id)[-2].subject
        for name, device in (("acme", chain.at_acme), ("vendor", chain.at_vendor))
    }
    assert found == {"acme": (2, (person["acme"],)), "vendor": (1, (person["vendor"],))}


def test_the_key_of_an_organisation_is_no_other_organisations(chain: Chain) -> None:
    """Whoever has seen the public half of an admin's key could else declare it as a contractor's,
    and what that admin signs would be done under the declarer."""
    for key in (chain.acme.public.jwk, chain.vendor.public.jwk):
        with pytest.raises(VerificationError, match="the key is that of"):
            chain.subcontractor(chain.acme, key=key, handle="other")
    name = "ef" * 16
    taken = RecipientRegistered(name, "nu", "c", chain.vendor.public.jwk, "tests")
    with pytest.raises(VerificationError, match=r"the organisation `[0-9a-f]+/vendor`"):
        chain.add(taken, name)


def test_a_contractor_whose_link_was_ended_is_declared_again_with_its_key(chain: Chain) -> None:
    chain.add(DelegationEnded(chain.vendor.its.id, "tests", "over"), chain.acme.its.subject)
    again = chain.subcontractor(chain.acme, key=chain.vendor.public.jwk, handle="again")
    found = organisation_of(chain.register, chain.vendor.public.thumbprint)
    assert found is not None and found.subject == again.its.subject
