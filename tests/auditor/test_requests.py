"""What an organisation's admin signed is on record with the proof; an issuer cannot make it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from bailment.auditor.audit import AuditReport, audit_export
from bailment.auditor.findings import Kind
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.incident_records import CustodyDeclared, NoticeAcknowledged

from ..world import Recipient, World, world
from .forge import Forgery

pytestmark = pytest.mark.anyio

HOUR = 3_600_000


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@dataclass
class Said:
    """A log in which an admin has signed all that there is to sign."""

    lab: World
    acme: Recipient
    other: Recipient
    theirs: str  # a device of the other's

    def forged(self) -> Forgery:
        return Forgery(self.lab.issuer.log.reader)

    async def audit(self, forgery: Forgery, out: Path) -> AuditReport:
        key = self.lab.issuer.secrets.log
        return await asyncio.to_thread(lambda: audit_export(forgery.write(out, key), key.public))


@pytest.fixture(scope="module")
async def said(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Said]:
    async with world(tmp_path_factory.mktemp("lab")) as lab:
        acme, other = await lab.recipient(), await lab.recipient()
        device = await (await acme.person()).device()
        theirs = await (await other.person()).device()
        told = {"system": "ci-vault", "runs": "vendor:vaultly", "stored": [f"device:{device.id}"]}
        for value in (told | {"since": 7}, {"system": "ci-vault", "ended": True}):
            assert (await acme.admin.post("/custody", value)).status_code == 201
        done = await lab.act("incident-open", title="t", source="person", subjects=[])
        about = {"subjects": [f"device:{device.id}"], "check": [], "rotate": [], "accesses": 0}
        draft = {"organisation": acme.id, "since": 1, **about}
        sent = await lab.act("notice-send", incident=done["incident"], notices=[draft])
        read = await acme.admin.post("/notices", {"notice": sent["notices"][0]})
        assert read.status_code == 201, read.text
        text = {"subject": f"device:{device.id}", "since": 0, "text": "no", "salt": "0" * 32}
        assert (await acme.admin.post("/misuse", text)).status_code == 201
        await lab.act("custody-declare", system="wiki", kind="system", runs="vendor:vaultly")
        yield Said(lab, acme, other, f"device:{theirs.id}")


async def test_what_they_signed_passes(said: Said, tmp_path: Path) -> None:
    report = await said.audit(said.forged(), tmp_path / "out")
    assert report.clean, report.findings
    assert report.types[CustodyDeclared.TYPE] == 3


Forge = Callable[[Said, Forgery], int]


def custody(**members: object) -> Forge:
    def forge(said: Said, forgery: Forgery) -> int:
        at = forgery.first(CustodyDeclared)
        forgery.rows[at].change(**members)
        return at

    return forge


def anothers(said: Said, forgery: Forgery) -> int:
    """An organisation's proof for another's declaration."""
    at = forgery.first(CustodyDeclared)
    handle = said.lab.register.organisations[said.other.id].handle
    author = f"recipient:{said.other.id}"
    members = {"organisation": said.other.id, "system": f"{handle}/ci-vault", "author": author}
    forgery.rows[at].change(**members)
    forgery.rows[at].leaf["recipient"] = said.other.id
    return at


def swapped(said: Said, forgery: Forgery) -> int:
    """The proof of one declaration for another of the same organisation."""
    first, second, *_ = forgery.of(CustodyDeclared)
    proof = forgery.rows[second].facts.proof  # type: ignore[attr-defined]
    forgery.rows[first].change(proof=proof)
    return first


def repeated(said: Said, forgery: Forgery) -> int:
    """A declaration again, after one that took its place."""
    at = forgery.first(CustodyDeclared)
    forgery.rows.append(forgery.rows[at].copy(forgery.rows[at].facts))
    forgery.rows[-1].was = msgspec.structs.replace(
        forgery.rows[-1].was, time=forgery.rows[-2].was.time
    )
    return len(forgery.rows) - 1


def read_by_nobody(said: Said, forgery: Forgery) -> int:
    """The proof of a declaration says that a notice was read."""
    at = forgery.first(NoticeAcknowledged)
    first = forgery.rows[forgery.first(CustodyDeclared)].facts
    forgery.rows[at].change(proof=first.proof)  # type: ignore[attr-defined]
    return at


def reported(**members: object) -> Forge:
    def forge(said: Said, forgery: Forgery) -> int:
        at = forgery.first(FindingRaised, lambda facts: facts.kind == "reported")
        given = {name: said.theirs if one == "theirs" else one for name, one in members.items()}
        forgery.rows[at].change(**given)
        return at

    return forge


@pytest.mark.parametrize(
    ("forge", "kind"),
    [
        (custody(stored=()), Kind.ALTERED_BODY),
        (custody(runs="vendor:mercury"), Kind.ALTERED_BODY),
        (custody(since=8), Kind.ALTERED_BODY),
        (custody(ended=True), Kind.ALTERED_BODY),
        (custody(request=UNSET), Kind.ALTERED_BODY),
        (custody(request="[]"), Kind.ALTERED_BODY),
        (custody(proof=UNSET), Kind.BAD_PROOF),
        (custody(proof="a.b.c"), Kind.BAD_PROOF),
        (custody(organisation="", proof=UNSET, request=UNSET), Kind.BAD_PROOF),
        (anothers, Kind.BAD_PROOF),
        (swapped, Kind.ALTERED_BODY),
        (repeated, Kind.REUSED_PROOF),
        (read_by_nobody, Kind.BAD_PROOF),
        (reported(proof=UNSET), Kind.BAD_PROOF),
        (reported(subject="theirs"), Kind.BAD_PROOF),
    ],
)
async def test_what_they_did_not_sign_is_named(
    said: Said, tmp_path: Path, forge: Forge, kind: Kind
) -> None:
    forgery = said.forged()
    at = forge(said, forgery)
    report = await said.audit(forgery, tmp_path / "out")
    assert (at, kind) in [(one.index, one.kind) for one in report.findings], report.findings
