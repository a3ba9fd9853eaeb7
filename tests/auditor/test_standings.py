"""An evaluation that was left out is named where it let somebody in."""

from __future__ import annotations

import pytest

from bailment.auditor.findings import Findings, Kind
from bailment.auditor.standings import Standings
from bailment.ledger.evidence_records import EvidenceStaled
from bailment.ledger.facts import Facts

from ..access.book import Party
from ..access.small_spec import Specified

MINUTE = 60_000


class Audited(Specified):
    """A book that is audited as it is written."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.standings: Standings | None = None
        super().__init__()
        self.standings = Standings(self.fold, self.findings)

    def add(self, facts: Facts, recipient: str = "") -> None:
        super().add(facts, recipient)
        if self.standings is not None:
            self.standings.follow(len(self.entries) - 1, self.entries[-1][0], facts)


@pytest.fixture
def book() -> Audited:
    return Audited()


def ask(book: Audited, laptop: Party) -> None:
    assert book.open(laptop, book.token(laptop)) is not None


def test_what_was_left_out_is_named_at_the_access_that_it_let_through(book: Audited) -> None:
    party = book.recipient()
    name = party.its.subject
    laptop = book.device(party, book.person(party))
    book.enclave(name, "tenant-a")
    book.add(book.tiered("small", "T2", "ada"))
    book.show(name, book.item("roster", claims={"unmatched_accounts": 0}))
    book.show(name, book.item("scan", checks={"MFA": "pass"}))
    book.judge(name)
    ask(book, laptop)
    book.time += 2 * MINUTE
    ask(book, laptop)
    book.show(name, book.item("roster", claims={"unmatched_accounts": 0}))
    book.time += 2 * MINUTE
    ask(book, laptop)
    assert not book.findings.counts, "a change that alters nothing needs no record"
    book.show(name, book.item("scan", claims={"shared": 1}))
    contradicted = len(book.entries) - 1
    book.time += MINUTE
    ask(book, laptop)
    assert not book.findings.counts, "evaluating may take a moment"
    book.time += MINUTE
    ask(book, laptop)
    (found,) = book.findings.kept
    assert (found.index, found.kind) == (len(book.entries) - 1, Kind.UNEVALUATED)
    assert f"opened for T2 after entry {contradicted}, which takes the recipient to T1" in (
        found.sentence
    )
    book.judge(name)
    book.time += 2 * MINUTE
    ask(book, laptop)
    assert len(book.findings.kept) == 1, "that one is for the decision's own check"


def test_evidence_that_was_marked_stale_and_never_evaluated_is_named(book: Audited) -> None:
    party = book.recipient()
    name = party.its.subject
    laptop = book.device(party, book.person(party))
    book.enclave(name, "tenant-a")
    book.add(book.tiered("small", "T2", "ada"))
    book.show(name, book.item("roster", claims={"unmatched_accounts": 0}))
    book.show(name, book.item("scan", checks={"MFA": "pass"}))
    book.judge(name)
    book.time += MINUTE
    book.add(EvidenceStaled(name, ("scan",), "its scanner was taken over", "ada"), name)
    book.time += 2 * MINUTE
    ask(book, laptop)
    (found,) = book.findings.kept
    assert found.kind == Kind.UNEVALUATED
    assert "which takes the recipient to T1" in found.sentence
