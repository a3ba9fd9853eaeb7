"""What a TPM says of a key: the published vectors, and everything that is nearly so."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from bailment.access import attestation, base64url, jwk
from bailment.access.reasons import Reason
from bailment.errors import FormatError, VerificationError
from bailment.ledger.key_evidence import KeyEvidence
from bailment.ledger.records import EnrolmentRequested, InvitationIssued

from .book import Book

VECTORS = json.loads(
    (Path(__file__).parents[2] / "formats" / "vectors" / "attestation.json").read_bytes()
)
KEY = jwk.parse(VECTORS["jwk"])
INVITATION: str = VECTORS["invitation"]
PARTS = ("key", "attester", "attest", "signature", "nonce")


def evidence(case: dict[str, Any]) -> KeyEvidence:
    return KeyEvidence(**{part: case[part] for part in PARTS})


GENUINE = evidence(VECTORS["cases"][0])
EXPECTED = {"malformed": FormatError, "unverified": VerificationError}


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_evidence_has_its_outcome(case: dict[str, Any]) -> None:
    if case["result"] == "ok":
        attestation.verify(evidence(case), KEY, INVITATION)
        return
    with pytest.raises(EXPECTED[case["result"]]):
        attestation.verify(evidence(case), KEY, INVITATION)


def test_the_vectors_have_a_case_of_each_outcome() -> None:
    results = [case["result"] for case in VECTORS["cases"]]
    assert (results.count("ok"), results.count("malformed") > 9, len(results) > 25) == (
        1,
        True,
        True,
    )


def test_a_tpm_and_we_call_a_key_the_same() -> None:
    public = attestation.read_public(base64url.decode(GENUINE.key))
    assert public.name.hex() == VECTORS["name"]
    assert attestation.read_certified(base64url.decode(GENUINE.attest)).name == public.name


def test_it_is_good_for_one_key_and_one_invitation() -> None:
    other = attestation.read_public(base64url.decode(GENUINE.attester)).key
    for key, invitation in ((other, INVITATION), (KEY, "0" * 64)):
        with pytest.raises(VerificationError):
            attestation.verify(GENUINE, key, invitation)


@pytest.mark.parametrize("part", PARTS)
def test_no_bit_of_it_may_be_another(part: str) -> None:
    data = base64url.decode(getattr(GENUINE, part))
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        changed = msgspec.structs.replace(GENUINE, **{part: base64url.encode(bytes(flipped))})
        with pytest.raises((FormatError, VerificationError)):
            attestation.verify(changed, KEY, INVITATION)


@pytest.mark.parametrize("part", ["key", "attester", "attest", "signature"])
def test_no_beginning_of_it_is_taken_for_the_whole(part: str) -> None:
    data = base64url.decode(getattr(GENUINE, part))
    for size in range(len(data)):
        changed = msgspec.structs.replace(GENUINE, **{part: base64url.encode(data[:size])})
        with pytest.raises(FormatError):
            attestation.verify(changed, KEY, INVITATION)


READERS = (attestation.read_public, attestation.read_certified, attestation.read_signature)


@given(st.binary(max_size=700))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for read in READERS:
        with suppress(FormatError):
            read(data)


@given(st.sampled_from(PARTS[:4]), st.data())
def test_whatever_is_spliced_in_is_refused(part: str, data: st.DataObject) -> None:
    octets = base64url.decode(getattr(GENUINE, part))
    start = data.draw(st.integers(0, len(octets)))
    end = data.draw(st.integers(start, len(octets)))
    spliced = octets[:start] + data.draw(st.binary(max_size=80)) + octets[end:]
    changed = msgspec.structs.replace(GENUINE, **{part: base64url.encode(spliced)})
    if spliced == octets:
        return
    with pytest.raises((FormatError, VerificationError)):
        attestation.verify(changed, KEY, INVITATION)


# In the register


def enrolment(book: Book, **changes: Any) -> EnrolmentRequested:
    """A device that enrols with the key of the vectors, under their invitation."""
    person = book.person(book.recipient())
    until = book.time + 900_000
    book.add(InvitationIssued(INVITATION, person.its.id, until))
    facts = EnrolmentRequested(
        book.new_id(), INVITATION, "", KEY.jwk, "hw-unattested", "proof", until, "0" * 64, GENUINE
    )
    return msgspec.structs.replace(facts, **changes)


def test_the_register_takes_a_class_that_follows_from_the_evidence() -> None:
    book = Book()
    facts = enrolment(book)
    book.add(facts)
    assert book.register.state.devices[facts.device].key_class == "hw-unattested"
    assert book.register.state.devices[facts.device].evidence is UNSET


ROOTED = msgspec.structs.replace(GENUINE, root="a" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"key_class": "hw-attested"},
        {"key_class": "software"},
        {"evidence": UNSET},
        {"attestation": UNSET},
        {"evidence": UNSET, "attestation": UNSET},
        {"evidence": UNSET, "attestation": UNSET, "key_class": "hw-attested"},
        {"evidence": ROOTED},
        {"evidence": msgspec.structs.replace(GENUINE, nonce="AAAA")},
        {"evidence": msgspec.structs.replace(ROOTED, nonce="AAAA"), "key_class": "hw-attested"},
        {"evidence": msgspec.structs.replace(GENUINE, attest="=")},
    ],
)
def test_the_register_takes_no_class_that_does_not_follow(changes: dict[str, Any]) -> None:
    """So neither an issuer that believes too much nor one that forges has its log pass an audit."""
    book = Book()
    facts = enrolment(book, **changes)
    refused = book.register.check(facts, book.time)
    assert refused is not None and refused.reason is Reason.ATTESTATION_WRONG


def test_an_attested_class_goes_with_a_root() -> None:
    book = Book()
    facts = enrolment(book, evidence=ROOTED, key_class="hw-attested")
    assert book.register.check(facts, book.time) is None
