"""The rules by which records of providers, sign-ins, certificates and signals enter the register,
and what they do to its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bailment.access import certificate, signing_in
from bailment.access.chain import GRANTORS
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, State
from bailment.ledger.identity_records import (
    DeviceCertified,
    PersonSignedIn,
    ProviderRegistered,
    SignalSource,
    SourceSilent,
    TokenRevoked,
    TripwireSet,
)

#: A revoked token is remembered for longer than any token lives.
_REMEMBERED = 3_600_000


def organisation(register: Indexed, subject: str) -> bool:
    """Whether this is the id of a recipient or a subcontractor."""
    link = register.links.get(register.link_of.get(subject, ""))
    return link is not None and link.kind in GRANTORS


def _revoked(register: Indexed, facts: TokenRevoked, now: int) -> Refused | None:
    return (
        _wrong("the token was revoked already") if facts.token in register.state.revoked else None
    )


def _source(register: Indexed, facts: SignalSource, now: int) -> Refused | None:
    if not organisation(register, facts.organisation):
        return Refused(Reason.LINK_UNKNOWN, "there is no such organisation")
    known = register.state.sources.get(facts.source)
    if known is not None and known.organisation != facts.organisation:
        return _wrong("the source is another organisation's")
    return None if facts.kind in ("", "ssf", "scim") else _wrong("a source is `ssf` or `scim`")


def _silent(register: Indexed, facts: SourceSilent, now: int) -> Refused | None:
    if facts.source not in register.state.sources:
        return _wrong("there is no such source")
    silent = facts.source in register.state.silent
    return _wrong("that is on record already") if silent == facts.silent else None


def _tripwire(register: Indexed, facts: TripwireSet, now: int) -> Refused | None:
    return _wrong("the secret is known") if facts.secret in register.state.tripwires else None


def write(state: State, facts: object, time: int) -> bool:
    """Fold one of these records into the state; False if it is another."""
    match facts:
        case ProviderRegistered():
            state.providers[facts.organisation] = facts
        case PersonSignedIn():
            state.signed_in[facts.person] = facts
            if facts.invitation:
                state.invitations[facts.invitation].key = facts.key
        case DeviceCertified():
            certificate.keep(state, facts)
        case TokenRevoked():
            for token in [t for t, then in state.revoked.items() if then + _REMEMBERED < time]:
                del state.revoked[token]
            state.revoked[facts.token] = time
        case SignalSource():
            state.sources[facts.source] = facts
            state.silent.pop(facts.source, None)
        case SourceSilent(silent=True):
            state.silent[facts.source] = facts.since
        case SourceSilent():
            state.silent.pop(facts.source, None)
        case TripwireSet():
            state.tripwires[facts.secret] = facts
        case _:
            return False
    return True


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {
    ProviderRegistered: signing_in.registered,
    PersonSignedIn: signing_in.signed_in,
    DeviceCertified: certificate.certified,
    TokenRevoked: _revoked,
    SignalSource: _source,
    SourceSilent: _silent,
    TripwireSet: _tripwire,
}
