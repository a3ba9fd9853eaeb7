"""What the spec's terms ask of callers: key class, presentation, sign-in, and being heard."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bailment.access.decision import Allowed, decide
from bailment.access.reasons import Reason, Refused
from bailment.ledger.identity_records import (
    PersonSignedIn,
    ProviderRegistered,
    SignalSource,
    SourceSilent,
    TokenRevoked,
)
from bailment.ledger.records import ModelRegistered, TokenIssued

from .book import DAY, Party
from .small_spec import SPEC, Specified

HOUR = 3_600_000
IDP = "https://idp.acme.example"


class Acme:
    """A recipient in good standing, and a device of one of its people."""

    def __init__(self, terms: str) -> None:
        text = SPEC.replace(
            b"    certificate_ttl: P1D\n",
            f"    certificate_ttl: P1D\n    by_tier:\n      T1: {{{terms}}}\n".encode(),
        )
        self.book = book = Specified()
        book.add(book.tiered("small", "T1", "ada"))
        self.party: Party = book.recipient()
        self.id = self.party.its.subject
        book.enclave(self.id, "tenant-a")
        book.show(self.id, book.item("roster", claims={"unmatched_accounts": 0}))
        book.judge(self.id)
        self.person = book.person(self.party)
        self.laptop = book.device(self.party, self.person)
        book.add(book.spec(text))
        book.judge(self.id)

    def asks(self, **token: Any) -> Reason | None:
        made = self.book.make_token(self.laptop, **token)
        return self.asks_with(made)

    def asks_with(self, token: TokenIssued) -> Reason | None:
        answer = decide(self.book.ask(token), self.book.register, self.book.time)
        return answer.reason if isinstance(answer, Refused) else None

    def signs_in(self, ago: int = 0, acr: str = "") -> None:
        """As if so; by which rules it comes into the log is `signing_in`'s."""
        person, state = self.person.its.subject, self.book.register.state
        state.providers[self.id] = ProviderRegistered(self.id, IDP, "client", "sub", "", "")
        state.signed_in[person] = PersonSignedIn(
            person, IDP, self.book.time - ago, "0" * 64, "0" * 64, "key", acr=acr
        )


@pytest.mark.parametrize(
    ("needed", "held", "refused"),
    [
        ("software", "software", None),
        ("hw-unattested", "software", Reason.KEY_CLASS_TOO_LOW),
        ("hw-unattested", "hw-attested", None),
        ("hw-attested", "hw-unattested", Reason.KEY_CLASS_TOO_LOW),
    ],
)
def test_a_tier_asks_for_a_class_of_key(needed: str, held: str, refused: Reason | None) -> None:
    assert Acme(f"key_class: {needed}").asks(key_class=held) is refused


def test_a_tier_asks_for_a_way_to_present_tokens() -> None:
    by_proof = Acme("presentation: [dpop-body]")
    certificate = by_proof.book.certify(by_proof.laptop)
    assert by_proof.asks() is None
    assert by_proof.asks(certificate=certificate) is Reason.PRESENTATION_TOO_WEAK
    either = Acme("presentation: [dpop-body, mtls]")
    certificate = either.book.certify(either.laptop)
    assert either.asks(certificate=certificate) is None


def test_a_sign_in_is_asked_for_and_grows_too_old_at_that_very_millisecond() -> None:
    acme = Acme("max_sign_in_age: PT1H")
    assert acme.asks() is Reason.SIGN_IN_TOO_OLD, "nobody signed in"
    acme.signs_in(ago=HOUR - 1000)
    acme.book.time += 999
    assert acme.asks() is None
    acme.book.time += 1
    assert acme.asks() is Reason.SIGN_IN_TOO_OLD
    acme.signs_in()
    assert acme.asks() is None


def test_a_sign_in_at_a_provider_of_before_is_none() -> None:
    acme = Acme("max_sign_in_age: P1D")
    acme.signs_in()
    assert acme.asks() is None
    for issuer in ("https://other.example", ""):
        state = acme.book.register.state
        state.providers[acme.id] = ProviderRegistered(acme.id, issuer, "client", "sub", "", "")
        assert acme.asks() is Reason.SIGN_IN_TOO_OLD


def test_a_sign_in_by_a_weaker_factor_is_none() -> None:
    acme = Acme("max_sign_in_age: P1D, acr: [phr, phrh]")
    acme.signs_in(acr="pwd")
    assert acme.asks() is Reason.SIGN_IN_TOO_OLD
    acme.signs_in(ago=1, acr="phr")
    assert acme.asks() is None


def test_a_canary_asks_for_none_of_it() -> None:
    acme = Acme("key_class: hw-attested, max_sign_in_age: PT1H")
    book = acme.book
    book.add(ModelRegistered("large", 4096, 512, book.time, "tests", canary=True))
    token = book.make_token(acme.laptop)
    request = msgspec.structs.replace(book.ask(token), model="large")
    assert isinstance(decide(request, book.register, book.time), Allowed)


def test_a_revoked_token_is_refused_and_another_is_not() -> None:
    acme = Acme("key_class: software")
    token, other = acme.book.token(acme.laptop), acme.book.token(acme.laptop)
    acme.book.add(TokenRevoked(token.token, acme.laptop.its.subject, "lost", "maria"))
    assert acme.asks_with(token) is Reason.TOKEN_REVOKED
    assert acme.asks_with(other) is None


def test_silence_of_a_recipients_system_closes_its_gate_and_nobody_elses() -> None:
    acme = Acme("key_class: software")
    book = acme.book
    book.add(SignalSource("hr", acme.id, "ssf", IDP, "https://lab", "0" * 64, "ada"))
    assert acme.asks() is None
    book.add(SourceSilent("hr", silent=True, since=book.time))
    assert acme.asks() is Reason.SIGNALS_SILENT
    book.add(SourceSilent("hr", silent=False, since=book.time))
    assert acme.asks() is None


def test_what_a_tier_does_not_say_is_as_below() -> None:
    acme = Acme("max_sign_in_age: PT1H")
    terms = acme.book.register.conditions
    assert terms.caller(2) == terms.caller(1)
    assert terms.caller(1).sign_in_ms == HOUR
    assert terms.link_ms == 30 * DAY
