"""Providers and sign-ins in a log that was served: an audit names what was forged of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jwk
from bailment.access.chain import Link, commit_person, read_link, sign_link
from bailment.access.signing_in import commit_account
from bailment.auditor.audit import audit_export
from bailment.auditor.delegations import Delegations
from bailment.auditor.findings import Findings, Kind
from bailment.auditor.view import verify_view
from bailment.ledger.identity_records import PersonSignedIn, ProviderRegistered
from bailment.ledger.note import Signer
from bailment.ledger.records import DelegationGranted, EnrolmentRequested, TokenIssued
from bailment.store.export import export_log, export_view
from bailment.store.view import View, open_view

from ..control.test_sign_in import HOSTS
from ..employer import employer, enrolled, register, signed_in
from ..world import world
from .forge import Forgery

pytestmark = pytest.mark.anyio


@dataclass
class Served:
    """A log in which Maria enrolled, asked, signed in anew, and asked again."""

    view: View
    recipient: str
    signer: Signer

    @property
    def forgery(self) -> Forgery:
        return Forgery(self.view.reader)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    root = tmp_path_factory.mktemp("served")
    async with (
        world(root, more=HOSTS) as lab,
        employer(lambda: lab.clock.now() / 1000) as provider,
    ):
        recipient = await lab.recipient()
        assert (await register(recipient, provider)).status_code == 201
        _, device = await enrolled(lab, recipient)
        for _ in range(2):
            await device.renew()
            assert (await device.ask()).status_code == 200
            await signed_in(device, None)
        folder = lab.folder
        signer = lab.issuer.secrets.log
    yield Served(open_view(folder), recipient.id, signer)


async def test_a_log_with_sign_ins_passes_an_audit(served: Served, tmp_path: Path) -> None:
    folder, view = served.view.folder, served.view
    export_log(folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
    assert report.types[PersonSignedIn.TYPE] == 3
    export_view(folder, view.reader, view.verifier, served.recipient, tmp_path / "view")
    shown = verify_view(tmp_path / "view", view.verifier, recipient=served.recipient)
    assert set(shown.counts) <= {Kind.UNPROVEN_COMPLETE}


def _change(kind: type, **members: Any) -> Callable[[Forgery], int]:
    def forge(forgery: Forgery) -> int:
        at = forgery.first(kind)
        forgery.rows[at].change(**members)
        return at

    return forge


def _another_provider(forgery: Forgery) -> int:
    """The operator has Acme's people sign in at a provider of the operator's own."""
    at = forgery.first(ProviderRegistered)
    forgery.rows[at].change(issuer="https://evil.example")
    return at


def _no_sign_in(forgery: Forgery) -> int:
    """The operator enrols a device without a sign-in."""
    at = forgery.first(PersonSignedIn)
    del forgery.rows[at]
    return forgery.first(EnrolmentRequested)


@pytest.mark.parametrize(
    ("told", "clean"),
    [
        ({}, True),
        ({"sub": "another"}, False),
        ({"sub": "another", "email": ""}, False),
        ({"email": "noor@acme.example"}, False),
    ],
)
def test_a_recipient_that_asks_for_names_sees_whose_account_signed_in(
    told: dict[str, str], clean: bool
) -> None:
    """The account must be the one committed to, and one by which its admin named the person."""
    issuer, salt = "https://login.example", "ab" * 16
    named = {"name": "Maria", "email": "Maria@acme.example", "salt": salt}
    link = Link("0" * 32, "1" * 32, "person", "2" * 32, 0, 1, personal=commit_person(named))
    key = ec.generate_private_key(ec.SECP256R1())
    above = Link("1" * 32, "", "recipient", "3" * 32, 0, 1, jwk.from_key(key.public_key()).jwk)
    findings = Findings()
    delegations = Delegations(findings, None)
    for one, personal in ((above, None), (link, canonical.encode(named))):
        signed = sign_link(one, key, jwk.from_key(key.public_key()).thumbprint)
        delegations.granted(0, DelegationGranted(signed), personal)
    account = commit_account(issuer, "7f31", salt)
    facts = PersonSignedIn("2" * 32, issuer, 0, "0" * 64, account, "key")
    shown = {"sub": "7f31", "email": "maria@acme.example", **told}
    delegations.signed_in(1, facts, canonical.encode(shown))
    assert (not findings.counts) == clean, findings.kept


@pytest.mark.parametrize(
    ("kind", "forge"),
    [
        (Kind.BAD_RECORD, _another_provider),
        (Kind.BAD_RECORD, _change(ProviderRegistered, claim="sub")),
        (Kind.BAD_RECORD, _change(ProviderRegistered, client="another")),
        (Kind.BAD_RECORD, _change(ProviderRegistered, proof="none")),
        (Kind.BAD_RECORD, _change(ProviderRegistered, body="0" * 64)),
        (Kind.BAD_RECORD, _no_sign_in),
        (Kind.BAD_RECORD, _change(PersonSignedIn, issuer="https://evil.example")),
        (Kind.BAD_RECORD, _change(PersonSignedIn, auth_time=1)),
        (Kind.BAD_RECORD, _change(PersonSignedIn, person="0" * 32)),
        (Kind.BAD_RECORD, _change(PersonSignedIn, account="f" * 64)),
        (Kind.ILLEGAL_TOKEN, _change(TokenIssued, signed_in="other")),
    ],
)
async def test_a_forged_sign_in_is_named(
    served: Served, tmp_path: Path, kind: Kind, forge: Callable[[Forgery], int]
) -> None:
    forgery = served.forgery
    forge(forgery)
    out = forgery.write(tmp_path / "forged", served.signer)
    report = audit_export(out, served.view.verifier)
    assert kind in report.counts, report.findings


async def test_a_sign_in_for_another_key_makes_no_device_of_it(
    served: Served, tmp_path: Path
) -> None:
    forgery = served.forgery
    forgery.rows[forgery.first(PersonSignedIn)].change(key="x" * 43)
    out = forgery.write(tmp_path / "forged", served.signer)
    report = audit_export(out, served.view.verifier)
    enrolment = forgery.first(EnrolmentRequested)
    assert (enrolment, Kind.BAD_RECORD) in {(one.index, one.kind) for one in report.findings}


async def test_a_device_below_a_provider_names_who_confirmed_it(served: Served) -> None:
    granted = (served.forgery.rows[at].facts for at in served.forgery.of(DelegationGranted))
    links = [read_link(facts.link) for facts in granted if isinstance(facts, DelegationGranted)]
    assert [bool(link.personal) for link in links if link.kind == "device"] == [True]
