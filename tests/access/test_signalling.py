"""Silence closes the gate by the clock alone; sign-ins that were ended count no more."""

from __future__ import annotations

import pytest

from bailment.access.fold import Fold
from bailment.access.reasons import Reason, Refused
from bailment.access.signalling import PAUSED, REMEMBERED
from bailment.errors import VerificationError
from bailment.ledger.identity_records import (
    SignalReceived,
    SignalSource,
    SignInsEnded,
    SourceSilent,
    WebhookRegistered,
)
from bailment.ledger.records import DelegationEnded, HoldAdded

from .test_caller import HOUR, IDP, Acme

MINUTE = 60_000


def source(acme: Acme, kind: str = "ssf", name: str = "idp") -> None:
    acme.book.add(SignalSource(name, acme.id, kind, IDP, "https://lab", name * 8, "ada"))


def heard(acme: Acme, effect: str = "heard", jti: str = "", name: str = "idp") -> None:
    acme.book.add(SignalReceived(acme.id, name, "verification", "", "0" * 64, effect, jti))


@pytest.fixture
def acme() -> Acme:
    return Acme("key_class: software")


def test_silence_closes_the_gate_without_any_record(acme: Acme) -> None:
    source(acme)
    acme.book.time += 15 * MINUTE - 1
    assert acme.asks() is None
    acme.book.time += 1
    assert acme.asks() is Reason.SIGNALS_SILENT


def test_who_is_heard_again_opens_it(acme: Acme) -> None:
    source(acme)
    acme.book.time += 20 * MINUTE
    heard(acme)
    assert acme.asks() is None


def test_a_record_of_silence_keeps_it_closed_until_one_of_its_end(acme: Acme) -> None:
    source(acme)
    acme.book.add(SourceSilent("idp", silent=True, since=0))
    heard(acme)
    assert acme.asks() is Reason.SIGNALS_SILENT
    acme.book.add(SourceSilent("idp", silent=False, since=0))
    assert acme.asks() is None


def test_a_stream_that_says_it_pauses_gives_no_sign_of_life(acme: Acme) -> None:
    source(acme)
    acme.book.time += 10 * MINUTE
    heard(acme, PAUSED)
    acme.book.time += 5 * MINUTE
    assert acme.asks() is Reason.SIGNALS_SILENT


def test_nothing_follows_from_the_silence_of_a_directory(acme: Acme) -> None:
    source(acme, "scim")
    acme.book.time += HOUR
    assert acme.asks() is None


def test_one_stream_that_is_silent_is_enough(acme: Acme) -> None:
    source(acme, name="one")
    source(acme, name="two")
    acme.book.time += 20 * MINUTE
    heard(acme, name="one")
    assert acme.asks() is Reason.SIGNALS_SILENT


def test_a_source_that_has_ended_closes_nothing_and_does_not_come_back(acme: Acme) -> None:
    source(acme)
    acme.book.time += 20 * MINUTE
    source(acme, "")
    assert acme.asks() is None
    with pytest.raises(VerificationError):
        source(acme)
    with pytest.raises(VerificationError):
        heard(acme)


def test_silence_outlives_a_snapshot(acme: Acme) -> None:
    source(acme)
    heard(acme, jti="a")
    restored = Fold.decode(acme.book.fold.encode()).register.state
    assert restored.heard == {"idp": acme.book.time}
    assert restored.events == {"a": acme.book.time}


def test_an_event_comes_once(acme: Acme) -> None:
    source(acme)
    heard(acme, jti="a")
    with pytest.raises(VerificationError):
        heard(acme, jti="a")


def test_events_are_remembered_for_as_long_as_they_may_come(acme: Acme) -> None:
    source(acme)
    heard(acme, jti="a")
    acme.book.time += REMEMBERED
    heard(acme, jti="b")
    assert sorted(acme.book.register.state.events) == ["a", "b"]
    acme.book.time += 1
    heard(acme, jti="c")
    assert sorted(acme.book.register.state.events) == ["b", "c"]


def test_two_sources_have_not_the_same_credential(acme: Acme) -> None:
    acme.book.add(SignalSource("one", acme.id, "scim", "", "", "0" * 64, "ada"))
    twice = SignalSource("two", acme.id, "scim", "", "", "0" * 64, "ada")
    assert acme.book.register.check(twice, acme.book.time) is not None


def test_a_source_stays_its_organisations_and_of_its_kind(acme: Acme) -> None:
    source(acme)
    other = acme.book.recipient()
    theirs = SignalSource("idp", other.its.subject, "ssf", IDP, "https://lab", "1" * 64, "ada")
    kind = SignalSource("idp", acme.id, "scim", IDP, "https://lab", "1" * 64, "ada")
    for facts in (theirs, kind):
        assert isinstance(acme.book.register.check(facts, acme.book.time), Refused)


# Sign-ins


def test_ended_sign_ins_end_the_tokens_there_are(acme: Acme) -> None:
    source(acme)
    before = acme.book.make_token(acme.laptop)
    person = acme.person.its.subject
    acme.book.add(SignInsEnded(person, "idp", "credential-change"))
    assert acme.asks_with(before) is Reason.TOKEN_REVOKED
    acme.book.time += 1
    assert acme.asks() is None  # nobody signs in at this organisation


def test_who_signs_in_signs_in_again(acme: Acme) -> None:
    source(acme)
    acme.signs_in()
    acme.book.time += MINUTE
    acme.book.add(SignInsEnded(acme.person.its.subject, "idp", "session-revoked"))
    acme.book.time += 1
    assert acme.asks() is Reason.SIGN_IN_TOO_OLD
    acme.book.time += 1000
    acme.signs_in()
    assert acme.asks() is None


def test_nobody_ends_the_sign_ins_of_another_organisations_people(acme: Acme) -> None:
    other = acme.book.recipient()
    facts = SignalSource("far", other.its.subject, "ssf", IDP, "https://lab", "f" * 64, "ada")
    acme.book.add(facts)
    ended = SignInsEnded(acme.person.its.subject, "far", "session-revoked")
    assert isinstance(acme.book.register.check(ended, acme.book.time), Refused)


def test_a_webhook_is_an_organisations_and_ends(acme: Acme) -> None:
    acme.book.add(WebhookRegistered(acme.id, "https://acme.example/hook", "ada"))
    assert acme.book.register.state.webhooks[acme.id].url == "https://acme.example/hook"
    acme.book.add(WebhookRegistered(acme.id, "", "ada"))
    assert acme.book.register.state.webhooks == {}
    nobody = WebhookRegistered("f" * 32, "https://acme.example/hook", "ada")
    assert isinstance(acme.book.register.check(nobody, acme.book.time), Refused)


@pytest.mark.parametrize("end", ["held", "over"])
def test_an_organisation_that_is_held_or_over_says_nothing_new_and_may_end_what_there_is(
    acme: Acme, end: str
) -> None:
    """Its admin's key may be what was stolen."""
    register = acme.book.register
    source(acme, "scim")
    acme.book.add(WebhookRegistered(acme.id, "https://acme.example/hook", "ada"))
    if end == "held":
        acme.book.add(HoldAdded("0" * 32, f"recipient:{acme.id}", "stolen", "ada"))
    else:
        acme.book.add(DelegationEnded(register.link_of[acme.id], "over", "ada"))
    why = Reason.HELD if end == "held" else Reason.LINK_ENDED
    for new in (
        SignalSource("new", acme.id, "ssf", IDP, "https://lab", "1" * 64, "ada"),
        SignalSource("idp", acme.id, "scim", IDP, "https://lab", "1" * 64, "ada"),
        WebhookRegistered(acme.id, "https://evil.example/hook", "ada"),
    ):
        refused = register.check(new, acme.book.time)
        assert refused is not None
        assert refused.reason is why
    acme.book.add(SignalSource("idp", acme.id, "", IDP, "https://lab", "idp" * 8, "ada"))
    for url in ("https://acme.example/hook", ""):  # the one there is, and its end
        acme.book.add(WebhookRegistered(acme.id, url, "ada"))
    assert (register.state.webhooks, register.state.sources["idp"].kind) == ({}, "")
