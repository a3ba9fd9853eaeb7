"""Who is asked to sign in again is let in nowhere until they did, or the issuer ends it."""

from __future__ import annotations

import msgspec
import pytest

from bailment.access import step_up
from bailment.access.decision import LIST_MODELS, decide
from bailment.access.fold import Fold
from bailment.access.reasons import Reason, Refused
from bailment.access.slot import slot_of
from bailment.errors import VerificationError
from bailment.ledger.detection_records import StepUpAsked, StepUpEnded
from bailment.ledger.identity_records import ProviderRegistered

from .test_caller import IDP, Acme


@pytest.fixture
def acme() -> Acme:
    return Acme("key_class: software")


def ask(acme: Acme) -> StepUpAsked:
    asked = StepUpAsked(acme.person.its.subject, "f" * 32, "unusual", "detector:wrong-key")
    acme.book.add(asked)
    return asked


def sign_in(acme: Acme, ago: int = 0) -> None:
    """As if so, and what the register makes of it."""
    acme.signs_in(ago)
    state = acme.book.register.state
    step_up.answered(state, state.signed_in[acme.person.its.subject])


def refusal(acme: Acme, action: str = "generate") -> Refused | None:
    request = acme.book.ask(acme.book.make_token(acme.laptop))
    request = msgspec.structs.replace(request, action=action)
    answer = decide(request, acme.book.register, acme.book.time)
    return answer if isinstance(answer, Refused) else None


def test_a_person_who_is_asked_is_refused_and_told_how_to_go_on(acme: Acme) -> None:
    acme.signs_in()
    assert refusal(acme) is None
    asked = ask(acme)
    for action in ("generate", LIST_MODELS):
        refused = refusal(acme, action)
        assert refused is not None and refused.reason is Reason.SIGN_IN_TOO_OLD
        assert "`bailment sign-in`" in refused.detail
        assert refused.subject == f"person:{asked.person}"


def test_a_sign_in_after_it_was_asked_ends_it_and_one_before_does_not(acme: Acme) -> None:
    acme.signs_in()
    ask(acme)
    acme.book.time += 1000
    sign_in(acme, ago=2000)
    assert acme.asks() is Reason.SIGN_IN_TOO_OLD
    sign_in(acme, ago=1999)
    assert acme.asks() is None, "in the very second, which providers round down"


def test_another_person_of_the_organisation_goes_on(acme: Acme) -> None:
    ask(acme)
    other = acme.book.device(acme.party, acme.book.person(acme.party))
    request = acme.book.ask(acme.book.make_token(other))
    assert not isinstance(decide(request, acme.book.register, acme.book.time), Refused)


def test_where_there_is_no_provider_the_issuer_ends_it(acme: Acme) -> None:
    asked = ask(acme)
    refused = refusal(acme)
    assert refused is not None and "the issuer ends that" in refused.detail
    acme.book.add(StepUpEnded(asked.person, "it was her", "ada"))
    assert acme.asks() is None


def test_it_is_asked_once_of_a_person_there_is_and_ended_once(acme: Acme) -> None:
    asked = ask(acme)
    with pytest.raises(VerificationError):
        ask(acme)
    with pytest.raises(VerificationError):
        acme.book.add(StepUpAsked("0" * 32, "f" * 32, "unusual", "ada"))
    acme.book.add(StepUpEnded(asked.person, "it was her", "ada"))
    with pytest.raises(VerificationError):
        acme.book.add(StepUpEnded(asked.person, "it was her", "ada"))
    ask(acme)


def test_it_outlives_a_snapshot(acme: Acme) -> None:
    asked = ask(acme)
    fold = Fold.decode(acme.book.fold.encode())
    assert fold.register.state.step_ups == {asked.person: (acme.book.time, asked.finding)}


def test_its_records_are_the_recipients(acme: Acme) -> None:
    asked = ask(acme)
    assert slot_of(asked, acme.book.register) == acme.id
    assert slot_of(StepUpEnded(asked.person, "", "ada"), acme.book.register) == acme.id


def test_where_the_provider_has_changed_a_sign_in_there_counts(acme: Acme) -> None:
    ask(acme)
    state = acme.book.register.state
    state.providers[acme.id] = ProviderRegistered(acme.id, IDP, "client", "sub", "", "")
    refused = refusal(acme)
    assert refused is not None and "`bailment sign-in`" in refused.detail
