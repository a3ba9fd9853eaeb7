"""Every token against every way to show it: exactly those that fit get in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from typing import Any

import pytest

from bailment.access.certificate import thumbprint
from bailment.access.nonce import Nonces
from bailment.access.proof import make_proof, token_hash
from bailment.access.reasons import Reason
from bailment.gateway.credentials import Caller, Credentials, Stranger
from bailment.gateway.intake import arrive

from ..access.book import URL, Book, Party

PATH = "/v1/messages"
DERS = {name: name.encode() * 50 for name in ("own", "before", "oldest", "other", "unknown")}
NONE = ""


@dataclass(frozen=True)
class Case:
    """How a request is made: the token's binding, the proof with it, and the connection."""

    bound: str  # "key", or whose certificate
    proof: str  # none, own, or by another key
    over: str  # the certificate of the connection
    where: str = "bearer"

    @property
    def expected(self) -> Reason | str:
        """What must come of it: the kind of the record, or the reason of the refusal."""
        if self.bound == "key":
            if self.proof == NONE:
                return Reason.PROOF_MISSING
            return "dpop-body" if self.proof == "own" else Reason.PROOF_KEY
        if self.proof != NONE:
            return Reason.PROOF_KEY
        if self.over == NONE:
            return Reason.CERTIFICATE_MISSING
        if self.over != self.bound:
            return Reason.CERTIFICATE_OTHER
        return "mtls" if self.bound in ("own", "before") else Reason.CERTIFICATE_OTHER


class Gate:
    """A gateway's credentials, with two devices and their certificates."""

    def __init__(self) -> None:
        self.book = book = Book()
        acme = book.recipient()
        self.laptop = book.device(acme, book.person(acme))
        self.other = book.device(acme, book.person(acme))
        for name in ("oldest", "before", "own"):
            book.certify(self.laptop, certificate=thumbprint(DERS[name]))
        book.certify(self.other, certificate=thumbprint(DERS["other"]))
        self.texts: dict[str, str] = {}
        for bound in ("key", "own", "before", "oldest", "other", "unknown"):
            self.texts[bound] = text = book.new_id()
            binding = {} if bound == "key" else {"certificate": thumbprint(DERS[bound])}
            if bound != "key":
                binding["proof"] = ""
            book.token(self.laptop, token=token_hash(text), **binding)
        self.nonces = Nonces(bytes(32), 120_000)
        self.credentials = Credentials(book.fold, self.nonces)

    def proof(self, by: Party, token: str) -> str:
        return make_proof(
            by.key,
            by.public,
            method="POST",
            target=URL + PATH,
            body_sha256=sha256(b"").digest(),
            token=token,
            nonce=self.nonces.current(self.book.time),
            jti=self.book.new_id(),
            now_s=self.book.time // 1000,
        )

    def check(self, case: Case) -> Caller | Stranger:
        text = self.texts[case.bound]
        headers = []
        if case.where != "x-api-key":
            headers.append((b"authorization", f"{case.where} {text}".encode()))
        else:
            headers.append((b"x-api-key", text.encode()))
        if case.proof:
            by = self.laptop if case.proof == "own" else self.other
            headers.append((b"dpop", self.proof(by, text).encode()))
        chain = [ssl.DER_cert_to_PEM_cert(DERS[case.over])] if case.over else []
        scope: dict[str, Any] = {
            "method": "POST",
            "raw_path": PATH.encode(),
            "headers": headers,
            "extensions": {"tls": {"client_cert_chain": chain}},
        }
        return self.credentials.check(arrive(scope, ()), self.book.time)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


CASES = [
    Case(bound, proof, over)
    for bound, proof, over in product(
        ("key", "own", "before", "oldest", "other", "unknown"),
        (NONE, "own", "another"),
        (NONE, *DERS),
    )
]


@pytest.mark.parametrize("where", ["bearer", "DPoP", "x-api-key"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.bound}-{c.proof}-{c.over}")
def test_a_token_gets_in_as_it_is_bound_and_not_otherwise(
    gate: Gate, case: Case, where: str
) -> None:
    found = gate.check(replace(case, where=where))
    if isinstance(found, Stranger):
        assert found.refused.reason is case.expected
        assert found.token is not None
        assert found.token.device == gate.laptop.its.subject, "its owner is named"
        return
    assert found.kind == case.expected
    assert (found.proof is None) == (found.kind == "mtls")
    assert found.certificate == (thumbprint(DERS[case.over]) if found.kind == "mtls" else "")


def test_of_all_ways_to_show_a_token_few_get_in(gate: Gate) -> None:
    """By proof over any connection, and by each of the device's two newest certificates."""
    good = [case for case in CASES if isinstance(gate.check(case), Caller)]
    assert good == [
        *(Case("key", "own", over) for over in (NONE, *DERS)),
        *(Case(name, NONE, name) for name in ("own", "before")),
    ]


def test_a_certificate_is_over_at_that_very_millisecond() -> None:
    gate = Gate()
    book = gate.book
    book.certify(gate.laptop, certificate=thumbprint(DERS["unknown"]), until=book.time + 60_000)
    case = Case("unknown", NONE, "unknown")
    book.time += 59_999
    assert isinstance(gate.check(case), Caller)
    book.time += 1
    found = gate.check(case)
    assert isinstance(found, Stranger)
    assert found.refused.reason is Reason.CERTIFICATE_EXPIRED


def test_a_token_that_the_log_does_not_hold_is_refused_over_any_connection(gate: Gate) -> None:
    gate.texts["none"] = "a.b.c"
    for over in (NONE, "own"):
        found = gate.check(Case("none", NONE, over))
        assert isinstance(found, Stranger)
        assert found.token is None
        wanted = Reason.TOKEN_MALFORMED if over else Reason.PROOF_MISSING
        assert found.refused.reason is wanted
