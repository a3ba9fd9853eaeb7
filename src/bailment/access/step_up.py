"""A person is asked to sign in again before anything more is let in: what a finding may lead to.

A sign-in at the employer's provider after it was asked ends it; or somebody of the issuer's does,
who has to where there is no provider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bailment.access.chain import Link
from bailment.access.reasons import Reason, Refused
from bailment.access.signing_in import provider_of
from bailment.access.state import Indexed, State
from bailment.ledger.detection_records import StepUpAsked, StepUpEnded
from bailment.ledger.identity_records import PersonSignedIn


def unanswered(register: Indexed, path: Iterable[Link]) -> Refused | None:
    """Whether a person on this chain was asked to sign in again, and has not."""
    if not register.state.step_ups:
        return None
    for link in path:
        if link.kind == "person" and link.subject in register.state.step_ups:
            told = "the person is asked to sign in again, for something unusual was seen"
            how = "run `bailment sign-in`"
            if provider_of(register, link.id) is None:
                how = "the issuer ends that, once it has asked them"
            return Refused(Reason.SIGN_IN_TOO_OLD, f"{told}: {how}", f"person:{link.subject}")
    return None


def write(state: State, facts: object, time: int) -> bool:
    """Fold one of these records into the state; False if it is another."""
    match facts:
        case StepUpAsked():
            state.step_ups[facts.person] = time, facts.finding
        case StepUpEnded():
            del state.step_ups[facts.person]
        case _:
            return False
    return True


def answered(state: State, facts: PersonSignedIn) -> None:
    """A sign-in after it was asked ends it. Providers say when in seconds, rounded down, so one in
    the very second counts: its record came after."""
    asked = state.step_ups.get(facts.person)
    if asked is not None and facts.auth_time + 1000 > asked[0]:
        del state.step_ups[facts.person]


def _asked(register: Indexed, facts: StepUpAsked, now: int) -> Refused | None:
    link = register.links.get(register.link_of.get(facts.person, ""))
    if link is None or link.kind != "person":
        return Refused(Reason.LINK_UNKNOWN, "there is no such person")
    if facts.person in register.state.step_ups:
        return Refused(Reason.CHAIN_BROKEN, "the person is asked already")
    return None


def _ended(register: Indexed, facts: StepUpEnded, now: int) -> Refused | None:
    if facts.person not in register.state.step_ups:
        return Refused(Reason.CHAIN_BROKEN, "nobody asked the person to sign in again")
    return None


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {
    StepUpAsked: _asked,
    StepUpEnded: _ended,
}
