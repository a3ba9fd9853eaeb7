"""A spec that an audit cannot read is one finding, and nothing that needs it is said to agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bailment.access.assured import sign_spec, standing_record
from bailment.assurance.item import Item
from bailment.auditor.audit import AuditReport, audit_export
from bailment.auditor.findings import Kind
from bailment.ledger.evidence_records import EnclaveDeclared, EvidenceReceived, StandingEvaluated
from bailment.ledger.records import (
    AccessOpened,
    HoldAdded,
    ModelRegistered,
    SpecApplied,
    TokenIssued,
    spec_digest,
)
from bailment.spec.policy import policy_of
from bailment.spec.validation import load
from bailment.store.reader import LogReader
from bailment.store.vault import Vault

from ..access.small_spec import SPEC
from .forge import Forgery, Row
from .world import Party, World

CANARY = "finch"


async def live(root: Path) -> World:
    """Two accesses without a spec; one spec, evidence and a standing, two accesses; a second spec,
    evidence and a standing again, and one access more."""
    async with World(root) as world:
        await world.begin()
        await world.append(ModelRegistered(CANARY, 4096, 1024, world.now, "owner", True))
        acme = await world.recipient("acme", (CANARY,))
        device = await world.device("laptop", await world.person("ada", acme))
        await world.append(
            EnclaveDeclared(acme.recipient, {"tenant": ("tenant-a",)}, "owner"), acme.recipient
        )

        async def ask(number: int) -> None:
            world.now += 1_000
            await world.token(device)
            for _ in range(number):
                opened = await world.access(device, CANARY)
                assert isinstance(opened, AccessOpened)
                await world.close(device, opened)

        await ask(2)
        await world.append(applied(world, SPEC))
        await prove(world, acme)
        await ask(2)
        await world.append(applied(world, SPEC.replace(b"version: 1.0.0", b"version: 1.0.1")))
        await prove(world, acme)
        await ask(1)
        return world


def applied(world: World, text: bytes) -> SpecApplied:
    document = load(text)
    facts = SpecApplied(policy_of(document.policy), "owner", msgspec.to_builtins(document))
    signature = sign_spec(spec_digest(facts), world.issuer.private)
    return msgspec.structs.replace(facts, signature=signature)


async def prove(world: World, party: Party) -> None:
    world.now += 1_000
    name, now = world.id(), world.now
    item = Item(
        name, "roster", "scim/1", "pulled", "lab", name, "tenant-a", now, now, name * 2,
        claims={"unmatched_accounts": 0},
    )  # fmt: skip
    received = EvidenceReceived(party.recipient, msgspec.to_builtins(item), "owner")
    await world.append(received, party.recipient)
    standing = standing_record(world.log.fold.register, party.recipient, world.now)
    await world.append(standing, party.recipient)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return asyncio.run(live(tmp_path_factory.mktemp("issuer")))


def forgery(world: World) -> Forgery:
    return Forgery(LogReader(world.folder, Vault(world.folder.keys, world.secrets.kek)))


def audit(world: World, forged: Forgery, out: Path) -> AuditReport:
    return audit_export(forged.write(out, world.secrets.log), world.secrets.log.public)


def specs(forged: Forgery) -> list[int]:
    """Where the policy, the first and the second spec are."""
    return list(forged.of(SpecApplied))


def test_a_log_with_specs_is_judged_in_full(world: World, tmp_path: Path) -> None:
    report = audit(world, forgery(world), tmp_path / "out")
    assert report.clean, report.findings
    assert (report.decisions, report.agreed, report.standings, report.unjudged) == (8, 8, 2, {})


def unsigned(row: Row) -> None:
    row.change(signature=row.facts.signature[:-8] + "AAAAAAAA")  # type: ignore[attr-defined]


LOST: list[tuple[Kind, Callable[[Row], None]]] = [
    (Kind.ALTERED_FACTS, lambda row: setattr(row, "body", bytes(16) + b"{}")),
    (Kind.WITHHELD_FACTS, lambda row: setattr(row, "body", b"")),
    (Kind.MALFORMED_RECORD, lambda row: setattr(row, "committed", bytes(16) + b"{}")),
    (Kind.BAD_RECORD, unsigned),
]


@pytest.mark.parametrize(("kind", "forge"), LOST, ids=[kind.value for kind, _ in LOST])
@pytest.mark.parametrize("which", [1, 2])
def test_a_lost_spec_is_one_finding_and_what_needs_it_does_not_count_as_agreed(
    kind: Kind, forge: Callable[[Row], None], which: int, world: World, tmp_path: Path
) -> None:
    forged = forgery(world)
    at = specs(forged)[which]
    forge(forged.rows[at])
    report = audit(world, forged, tmp_path / "out")
    (found,) = report.findings
    assert (found.index, found.kind, report.counts) == (at, kind, {kind: 1})
    decisions, standings = (5, 2) if which == 1 else (2, 1)
    judged = (report.decisions, report.agreed, report.standings)
    assert judged == (8 - decisions, 8 - decisions, 2 - standings)
    assert report.unjudged == {
        "decisions": decisions, "standings": standings, "records": standings,
    }  # fmt: skip
    told = (
        f"; what follows from it could not be judged: {decisions} decisions, {standings} standing"
    )
    assert told in found.sentence


def test_a_lost_policy_is_over_with_the_next_spec_if_nothing_followed_from_it(
    world: World, tmp_path: Path
) -> None:
    forged = forgery(world)
    # Of what stands between, keep what follows from no policy.
    policy, first, _ = specs(forged)
    gone = [
        at for at in range(policy, first) if forged.rows[at].facts.TYPE.startswith(("token", "acc"))
    ]
    for at in reversed(gone):
        del forged.rows[at]
    forged.rows[policy].body = b""
    report = audit(world, forged, tmp_path / "out")
    assert report.findings[0].kind is Kind.WITHHELD_FACTS
    assert "could not be judged" not in report.findings[0].sentence
    assert (report.standings, report.unjudged) == (2, {})


def test_what_no_spec_would_allow_is_named_though_the_spec_is_lost(
    world: World, tmp_path: Path
) -> None:
    forged = forgery(world)
    at = specs(forged)[2]
    forged.rows[at].body = b""
    opened = list(forged.of(AccessOpened))[-1]
    token = list(forged.of(TokenIssued))[-1]
    facts = forged.rows[token].facts
    assert isinstance(facts, TokenIssued)
    held = HoldAdded(world.id(), f"person:{facts.person}", "a test", "owner")
    forged.rows.insert(opened, forged.rows[opened].copy(held))
    report = audit(world, forged, tmp_path / "out")
    assert {Kind.WITHHELD_FACTS, Kind.HOLD_IGNORED} <= set(report.counts)
    assert (report.decisions, report.decisions - report.agreed) == (7, 1)
    assert report.unjudged["decisions"] == 1


def test_a_register_record_that_cannot_be_read_is_one_finding(world: World, tmp_path: Path) -> None:
    forged = forgery(world)
    at = forged.first(StandingEvaluated)
    forged.rows[at].body = b""
    report = audit(world, forged, tmp_path / "out")
    assert report.standings == 1
    assert Kind.REGISTER_MISMATCH not in report.counts
