"""The rules by which records of providers, sign-ins, certificates, signals and incidents enter the
register, and what they do to its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bailment.access import (
    certificate,
    drilled,
    incidents,
    notices,
    rotation,
    signalling,
    signing_in,
    staling,
    step_up,
    tripwire,
)
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, State
from bailment.ledger.identity_records import (
    DeviceCertified,
    PersonSignedIn,
    ProviderRegistered,
    TokenRevoked,
    TripwireSet,
)

#: A revoked token is remembered for longer than any token lives.
_REMEMBERED = 3_600_000


def _revoked(register: Indexed, facts: TokenRevoked, now: int) -> Refused | None:
    return (
        _wrong("the token was revoked already") if facts.token in register.state.revoked else None
    )


def write(state: State, facts: object, time: int) -> bool:
    """Fold one of these records into the state; False if it is another."""
    match facts:
        case ProviderRegistered():
            state.providers[facts.organisation] = facts
        case PersonSignedIn():
            state.signed_in[facts.person] = facts
            step_up.answered(state, facts)
            if facts.invitation:
                state.invitations[facts.invitation].key = facts.key
        case DeviceCertified():
            certificate.keep(state, facts)
        case TokenRevoked():
            for token in [t for t, then in state.revoked.items() if then + _REMEMBERED < time]:
                del state.revoked[token]
            state.revoked[facts.token] = time
        case TripwireSet():
            state.tripwires[facts.secret] = facts
        case _:
            return (
                rotation.write(state, facts)
                or incidents.write(state, facts, time)
                or notices.write(state, facts, time)
                or drilled.write(state, facts)
                or step_up.write(state, facts, time)
                or staling.write(state, facts, time)
                or signalling.write(state, facts, time)
            )
    return True


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {
    ProviderRegistered: signing_in.registered,
    PersonSignedIn: signing_in.signed_in,
    DeviceCertified: certificate.certified,
    TokenRevoked: _revoked,
    TripwireSet: tripwire.tripwire_set,
    **incidents.RULES,
    **notices.RULES,
    **rotation.RULES,
    **drilled.RULES,
    **step_up.RULES,
    **staling.RULES,
    **signalling.RULES,
}
