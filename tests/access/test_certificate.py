"""Certificates on the record: who may have one, how long, and what a token bound to one needs."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.access import base64url
from bailment.access.certificate import (
    PATH,
    bound,
    certificate_of,
    certification_body,
    presented_certificate,
    thumbprint,
)
from bailment.access.decision import Allowed, decide, issuable
from bailment.access.fold import Fold
from bailment.access.proof import make_proof
from bailment.access.reasons import Reason, Refused
from bailment.ledger.identity_records import DeviceCertified
from bailment.ledger.records import DelegationEnded

from .book import DAY, URL, Book, Party

HOUR = 3_600_000


class Lab:
    def __init__(self) -> None:
        self.book = Book()
        self.acme = self.book.recipient()
        self.maria = self.book.person(self.acme)
        self.laptop = self.book.device(self.acme, self.maria)

    def refusal(self, facts: DeviceCertified) -> Reason | None:
        refused = self.book.register.check(facts, self.book.time)
        return refused.reason if refused else None

    def asks(self, **changes: Any) -> Reason | None:
        return self.refusal(self.book.make_certificate(self.laptop, **changes))


@pytest.fixture
def lab() -> Lab:
    return Lab()


# Who may have one


def test_a_device_is_certified_for_a_day_if_no_spec_says_else(lab: Lab) -> None:
    assert lab.asks(until=lab.book.time + DAY) is None
    assert lab.asks(until=lab.book.time + DAY + 1) is Reason.CHAIN_BROKEN
    assert lab.asks(until=lab.book.time) is Reason.CHAIN_BROKEN


def test_a_certificate_does_not_outlive_any_link_above(lab: Lab) -> None:
    for kind in ("person", "device"):
        book = lab.book
        until = book.time + HOUR
        person = book.person(lab.acme, **({"until": until} if kind == "person" else {}))
        device = book.device(lab.acme, person, **({"until": until} if kind == "device" else {}))
        assert lab.refusal(book.make_certificate(device, until=until)) is None
        late = book.make_certificate(device, until=until + 1)
        assert lab.refusal(late) is Reason.CHAIN_BROKEN


def test_only_the_devices_key_can_ask(lab: Lab) -> None:
    other = lab.book.device(lab.acme, lab.maria)
    assert lab.asks(by=other) is Reason.PROOF_KEY
    assert lab.asks(by=lab.acme) is Reason.PROOF_KEY, "not even its organisation's admin"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "GET"}, Reason.PROOF_METHOD),
        ({"target": URL + "/oauth/token"}, Reason.PROOF_TARGET),
        ({"token": "a token"}, Reason.PROOF_TOKEN),
        ({"body_sha256": sha256(b"{}").digest()}, Reason.PROOF_BODY),
        ({"ago_s": 66}, Reason.PROOF_STALE),
        ({"ago_s": -6}, Reason.PROOF_FUTURE),
    ],
)
def test_the_proof_must_ask_for_just_this(
    lab: Lab, changes: dict[str, Any], reason: Reason
) -> None:
    name = lab.laptop.its.subject
    given: dict[str, Any] = {
        "method": "POST",
        "target": URL + PATH,
        "body_sha256": sha256(certification_body(name)).digest(),
        "token": None,
        "nonce": None,
        "jti": lab.book.new_id(),
        "now_s": lab.book.time // 1000 - changes.pop("ago_s", 0),
    }
    proof = make_proof(lab.laptop.key, lab.laptop.public, **{**given, **changes})
    assert lab.asks(proof=proof) is reason


def test_a_request_for_a_certificate_that_was_used_is_not_used_again(lab: Lab) -> None:
    asked = lab.book.make_certificate(lab.laptop)
    lab.book.certify(lab.laptop, proof=asked.proof)
    assert lab.refusal(asked) is Reason.PROOF_REPLAYED


def test_something_that_is_no_proof_asks_for_nothing(lab: Lab) -> None:
    assert lab.asks(proof="proof") is Reason.PROOF_MALFORMED


def test_a_certificate_is_one_devices(lab: Lab) -> None:
    known = lab.book.certify(lab.laptop)
    other = lab.book.device(lab.acme, lab.maria)
    asked = lab.book.make_certificate(other, certificate=known)
    assert lab.refusal(asked) is Reason.CHAIN_BROKEN


def test_only_a_confirmed_device_is_certified(lab: Lab) -> None:
    assert lab.asks(device="0" * 32) is Reason.LINK_UNKNOWN
    assert lab.asks(device=lab.maria.its.subject) is Reason.LINK_UNKNOWN
    _, waiting = lab.book.enrol(lab.maria)
    assert lab.asks(device=waiting) is Reason.LINK_UNKNOWN


@pytest.mark.parametrize("kind", ["everything", "recipient", "person", "device", "link"])
def test_a_held_device_gets_no_certificate(lab: Lab, kind: str) -> None:
    subject = {
        "everything": "everything",
        "recipient": f"recipient:{lab.acme.its.subject}",
        "person": f"person:{lab.maria.its.subject}",
        "device": f"device:{lab.laptop.its.subject}",
        "link": f"link:{lab.maria.its.id}",
    }[kind]
    lab.book.hold(subject)
    assert lab.asks() is Reason.HELD


@pytest.mark.parametrize("of", ["acme", "maria", "laptop"])
def test_a_device_under_an_ended_link_gets_no_certificate(lab: Lab, of: str) -> None:
    party: Party = getattr(lab, of)
    lab.book.add(DelegationEnded(party.its.id, "tests", "a test"))
    assert lab.asks() is Reason.LINK_ENDED


def test_a_device_whose_link_is_over_gets_no_certificate(lab: Lab) -> None:
    lab.book.time = lab.laptop.its.until
    assert lab.asks() is Reason.LINK_EXPIRED


# What a token that is bound to one needs


def test_a_token_is_good_with_its_devices_certificate_and_no_longer(lab: Lab) -> None:
    book = lab.book
    name = book.certify(lab.laptop, until=book.time + HOUR)
    book.time += HOUR - 1
    token = book.make_token(lab.laptop, certificate=name, proof="")
    assert isinstance(decide(book.ask(token), book.register, book.time), Allowed)
    assert isinstance(issuable(token, book.register, book.time), Allowed)
    for answer in (
        decide(book.ask(token), book.register, book.time + 1),
        issuable(token, book.register, book.time + 1),
    ):
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.CERTIFICATE_EXPIRED


def test_a_certificate_of_another_device_is_not_the_tokens(lab: Lab) -> None:
    other = lab.book.device(lab.acme, lab.maria)
    theirs = lab.book.certify(other)
    token = lab.book.make_token(lab.laptop, certificate=theirs, proof="")
    for answer in (
        decide(lab.book.ask(token), lab.book.register, lab.book.time),
        issuable(token, lab.book.register, lab.book.time),
    ):
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.CERTIFICATE_OTHER


def test_a_devices_two_newest_certificates_are_good(lab: Lab) -> None:
    """The one in use, and the one that it renews to."""
    names = [lab.book.certify(lab.laptop) for _ in range(3)]
    good = [
        bound(
            lab.book.register,
            lab.book.make_token(lab.laptop, certificate=name, proof=""),
            lab.book.time,
        )
        is None
        for name in names
    ]
    assert good == [False, True, True]
    device = lab.laptop.its.subject
    assert certificate_of(lab.book.register, device, names[0]) is None
    assert certificate_of(lab.book.register, "0" * 32, names[2]) is None
    assert len(lab.book.register.state.certificates[device]) == 2


def test_a_token_that_is_bound_to_a_key_needs_no_certificate(lab: Lab) -> None:
    assert bound(lab.book.register, lab.book.make_token(lab.laptop), lab.book.time) is None


def test_a_hold_reaches_a_token_that_is_bound_to_a_certificate(lab: Lab) -> None:
    token = lab.book.make_token(lab.laptop, certificate=lab.book.certify(lab.laptop), proof="")
    lab.book.hold(f"device:{lab.laptop.its.subject}")
    answer = decide(lab.book.ask(token), lab.book.register, lab.book.time)
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.HELD


# At the append


def test_an_access_is_admitted_with_the_certificate_of_its_token_alone(lab: Lab) -> None:
    book = lab.book
    names = [book.certify(lab.laptop) for _ in range(2)]
    token = book.token(lab.laptop, certificate=names[0], proof="")
    by_proof = book.token(lab.laptop)

    def admitted(token: Any, **given: Any) -> Reason | None:
        answer = book.admit(book.make_access(lab.laptop, token, **given))
        assert answer is None or isinstance(answer, Refused)
        return answer.reason if answer else None

    mtls: dict[str, Any] = {"kind": "mtls", "proof": ""}
    assert admitted(token, certificate=names[0], **mtls) is None
    assert admitted(token, certificate=names[1], **mtls) is Reason.CERTIFICATE_OTHER
    assert admitted(token) is Reason.CERTIFICATE_OTHER, "a proof in place of the certificate"
    assert admitted(by_proof) is None
    assert admitted(by_proof, certificate=names[0], **mtls) is Reason.CERTIFICATE_OTHER


def test_accesses_by_certificate_repeat_and_proofs_do_not(lab: Lab) -> None:
    book = lab.book
    name = book.certify(lab.laptop)
    token = book.token(lab.laptop, certificate=name, proof="")
    for _ in range(3):
        assert book.open(lab.laptop, token, kind="mtls", proof="", certificate=name)
    by_proof = book.token(lab.laptop)
    proof = book.proof(lab.laptop)
    assert book.open(lab.laptop, by_proof, proof=proof)
    assert book.open(lab.laptop, by_proof, proof=proof) is None


def test_a_snapshot_has_the_certificates(lab: Lab) -> None:
    name = lab.book.certify(lab.laptop)
    again = Fold.decode(lab.book.fold.encode())
    assert again.encode() == lab.book.fold.encode()
    assert certificate_of(again.register, lab.laptop.its.subject, name) is not None


# At the listener


def scope(pem: str) -> dict[str, Any]:
    return {"extensions": {"tls": {"client_cert_chain": [pem]}}}


def armoured(der: bytes, width: int = 64) -> str:
    text = base64url.encode(der).replace("-", "+").replace("_", "/")
    text += "=" * (-len(text) % 4)
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


@given(st.binary(min_size=1, max_size=4096))
def test_a_certificate_is_named_by_the_hash_of_its_octets(der: bytes) -> None:
    assert presented_certificate(scope(armoured(der))) == thumbprint(der)
    assert thumbprint(der) == base64url.encode(sha256(der).digest())
    assert len(thumbprint(der)) == 43


@pytest.mark.parametrize(
    "none",
    [
        {},
        {"extensions": {}},
        {"extensions": {"tls": {}}},
        {"extensions": {"tls": {"client_cert_chain": []}}},
    ],
)
def test_a_connection_without_a_certificate_has_none(none: dict[str, Any]) -> None:
    assert presented_certificate(none) == ""
