"""What a recipient's own systems tell us, and what that does to the register.

A source never grants anything. What it says can put somebody on hold, lift a hold that the same
source set, and make sign-ins void; and its silence closes the gate of its organisation, for who
does not hear of leavers does not know who has left.

Silence is a matter of the clock alone: no record is needed for it to begin, so that nothing is
open while nobody is there to write one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bailment.access.alive import alive
from bailment.access.chain import GRANTORS, Link
from bailment.access.reasons import Reason, Refused
from bailment.access.signing_in import employer, last_sign_in, provider_of
from bailment.access.state import Indexed, State, Webhook
from bailment.ledger.identity_records import (
    SignalReceived,
    SignalSource,
    SignInsEnded,
    SourceSilent,
    WebhookRegistered,
)
from bailment.ledger.records import HoldAdded, TokenIssued

#: How long the ids of events are remembered, ms; no older event is taken.
REMEMBERED = 7 * 86_400_000
#: An effect of an event that does not count as a sign of life: its stream tells no more.
PAUSED = "stream-paused"
#: An effect of an event that found its subject on hold by the same source.
HELD = "held-already"
_MOST_SOURCES = 16


def author_of(source: str) -> str:
    """Who a hold that a source set is by."""
    return f"signal:{source}"


def set_by(register: Indexed, source: str, subject: str) -> list[HoldAdded]:
    """The holds on a subject that this source set."""
    author = author_of(source)
    return [hold for hold in register.holds_on.get(subject, ()) if hold.author == author]


def older(register: Indexed, source: str, subject: str, issued: int) -> bool:
    """Whether an event is older than one of this source's that held the subject: events do not
    come in their order."""
    return 0 < issued < register.state.holding.get(f"{source} {subject}", 0)


def quiet(register: Indexed, source: SignalSource, now: int) -> bool:
    """Whether a stream has not been heard for too long. SCIM clients only speak when there is
    something to say, so that nothing follows from their silence."""
    heard = register.state.heard.get(source.source, 0)
    return source.kind == "ssf" and now >= heard + register.conditions.signals.silent_ms


def silent(register: Indexed, path: list[Link], now: int) -> Refused | None:
    """Silence of a source of any organisation on the chain closes the gate."""
    if not register.state.sources:
        return None
    on_chain = {link.subject for link in path if link.kind in GRANTORS}
    for name, source in register.state.sources.items():
        if source.organisation in on_chain and (
            name in register.state.silent or quiet(register, source, now)
        ):
            return Refused(
                Reason.SIGNALS_SILENT,
                f"`{name}` has not been heard for too long: see that it reports again",
                f"recipient:{source.organisation}",
            )
    return None


def signed_out(register: Indexed, token: TokenIssued, link_id: str) -> Refused | None:
    """Whether the sign-in behind a token was made void: by when the token was decided, and where
    the employer has a provider by when the person last signed in there."""
    since = register.state.signed_out.get(token.person)
    if since is None:
        return None
    if token.decided <= since:
        return Refused(Reason.TOKEN_REVOKED, "the person's sign-ins were ended by their employer")
    found = last_sign_in(register, token.person, link_id)
    if provider_of(register, link_id) and (found is None or found.auth_time < since):
        return Refused(
            Reason.SIGN_IN_TOO_OLD,
            "the person's sign-ins were ended by their employer: run `bailment sign-in`",
            f"person:{token.person}",
        )
    return None


# The rules of the records


def _unfit(register: Indexed, organisation: str, new: str, now: int) -> Refused | None:
    """Why an organisation says nothing `new`. A hold on it may be for its admin's key; what there
    is ends even so, which gives nobody anything."""
    link = register.links.get(register.link_of.get(organisation, ""))
    if link is None or link.kind not in GRANTORS:
        return Refused(Reason.LINK_UNKNOWN, "there is no such organisation")
    return alive(register, link.id, now) if new else None


def sourced(register: Indexed, facts: SignalSource, now: int) -> Refused | None:
    """A source of an organisation whose chain stands, which keeps its kind until it ends."""
    unfit = _unfit(register, facts.organisation, facts.kind, now)
    if unfit is not None:
        return unfit
    known = register.state.sources.get(facts.source)
    if known is not None and known.organisation != facts.organisation:
        return _wrong("the source is another organisation's")
    if known is not None and facts.kind not in ("", known.kind):
        return _wrong("the source is of another kind, or has ended")
    if facts.kind not in ("", "ssf", "scim"):
        return _wrong("a source is `ssf` or `scim`")
    theirs = [
        one
        for one in register.state.sources.values()
        if one.organisation == facts.organisation and one.kind
    ]
    if known is None and len(theirs) >= _MOST_SOURCES:
        return _wrong(f"an organisation has at most {_MOST_SOURCES} sources: end one")
    if any(
        facts.credential == one.credential
        for one in register.state.sources.values()
        if one.source != facts.source and facts.kind
    ):
        return _wrong("the credential is another source's")
    return None


def received(register: Indexed, facts: SignalReceived, now: int) -> Refused | None:
    """A signal of a source that there is, which did not come before."""
    source = register.state.sources.get(facts.source)
    if source is None or not source.kind or source.organisation != facts.organisation:
        return _wrong("there is no such source")
    if facts.jti and facts.jti in register.state.events:
        return _wrong("the event came before")
    return None


def silenced(register: Indexed, facts: SourceSilent, now: int) -> Refused | None:
    """Silence that is not on record yet, or the end of one that is."""
    if facts.source not in register.state.sources:
        return _wrong("there is no such source")
    known = facts.source in register.state.silent
    return _wrong("that is on record already") if known == facts.silent else None


def sign_ins_ended(register: Indexed, facts: SignInsEnded, now: int) -> Refused | None:
    """Only the person's own organisation ends their sign-ins."""
    source = register.state.sources.get(facts.source)
    if source is None or not source.kind:
        return _wrong("there is no such source")
    if not employs(register, source.organisation, facts.person):
        return Refused(Reason.LINK_UNKNOWN, "the organisation has no such person")
    return None


def webhook(register: Indexed, facts: WebhookRegistered, now: int) -> Refused | None:
    """An address of an organisation's whose chain stands, the one there is, or the end of it."""
    known = register.state.webhooks.get(facts.organisation)
    new = "" if known is not None and facts.url == known.url else facts.url
    unfit = _unfit(register, facts.organisation, new, now)
    if unfit is not None:
        return unfit
    if not facts.url and known is None:
        return _wrong("there is no webhook")
    return _wrong("the address is too long") if len(facts.url) > 512 else None


def employs(register: Indexed, organisation: str, person: str) -> bool:
    """Whether this very organisation named the person."""
    above = (employer(register, link.id) for link in register.links_of(person))
    return any(one is not None and one.subject == organisation for one in above)


def write(state: State, facts: object, time: int) -> bool:
    """Fold one of these records into the state; False if it is another."""
    match facts:
        case SignalSource(kind=""):
            state.sources[facts.source] = facts
            state.silent.pop(facts.source, None)
            state.heard.pop(facts.source, None)
        case SignalSource():
            state.sources[facts.source] = facts
            state.heard[facts.source] = time
        case SignalReceived():
            if facts.effect != PAUSED:
                state.heard[facts.source] = time
            if facts.effect in (HoldAdded.TYPE, HELD):
                name = f"{facts.source} {facts.subject}"
                state.holding[name] = max(facts.issued, state.holding.get(name, 0))
            if facts.jti:
                for jti in [one for one, at in state.events.items() if at + REMEMBERED < time]:
                    del state.events[jti]
                state.events[facts.jti] = time
        case SourceSilent(silent=True):
            state.silent[facts.source] = facts.since
        case SourceSilent():
            state.silent.pop(facts.source, None)
        case SignInsEnded():
            state.signed_out[facts.person] = time
        case WebhookRegistered(url=""):
            del state.webhooks[facts.organisation]
        case WebhookRegistered():
            state.webhooks[facts.organisation] = Webhook(facts.url, time)
        case _:
            return False
    return True


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {
    SignalSource: sourced,
    SignalReceived: received,
    SourceSilent: silenced,
    SignInsEnded: sign_ins_ended,
    WebhookRegistered: webhook,
}
