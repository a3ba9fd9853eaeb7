"""What an operator could write of a subcontractor that is not so: an audit names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailment.access.assured import standing_record
from bailment.access.chain import Link, sign_link
from bailment.access.revoking import Revocation
from bailment.auditor.audit import AuditReport, audit_export
from bailment.auditor.findings import Findings, Kind
from bailment.auditor.standings import Standings
from bailment.ledger.evidence_records import EnclaveDeclared, EvidenceReceived, StandingEvaluated
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import SALT_SIZE, Leaf
from bailment.ledger.note import Signer
from bailment.ledger.records import DelegationGranted, HoldAdded, RecipientRegistered
from bailment.store.reader import LogReader

from ..access.book import DAY, Party
from ..access.small_spec import Specified
from .forge import Forgery, Row

SIGNER = Signer("lab.example/log", Ed25519PrivateKey.generate())
MINUTE = 60_000


class Chain(Specified):
    """acme and its subcontractor, each of which has earned T1; audited as it is written."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.standings: Standings | None = None
        super().__init__()
        self.standings = Standings(self.fold, self.findings)
        self.add(self.tiered("small", "T1", "ada"))
        self.acme = self.recipient()
        self.vendor = self.subcontractor(self.acme, handle="vendor", depth=0)
        for party, tenant in ((self.acme, "tenant-a"), (self.vendor, "tenant-v")):
            facts = EnclaveDeclared(party.its.subject, {"tenant": (tenant,)}, "tests")
            self.add(facts, self.top)
            self.shows(party, tenant)
            self.stands(party)

    @property
    def top(self) -> str:
        return self.acme.its.subject

    def add(self, facts: Facts, recipient: str = "") -> None:
        super().add(facts, recipient)
        if self.standings is not None:
            self.standings.follow(len(self.entries) - 1, self.entries[-1][0], facts)

    def shows(self, party: Party, tenant: str) -> None:
        item = self.item("roster", claims={"unmatched_accounts": 0}, scope=tenant)
        self.add(self.evidence(party.its.subject, item), self.top)

    def scans(self, party: Party, tenant: str, **says: Any) -> None:
        item = self.item("scan", scope=tenant, **says)
        self.add(self.evidence(party.its.subject, item), self.top)

    def stands(self, party: Party) -> None:
        self.add(standing_record(self.register, party.its.subject, self.time), self.top)

    def link(self, by: Party, kind: Any, **given: Any) -> DelegationGranted:
        """One that was not asked about, as long as its parent."""
        values = {
            "id": self.new_id(),
            "parent": by.its.id,
            "kind": kind,
            "subject": self.new_id(),
            "start": by.its.start,
            "until": by.its.until,
            **given,
        }
        return DelegationGranted(sign_link(Link(**values), by.key, by.public.thumbprint))


@dataclass
class _Record:
    leaf: Leaf
    facts: Facts
    body: bytes = bytes(SALT_SIZE)


def forgery(chain: Chain) -> Forgery:
    """The book as an operator has it, to be changed."""

    class Reader:
        def records(self) -> Iterator[_Record]:
            for leaf, _, facts in chain.entries:
                yield _Record(leaf, facts)

    return Forgery(cast(LogReader, Reader()))


def audit(forged: Forgery, out: Path) -> AuditReport:
    return audit_export(forged.write(out, SIGNER), SIGNER.public)


def of_vendor(forged: Forgery, kind: type[Any], chain: Chain) -> int:
    subject = chain.vendor.its.subject
    return forged.first(kind, lambda facts: facts.recipient == subject)


def appended(forged: Forgery, chain: Chain, facts: Facts, slot: str = "") -> int:
    last = forged.rows[-1].was
    leaf = Leaf(facts.TYPE, last.time, slot or chain.top, 0, "", "", 0, "", 1)
    forged.rows.append(Row(leaf, facts, bytes(SALT_SIZE)))
    return len(forged.rows) - 1


def test_a_subcontractors_log_that_is_right_has_no_finding(tmp_path: Path) -> None:
    report = audit(forgery(Chain()), tmp_path)
    assert report.clean, report.findings


Forge = Callable[[Forgery, Chain], int]


def the_recipients_evidence_for_the_subcontractor(forged: Forgery, chain: Chain) -> int:
    at = of_vendor(forged, EvidenceReceived, chain)
    facts = cast(EvidenceReceived, forged.rows[at].facts)
    forged.rows[at].change(item={**facts.item, "scope": "tenant-a"})
    return at


def the_recipients_tenant_for_the_subcontractors(forged: Forgery, chain: Chain) -> int:
    at = of_vendor(forged, EnclaveDeclared, chain)
    forged.rows[at].change(scopes={"tenant": ("tenant-a",)})
    return at


def the_recipients_standing_for_the_subcontractors(forged: Forgery, chain: Chain) -> int:
    at = of_vendor(forged, StandingEvaluated, chain)
    theirs = forged.first(StandingEvaluated)
    facts = cast(Any, forged.rows[theirs].facts)
    forged.rows[at].facts = msgspec.structs.replace(facts, recipient=chain.vendor.its.subject)
    return at


def a_standing_without_evidence(forged: Forgery, chain: Chain) -> int:
    del forged.rows[of_vendor(forged, EvidenceReceived, chain)]
    return of_vendor(forged, StandingEvaluated, chain)


def a_standing_of_a_higher_tier(forged: Forgery, chain: Chain) -> int:
    at = of_vendor(forged, StandingEvaluated, chain)
    facts = cast(StandingEvaluated, forged.rows[at].facts)
    steps = [{**step, "tier": 2} for step in facts.standing["steps"]]
    forged.rows[at].change(standing={**facts.standing, "tier": 2, "steps": steps}, unmet={})
    return at


def a_recipient_that_is_called_like_the_subcontractor(forged: Forgery, chain: Chain) -> int:
    name = chain.new_id()
    handle = chain.register.organisations[chain.vendor.its.subject].handle
    facts = RecipientRegistered(name, handle, "c", Party().public.jwk, "tests")
    return appended(forged, chain, facts, name)


def a_link_that_lasts_too_long(forged: Forgery, chain: Chain) -> int:
    person = chain.link(chain.vendor, "person", until=chain.vendor.its.until + DAY)
    return appended(forged, chain, person)


def a_link_that_lasts_longer_than_the_spec_lets(forged: Forgery, chain: Chain) -> int:
    """Of a subcontractor whose recipient may last: the spec says thirty days."""
    at = forged.first(DelegationGranted)
    top = chain.acme.its
    longer = msgspec.structs.replace(top, until=top.start + 90 * DAY)
    key, thumbprint = chain.issuer.key, chain.issuer.public.thumbprint
    forged.rows[at].change(link=sign_link(longer, key, thumbprint))
    return appended(forged, chain, chain.link(chain.acme, "person", until=top.start + 31 * DAY))


def a_subcontractor_below_one_that_may_have_none(forged: Forgery, chain: Chain) -> int:
    link = chain.link(chain.vendor, "subcontractor", key=Party().public.jwk, handle="deeper")
    return appended(forged, chain, link)


def a_subcontractor_that_its_recipient_did_not_declare(forged: Forgery, chain: Chain) -> int:
    values = {"key": Party().public.jwk, "handle": "ours", "parent": chain.acme.its.id}
    facts = chain.link(Party(link=chain.acme.its), "subcontractor", **values)
    return appended(forged, chain, facts)


def a_person_whom_the_recipient_names_in_its_subcontractors_place(
    forged: Forgery, chain: Chain
) -> int:
    return appended(forged, chain, chain.link(chain.acme, "person", parent=chain.vendor.its.id))


RECORDS: tuple[Forge, ...] = (
    the_recipients_evidence_for_the_subcontractor,
    the_recipients_tenant_for_the_subcontractors,
    the_recipients_standing_for_the_subcontractors,
    a_standing_without_evidence,
    a_standing_of_a_higher_tier,
    a_recipient_that_is_called_like_the_subcontractor,
)
LINKS: tuple[Forge, ...] = (
    a_link_that_lasts_too_long,
    a_link_that_lasts_longer_than_the_spec_lets,
    a_subcontractor_below_one_that_may_have_none,
    a_subcontractor_that_its_recipient_did_not_declare,
    a_person_whom_the_recipient_names_in_its_subcontractors_place,
)


@pytest.mark.parametrize("forge", RECORDS, ids=lambda forge: forge.__name__)
def test_a_forged_record_of_a_subcontractor_is_named(forge: Forge, tmp_path: Path) -> None:
    chain = Chain()
    forged = forgery(chain)
    at = forge(forged, chain)
    report = audit(forged, tmp_path)
    assert (report.findings[0].index, report.findings[0].kind) == (at, Kind.BAD_RECORD)
    assert set(report.counts) == {Kind.BAD_RECORD}, report.findings


@pytest.mark.parametrize("forge", LINKS, ids=lambda forge: forge.__name__)
def test_a_forged_link_of_a_subcontractor_is_named(forge: Forge, tmp_path: Path) -> None:
    chain = Chain()
    forged = forgery(chain)
    at = forge(forged, chain)
    report = audit(forged, tmp_path)
    assert [(found.index, found.kind) for found in report.findings] == [(at, Kind.BAD_LINK)]


def test_a_record_of_a_subcontractor_hidden_from_its_recipient_is_named(tmp_path: Path) -> None:
    chain = Chain()
    forged = forgery(chain)
    at = of_vendor(forged, StandingEvaluated, chain)
    forged.rows[at].leaf["recipient"] = forged.rows[0].was.recipient
    assert audit(forged, tmp_path).counts == {Kind.WRONG_SLOT: 1}


@pytest.mark.parametrize("whose", ["acme", "vendor"])
def test_an_evaluation_that_was_left_out_is_named_whoevers_on_the_chain_it_is(whose: str) -> None:
    chain = Chain()
    mine = chain.device(chain.acme, chain.person(chain.acme))
    theirs = chain.device(chain.vendor, chain.person(chain.vendor))
    party, tenant = {"acme": (chain.acme, "tenant-a"), "vendor": (chain.vendor, "tenant-v")}[whose]
    for one, where in ((chain.acme, "tenant-a"), (chain.vendor, "tenant-v")):
        chain.scans(one, where, checks={"MFA": "pass"})
        chain.stands(one)
    chain.add(chain.tiered("small", "T2", "ada"))
    chain.scans(party, tenant, claims={"shared": 1})
    changed = len(chain.entries) - 1
    chain.time += 2 * MINUTE
    for device in (mine, theirs):
        assert chain.open(device, chain.token(device)) is not None
    kind = "recipient" if whose == "acme" else "subcontractor"
    (found,) = chain.findings.kept
    assert found.kind is Kind.UNEVALUATED
    assert f"after entry {changed}, which takes the {kind} to T1" in found.sentence
    opened = [at for at, (leaf, *_) in enumerate(chain.entries) if leaf.type == "access.opened"]
    assert found.index == opened[0 if whose == "acme" else 1]


def test_a_drill_says_something_of_the_organisations_above_the_person_and_of_no_other() -> None:
    chain = Chain()
    beside = chain.subcontractor(chain.acme, handle="beside", depth=0)
    person = chain.person(chain.vendor)
    hold = HoldAdded("ef" * 16, f"person:{person.its.subject}", "drill", "tests")
    leaf = Leaf(HoldAdded.TYPE, chain.time, chain.top, 0, "", "", 0, "0" * 64, 1)
    seen = Revocation(hold, leaf, chain.fold)
    assert seen.organisations == {chain.top, chain.vendor.its.subject}
    assert beside.its.subject not in seen.organisations
