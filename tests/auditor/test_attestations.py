"""Keys in TPMs in a log that was served: an audit checks the evidence, and names forgeries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from bailment.agent import tpm
from bailment.agent.client import enrol
from bailment.auditor.audit import audit_export
from bailment.auditor.delegations import Delegations
from bailment.auditor.findings import Findings, Kind
from bailment.auditor.view import verify_view
from bailment.ledger.key_evidence import KeyEvidence
from bailment.ledger.note import Signer
from bailment.ledger.records import EnrolmentRequested
from bailment.store.export import export_log, export_view
from bailment.store.view import View, open_view

from ..software_tpm import maker, running
from ..world import Device, world
from .forge import Forgery

pytestmark = pytest.mark.anyio


@dataclass
class Served:
    """A log in which a device with an attested key enrolled, was confirmed and asked."""

    view: View
    recipient: str
    signer: Signer


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    root = tmp_path_factory.mktemp("served")
    made = maker(root / "maker")
    made.make(root / "state")
    roots = ", ".join(f'"{one}"' for one in made.roots)
    with pytest.MonkeyPatch.context() as patch, running(root / "state") as path:
        patch.setenv(tpm.VARIABLE, path)
        async with world(root, more=f"[tpm]\nroots = [{roots}]\n") as lab:
            recipient = await lab.recipient()
            person = await recipient.person()
            url = f"{lab.url}/enrol#{person.code}"
            pending = await enrol(url, root / "profile", "laptop", place="tpm")
            device = Device(lab)
            device.id, device.code = pending.device, pending.code
            await recipient.confirm(device)
            folder, signer = lab.folder, lab.issuer.secrets.log
    yield Served(open_view(folder), recipient.id, signer)


async def test_a_log_with_an_attested_key_passes_an_audit(served: Served, tmp_path: Path) -> None:
    folder, view = served.view.folder, served.view
    export_log(folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings


@pytest.mark.parametrize("names", [False, True])
async def test_the_recipients_view_of_it_is_right(
    served: Served, tmp_path: Path, names: bool
) -> None:
    view, path = served.view, tmp_path / "view"
    export_view(view.folder, view.reader, view.verifier, served.recipient, path, names=names)
    shown = verify_view(path, view.verifier, recipient=served.recipient)
    assert set(shown.counts) <= {Kind.UNPROVEN_COMPLETE}


def _replaced(facts: EnrolmentRequested, **members: str) -> KeyEvidence:
    assert facts.evidence is not UNSET
    return msgspec.structs.replace(facts.evidence, **members)


def _class_alone(facts: EnrolmentRequested) -> dict[str, Any]:
    return {"key_class": "hw-unattested"}


def _no_evidence(facts: EnrolmentRequested) -> dict[str, Any]:
    return {"evidence": UNSET, "attestation": UNSET}


def _another_challenge(facts: EnrolmentRequested) -> dict[str, Any]:
    return {"evidence": _replaced(facts, nonce="A" * 43)}


def _another_signature(facts: EnrolmentRequested) -> dict[str, Any]:
    assert facts.evidence is not UNSET
    changed = facts.evidence.signature[:-4] + "AAAA"
    return {"evidence": _replaced(facts, signature=changed)}


FORGERIES = [_class_alone, _no_evidence, _another_challenge, _another_signature]
Forge = Callable[[EnrolmentRequested], dict[str, Any]]


@pytest.mark.parametrize("forge", FORGERIES)
async def test_a_class_that_does_not_follow_is_named(
    served: Served, tmp_path: Path, forge: Forge
) -> None:
    forgery = Forgery(served.view.reader)
    at = forgery.first(EnrolmentRequested)
    facts = forgery.rows[at].facts
    assert isinstance(facts, EnrolmentRequested)
    forgery.rows[at].change(**forge(facts))
    forgery.write(tmp_path / "export", served.signer)
    report = audit_export(tmp_path / "export", served.view.verifier)
    found = next(one for one in report.findings if one.index == at)
    assert found.kind is Kind.BAD_RECORD and "attestation-wrong" in found.sentence


async def test_another_tpms_certificates_in_the_personal_part_are_named(served: Served) -> None:
    records = served.view.reader.records()
    record = next(one for one in records if isinstance(one.facts, EnrolmentRequested))
    facts = record.facts
    assert isinstance(facts, EnrolmentRequested)
    for personal in (b'{"certificates":"AAAA","salt":""}', b"{}", b"no JSON"):
        findings = Findings()
        Delegations(findings, None).enrolled(0, facts, personal, record.leaf.time)
        assert set(findings.counts) == {Kind.BAD_ATTESTATION}
    findings = Findings()
    Delegations(findings, None).enrolled(0, facts, None, record.leaf.time)
    assert not findings.counts  # the person was erased, or no names were asked for
