"""Devices that enrol with keys in TPMs: what they come to be believed, and whoever pretends."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from bailment.access import attestation, base64url, jwk
from bailment.access.attestation import qualification
from bailment.agent import profile, tpm, tpm_key
from bailment.agent.client import enrol, fetch_token, wait_until_active
from bailment.agent.profile import Device as Enrolled
from bailment.agent.tpm import TpmError
from bailment.agent.tpm_key import Attester, TpmKey
from bailment.control.actions import invitation_hash
from bailment.ledger.records import EnrolmentRequested, TokenIssued

from ..software_tpm import DEVICE, Maker, Pretender, maker, name, public, running
from ..world import PURPOSE, Device, Person, World, refused, world
from .test_assurance import LONE, Acme, Lab
from .test_enrolment import problem

pytestmark = pytest.mark.anyio

_TTL = b"    invitation_ttl: PT15M\n"
TERMS = LONE.replace(_TTL, _TTL + b"    by_tier: {T1: {key_class: hw-attested}}\n")


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """A maker whose root the issuer believes, and a TPM of theirs."""
    return _maker(tmp_path_factory, "trusted")


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """A maker of whom the issuer knows nothing, and a TPM of theirs."""
    return _maker(tmp_path_factory, "unknown")


def believing(trusted: Maker) -> str:
    """Settings."""
    roots = ", ".join(f'"{one}"' for one in trusted.roots)
    return f"[tpm]\nroots = [{roots}]\n"


def _maker(factory: pytest.TempPathFactory, kind: str) -> Maker:
    found = maker(factory.mktemp(kind) / "maker")
    found.make(found.folder / "state")
    return found


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory, trusted: Maker) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), more=believing(trusted)) as made:
        yield made


@pytest.fixture
async def person(lab: World) -> Person:
    return await (await lab.recipient()).person()


@contextmanager
def machine(by: Maker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with a TPM by this maker."""
    shutil.copytree(by.folder / "state", folder)
    with running(folder) as path:
        monkeypatch.setenv(tpm.VARIABLE, path)
        yield


@pytest.fixture
def here(trusted: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with a TPM that the issuer can believe, and where a profile may lie."""
    with machine(trusted, tmp_path / "state", monkeypatch):
        yield tmp_path / "profile"


async def enrols(lab: World, person: Person, folder: Path, told: list[str] | None = None) -> Device:
    """The real agent enrols; what the gateway believes is in the log."""
    tell = [].append if told is None else told.append
    pending = await enrol(
        f"{lab.url}/enrol#{person.code}", folder, "laptop", place="tpm", tell=tell
    )
    device = Device(lab)
    device.id, device.code = pending.device, pending.code
    return device


async def active(lab: World, person: Person, folder: Path) -> Enrolled:
    await person.by.confirm(await enrols(lab, person, folder))
    return await wait_until_active(folder, 0.01)


async def test_a_key_in_a_believed_tpm_is_attested_in_log_profile_and_token(
    lab: World, person: Person, here: Path
) -> None:
    told: list[str] = []
    since = lab.size
    await person.by.confirm(await enrols(lab, person, here, told))
    device = await wait_until_active(here, 0.01)
    (record,) = lab.of(EnrolmentRequested, since)
    assert record.key_class == device.profile.key_class == "hw-attested"
    assert len(msgspec.json.encode(record.evidence)) < 4096
    assert told == ["the key is in this machine's TPM, and cannot leave it"]
    token = await fetch_token(device, PURPOSE)
    assert lab.of(TokenIssued, since)[-1].key_class == "hw-attested"
    claims = base64url.decode(token.split(".")[1])
    assert msgspec.json.decode(claims)["key_class"] == "hw-attested"
    assert not (here / "ratchet").exists()


async def test_who_audits_can_check_the_evidence_and_who_has_names_the_tpm(
    lab: World, person: Person, here: Path
) -> None:
    """The facts prove the key; the TPM's own certificate is in the personal part alone."""
    since = lab.size
    await enrols(lab, person, here)
    (record,) = lab.of(EnrolmentRequested, since)
    key = jwk.parse(record.key)
    attestation.verify(record.evidence, key, record.invitation)
    index = lab.register.state.enrolled[record.device]
    personal = lab.issuer.actions.people.at(index)
    assert personal["device"] == "laptop"
    digest = attestation.digest(record.evidence, personal["certificates"], personal["salt"])
    assert digest == record.attestation
    certificate = personal["certificates"].split()[0]
    assert certificate.encode() not in msgspec.json.encode(record)
    assert lab.register.state.devices[record.device].evidence is msgspec.UNSET


async def test_the_agent_of_a_key_in_a_tpm_gets_an_answer_from_the_model(
    lab: World, person: Person, here: Path
) -> None:
    from bailment.agent.sdk import BailmentAuth

    device = await active(lab, person, here)
    async with httpx2.AsyncClient(auth=BailmentAuth(device, PURPOSE)) as http:
        body = {"model": "smollm2", "messages": [{"role": "user", "content": "hello"}]}
        answered = await http.post(f"{lab.url}/v1/chat/completions", json=body)
    assert answered.status_code == 200, answered.text


async def test_a_copied_profile_is_useless_on_another_machine(
    lab: World,
    person: Person,
    here: Path,
    trusted: Maker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await active(lab, person, here)
    shutil.copytree(here, tmp_path / "copy")
    trusted.make(tmp_path / "other")
    with running(tmp_path / "other") as path:
        monkeypatch.setenv(tpm.VARIABLE, path)
        with pytest.raises(TpmError, match="does not know this device's key"):
            profile.load(tmp_path / "copy")


async def test_a_tpm_of_a_maker_who_is_not_believed_is_unattested(
    lab: World, person: Person, unknown: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`EK root not configured`. Its tokens come with handles, as those of a key in a file do."""
    told: list[str] = []
    since = lab.size
    with machine(unknown, tmp_path / "state", monkeypatch):
        await person.by.confirm(await enrols(lab, person, tmp_path / "profile", told))
        device = await wait_until_active(tmp_path / "profile", 0.01)
        await fetch_token(device, PURPOSE)
    (record,) = lab.of(EnrolmentRequested, since)
    assert (record.key_class, record.evidence.root) == ("hw-unattested", "")
    assert told[-1].endswith("no root that the issuer believes vouches for this TPM")
    assert (tmp_path / "profile" / "ratchet").exists()


async def test_the_tier_that_asks_for_an_attested_key_gets_no_other(
    tmp_path: Path, trusted: Maker, here: Path
) -> None:
    assert TERMS != LONE
    async with world(tmp_path, more=believing(trusted)) as made:
        lab = Lab(made)
        await lab.prepare(TERMS)
        await lab.tier("smollm2", "T1")
        acme: Acme = await lab.acme()
        assert (await acme.hand("roster", acme.roster())).json()["items"]
        software = await (await acme.recipient.person()).device()
        assert refused(await software.ask()) == (403, "key-class-too-low")
        device = await active(made, await acme.recipient.person("Noor"), here)
        hardware = Device(made, private=device.key)
        hardware.id = device.profile.device
        assert (await (await hardware.renew()).ask()).status_code == 200


# Who pretends


class Enrolling:
    """An enrolment by hand, of which each part can be another."""

    def __init__(self, lab: World, person: Person, device: Device) -> None:
        self.lab = lab
        self.person = person
        self.device = device
        self.thumbprint = device.public.thumbprint
        self.hashed = invitation_hash(person.code)

    async def challenged(
        self, key: bytes, attester: bytes, certificates: list[bytes] | None = None
    ) -> httpx2.Response:
        body = {
            "invitation": self.person.code,
            "key": base64url.encode(key),
            "attester": base64url.encode(attester),
            "certificates": [base64url.encode(one) for one in certificates or []],
        }
        return await self.device.post("/enrol/attestations", body)

    async def answers(
        self, attest: bytes, signature: bytes, activated: bytes = b"", **changes: Any
    ) -> httpx2.Response:
        shown = {
            "attest": base64url.encode(attest),
            "signature": base64url.encode(signature),
            "activated": base64url.encode(activated),
        }
        body = {
            "invitation": self.person.code,
            "name": "laptop",
            "key_class": "hw-attested",
            "attestation": shown,
        }
        return await self.device.post("/enrol/requests", {**body, **changes})

    def qualified(self, sent: httpx2.Response) -> bytes:
        assert sent.status_code == 201, sent.text
        nonce = base64url.decode(sent.json()["nonce"])
        return qualification(nonce, self.thumbprint, self.hashed)


@pytest.fixture
def software(lab: World, person: Person) -> Enrolling:
    """A device whose key is in a file, and which says otherwise."""
    return Enrolling(lab, person, Device(lab))


def area(device: Device, attributes: int = DEVICE) -> bytes:
    return public(device.private.public_key(), attributes)


def wrong(sent: httpx2.Response, says: str) -> bool:
    assert problem(sent) == (403, "attestation-wrong"), sent.text
    return says in sent.json()["detail"]


@pytest.mark.parametrize("key_class", ["hw-attested", "hw-unattested"])
async def test_a_software_key_that_claims_hardware_without_evidence(
    software: Enrolling, key_class: str
) -> None:
    body = {"invitation": software.person.code, "name": "x", "key_class": key_class}
    sent = await software.device.post("/enrol/requests", body)
    assert wrong(sent, "a key in hardware comes with its attestation")


async def test_a_self_made_attestation_key_proves_no_hardware(software: Enrolling) -> None:
    """A program can say all that a TPM says: it is believed as little as it was."""
    made, since = Pretender(), software.lab.size
    sent = await software.challenged(area(software.device), made.public())
    certified = made.certify(area(software.device), software.qualified(sent))
    enrolled = await software.answers(*certified)
    assert enrolled.json()["key_class"] == "hw-unattested"
    assert software.lab.of(EnrolmentRequested, since)[0].key_class == "hw-unattested"


async def test_a_self_made_key_with_somebody_elses_endorsement(
    software: Enrolling, here: Path
) -> None:
    """The certificate is genuine, and public; the TPM tells the secret to its own keys alone."""
    real = tpm_key.make_key(_in(here))
    attester = Attester(real)
    made = Pretender()
    shown = attester.certificates()
    sent = await software.challenged(area(software.device), made.public(), shown)
    asked = sent.json()
    sealed = base64url.decode(asked["credential"]), base64url.decode(asked["secret"])
    assert all(sealed)
    with pytest.raises(TpmError):
        attester.activate(*sealed)
    certified = made.certify(area(software.device), software.qualified(sent))
    guessed = await software.answers(*certified, os.urandom(32))
    assert wrong(guessed, "the attestation key is not in the TPM that was endorsed")
    again = await software.answers(*certified, os.urandom(32))
    assert wrong(again, "this key was not challenged")


async def test_a_key_that_may_leave_its_tpm(software: Enrolling) -> None:
    for missing in (1 << 1, 1 << 4, 1 << 5):
        key = area(software.device, DEVICE & ~missing)
        sent = await software.challenged(key, Pretender().public())
        assert wrong(sent, "may leave its TPM, or came from outside")


async def test_an_attestation_key_that_is_not_restricted(software: Enrolling) -> None:
    made = Pretender()
    sent = await software.challenged(area(software.device), made.public(DEVICE))
    assert wrong(sent, "would sign what its TPM did not say")


async def test_an_attestation_of_another_key(software: Enrolling) -> None:
    made, other = Pretender(), Pretender()
    sent = await software.challenged(area(software.device), made.public())
    certified = made.certify(other.public(DEVICE), software.qualified(sent))
    assert wrong(await software.answers(*certified), "certifies another key")
    shown = await software.challenged(other.public(DEVICE), made.public())
    assert wrong(shown, "another key than the device's")


async def test_a_certification_for_another_challenge(software: Enrolling) -> None:
    made = Pretender()
    first = await software.challenged(area(software.device), made.public())
    replayed = made.certify(area(software.device), software.qualified(first))
    await software.challenged(area(software.device), made.public())
    assert wrong(await software.answers(*replayed), "made for another challenge")


async def test_a_certification_for_another_invitation(lab: World, software: Enrolling) -> None:
    another = Enrolling(lab, await software.person.by.person("Noor"), software.device)
    made = Pretender()
    sent = await another.challenged(area(software.device), made.public())
    foreign = made.certify(area(software.device), software.qualified(sent))
    assert wrong(await another.answers(*foreign), "made for another challenge")


async def test_a_challenge_of_another_key(lab: World, software: Enrolling) -> None:
    made, since = Pretender(), lab.size
    sent = await software.challenged(area(software.device), made.public())
    certified = made.certify(area(software.device), software.qualified(sent))
    software.device = Device(lab)
    assert wrong(await software.answers(*certified), "was not challenged")
    assert lab.of(EnrolmentRequested, since) == []


async def test_an_attestation_for_a_key_that_says_it_is_in_a_file(software: Enrolling) -> None:
    made = Pretender()
    sent = await software.challenged(area(software.device), made.public())
    certified = made.certify(area(software.device), software.qualified(sent))
    assert wrong(await software.answers(*certified, key_class="software"), "and no other")


async def test_an_invitation_that_is_no_good_is_challenged_by_nobody(
    lab: World, software: Enrolling
) -> None:
    await software.person.enrol()
    sent = await software.challenged(area(software.device), Pretender().public())
    assert problem(sent) == (403, "chain-broken")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"key": "A" * 801}, 400),
        ({"certificates": ["A" * 6000]}, 400),
        ({"certificates": ["AAAA"] * 5}, 400),
        ({"certificates": "AAAA"}, 400),
        ({"more": "AAAA"}, 400),
        ({"key": "AAAA"}, 403),
        ({"key": "=!"}, 403),
        ({"attester": ""}, 403),
        ({"certificates": ["=!"]}, 403),
    ],
)
async def test_oversized_and_malformed_structures_are_refused(
    software: Enrolling, body: dict[str, Any], status: int
) -> None:
    whole = {
        "invitation": software.person.code,
        "key": base64url.encode(area(software.device)),
        "attester": base64url.encode(Pretender().public()),
    }
    sent = await software.device.post("/enrol/attestations", {**whole, **body})
    assert problem(sent)[0] == status


@pytest.mark.parametrize("certificate", [b"", b"\x30\x82\xff\xff", os.urandom(1000)])
async def test_a_certificate_that_is_none_vouches_for_nothing(
    software: Enrolling, certificate: bytes
) -> None:
    sent = await software.challenged(area(software.device), Pretender().public(), [certificate])
    assert (sent.status_code, sent.json()["credential"]) == (201, "")


def _in(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder / tpm_key.KEY


async def test_the_name_is_the_tpms(here: Path) -> None:
    """What we compute is what a TPM certifies."""
    key: TpmKey = tpm_key.make_key(_in(here))
    attest, _ = Attester(key).certify(b"n")
    found = attestation.read_certified(attest)
    assert (found.name, found.qualification) == (name(key.public), b"n")
