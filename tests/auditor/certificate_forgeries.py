"""What an operator could write about mTLS, each with the name an audit has for it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from bailment.access import base64url
from bailment.access.certificate import PATH, certification_body
from bailment.access.proof import token_hash
from bailment.auditor.findings import Kind
from bailment.ledger.identity_records import DeviceCertified
from bailment.ledger.records import TokenIssued

from .conftest import Past
from .forge import Forgery
from .forgeries import appended, change, opened
from .world import TOKEN_FORM, Device

HOUR = 3_600_000


def certificate(past: Past) -> str:
    return base64url.encode(sha256(past.world.id().encode()).digest())


def device(past: Past, name: str = "ada") -> Device:
    return past.lived.devices[name]


def certified(forgery: Forgery, past: Past, name: str = "ada", **changes: Any) -> tuple[int, str]:
    """The record of a certificate that the device did ask for; its index and the certificate."""
    its, slot = device(past, name), device(past, name).person.party.name
    proof = past.world.proof(its, certification_body(its.id), path=PATH)
    facts = DeviceCertified(its.id, certificate(past), past.world.now + HOUR, proof)
    facts = msgspec.structs.replace(facts, **changes)
    return appended(forgery, past, facts, slot), facts.certificate


def issued(
    forgery: Forgery, past: Past, to: str, name: str = "ada", **changes: Any
) -> tuple[int, str]:
    """The record of a token that is bound to this certificate; its index and its hash."""
    its = device(past, name)
    assert its.issued is not None
    now = past.world.now
    facts = msgspec.structs.replace(
        its.issued,
        token=certificate(past),
        proof="",
        certificate=to,
        issued=now // 1000 * 1000,
        until=now // 1000 * 1000 + 60_000,
        decided=now,
        body=sha256(TOKEN_FORM).hexdigest(),
        ratchet=sha256(past.world.id().encode()).hexdigest(),
        previous=its.issued.ratchet,
    )
    facts = msgspec.structs.replace(facts, **changes)
    assert isinstance(facts, TokenIssued)
    return appended(forgery, past, facts, its.person.party.name), facts.token


def by_mtls(forgery: Forgery, past: Past, token: str, of: str, **changes: Any) -> int:
    given = {"kind": "mtls", "proof": "", "token": token, "certificate": of, **changes}
    return opened(forgery, past, "ada", **given)


def honest(forgery: Forgery, past: Past) -> tuple[str, str]:
    """A certificate and a token of ada's, on the record as they should be."""
    _, name = certified(forgery, past)
    return name, issued(forgery, past, name)[1]


@change(Kind.BAD_PROOF)
def an_access_by_proof_without_its_proof(forgery: Forgery, past: Past) -> int:
    """The operator takes a token that is bound to a key, and says that it came by mTLS."""
    _, name = certified(forgery, past)
    its = device(past).issued
    assert its is not None
    return by_mtls(forgery, past, its.token, name)


@change(Kind.BAD_PROOF)
def an_access_over_another_connection_than_its_tokens(forgery: Forgery, past: Past) -> int:
    name, token = honest(forgery, past)
    _, other = certified(forgery, past)
    assert other != name
    return by_mtls(forgery, past, token, other)


@change(Kind.BAD_PROOF)
def an_access_by_certificate_recorded_as_by_proof(forgery: Forgery, past: Past) -> int:
    """Even with a proof that the device did make."""
    _, name = certified(forgery, past)
    text, its, body = past.world.id(), device(past), b"{}"
    issued(forgery, past, name, token=token_hash(text))
    proof = past.world.proof(its, body, token=text)
    digest = sha256(body).hexdigest()
    return opened(forgery, past, "ada", token=token_hash(text), body=digest, proof=proof)


@change(Kind.BAD_PROOF)
def an_access_by_certificate_and_by_proof(forgery: Forgery, past: Past) -> int:
    name, token = honest(forgery, past)
    proof = past.world.proof(device(past), b"{}")
    return by_mtls(forgery, past, token, name, proof=proof)


@change(Kind.ILLEGAL_TOKEN)
def a_token_for_a_certificate_that_is_not_on_the_record(forgery: Forgery, past: Past) -> int:
    return issued(forgery, past, certificate(past))[0]


@change(Kind.ILLEGAL_TOKEN)
def a_token_for_another_devices_certificate(forgery: Forgery, past: Past) -> int:
    _, name = certified(forgery, past, "cyd")
    return issued(forgery, past, name)[0]


@change(Kind.ILLEGAL_ACCESS)
def an_access_after_its_certificate_was_over(forgery: Forgery, past: Past) -> int:
    _, name = certified(forgery, past, until=past.world.now + 5_000)
    _, token = issued(forgery, past, name)
    with past.world.at(past.world.now + 5_000):
        return by_mtls(forgery, past, token, name)


@change(Kind.BAD_RECORD)
def a_certificate_that_its_device_did_not_ask_for(forgery: Forgery, past: Past) -> int:
    """An operator who would put an access by mTLS on somebody must have been asked by that key."""
    thief, its = device(past, "bob"), device(past)
    proof = past.world.proof(thief, certification_body(its.id), path=PATH)
    return certified(forgery, past, proof=proof)[0]


@change(Kind.BAD_RECORD)
def a_certificate_that_lasts_longer_than_the_policy_allows(forgery: Forgery, past: Past) -> int:
    return certified(forgery, past, until=past.world.now + 25 * HOUR)[0]


@change(Kind.BAD_RECORD)
def a_second_certificate_for_one_request(forgery: Forgery, past: Past) -> int:
    its = device(past)
    proof = past.world.proof(its, certification_body(its.id), path=PATH)
    certified(forgery, past, proof=proof)
    return certified(forgery, past, proof=proof)[0]
