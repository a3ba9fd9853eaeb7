"""What detectors step over: one record of the log with what the register tells of it."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET

from bailment.access.chain import GRANTORS
from bailment.access.state import Indexed
from bailment.access.tripwire import is_decoy
from bailment.ledger.context import Context
from bailment.ledger.detection_records import FindingJudged, FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import PersonSignedIn
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    AccessRefused,
    EnrolmentRequested,
    TokenIssued,
)
from bailment.spec.policy import MAX_TOKEN_MS

#: How long after its issue a token may still be told of, ms.
_KEPT = 2 * MAX_TOKEN_MS

What = Literal["opened", "closed", "refused", "token", "enrolled", "signed-in", "finding", "judged"]


Severity = Literal["low", "medium", "high", "critical"]


class Event(msgspec.Struct, frozen=True):
    """One record, as detectors see it. Whether it is part of a drill nobody can tell from it.

    index        the entry of the log, by which events are ordered and known again
    time         the log's, ms
    what         the kind of record
    recipient    the pseudonym of the organisation at the top, `organisation` that of the nearest
    credential   what was shown: the device, whose key every use is proven with; where a deployment
                 has bearer keys (which only simulations have), the key
    links        the chain's links, from the issuer's down
    networks     the declared networks that the address lies in; `declared` whether the chain
                 declares any
    reason       of a refusal, why; of an end, what broke it off; `count` as in the record
    subject      of a finding, whom it is about; `finding` its id
    kind         of a finding, its own; `decoy` of a refusal of a model that is one
    budgets      those along the chain: link, tokens, and the time in which so many may be used, ms
    """

    index: int
    time: int
    what: What
    recipient: str = ""
    organisation: str = ""
    person: str = ""
    device: str = ""
    credential: str = ""
    links: tuple[str, ...] = ()
    model: str = ""
    action: str = ""
    purpose: str = ""
    context: Context = Context()
    networks: tuple[str, ...] = ()
    declared: bool = False
    access: str = ""
    reason: str = ""
    count: int = 1
    input: int = 0
    output: int = 0
    subject: str = ""
    finding: str = ""
    kind: str = ""
    budgets: tuple[tuple[str, int, int], ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """What a detector saw.

    `kind` is the detector's name, `subject` whom a hold would be on, `sentence` what was seen, how
    unusual that is and against what, for a person to act on. `records` are the entries that it was
    seen in. Findings of one kind, subject and `key` are one that goes on.
    """

    kind: str
    subject: str
    sentence: str
    since: int
    until: int
    records: tuple[int, ...]
    severity: Severity = "medium"
    numbers: dict[str, int] = {}
    model: str = ""
    others: tuple[str, ...] = ()
    key: str = ""


class Seen(msgspec.Struct):
    """What a reader remembers: tokens in the order of their issue, and the open accesses."""

    tokens: dict[str, TokenIssued] = {}
    open: dict[str, Event] = {}


class EventReader:
    """Makes events of records. It remembers the tokens of the last minutes and the open accesses,
    so whoever begins in the middle of a log reads ten minutes before, or takes up what was
    `seen`."""

    def __init__(self, seen: Seen | None = None) -> None:
        self.seen = seen or Seen()
        self._tokens, self._open = self.seen.tokens, self.seen.open

    def read(self, index: int, time: int, facts: Facts, register: Indexed) -> Event | None:
        """The event of an entry, with the register as it was there; None where it is none."""
        match facts:
            case TokenIssued():
                self._keep(facts, time)
                return self._of_device(register, facts.device, index, time, "token", facts.person)
            case AccessOpened():
                event = self._opened(index, time, facts, register)
                if event is not None:
                    self._open[facts.access] = event
                return event
            case AccessClosed():
                opened = self._open.pop(facts.access, None)
                if opened is None:
                    return None
                return msgspec.structs.replace(
                    opened,
                    index=index,
                    time=time,
                    what="closed",
                    reason=facts.reason or facts.outcome,
                    input=facts.input,
                    output=facts.output,
                )
            case AccessRefused():
                found = self._of_device(
                    register, facts.device, index, time, "refused", facts.person
                )
                return msgspec.structs.replace(
                    found,
                    model=facts.model,
                    action=facts.action,
                    reason=facts.reason,
                    count=facts.count,
                    kind="decoy" if is_decoy(register, facts.model) else "",
                    context=Context() if facts.context is UNSET else facts.context,
                )
            case EnrolmentRequested():
                return self._of_device(register, facts.device, index, time, "enrolled")
            case PersonSignedIn():
                link = register.link_of.get(facts.person, "")
                recipient = register.recipient_of(link)
                return Event(index, time, "signed-in", recipient, person=facts.person)
            case FindingRaised():
                subject = "" if facts.subject is UNSET else facts.subject
                return Event(
                    index,
                    time,
                    "finding",
                    subject=subject,
                    finding=facts.finding,
                    kind=facts.kind,
                )
            case FindingJudged():
                return Event(index, time, "judged", finding=facts.finding, reason=facts.verdict)
        return None

    def _opened(
        self, index: int, time: int, facts: AccessOpened, register: Indexed
    ) -> Event | None:
        token = self._tokens.get(facts.token)
        if token is None:
            return None
        event = self._of_device(register, token.device, index, time, "opened", token.person)
        return msgspec.structs.replace(
            event,
            model=facts.model,
            action=facts.action,
            purpose=token.purpose,
            networks=facts.networks,
            access=facts.access,
            budgets=tuple(
                (link.id, link.budget.tokens, link.budget.seconds * 1000)
                for link in map(register.links.__getitem__, event.links)
                if link.budget is not None
            ),
            context=Context() if facts.context is UNSET else facts.context,
        )

    def _of_device(
        self, register: Indexed, device: str, index: int, time: int, what: What, person: str = ""
    ) -> Event:
        path = register.path(register.link_of.get(device, ""))
        organisations = [link.subject for link in path if link.kind in GRANTORS]
        people = [link.subject for link in path if link.kind == "person"]
        if path and path[-1].kind == "workload":
            person = ""  # what a job does is not what its owner does
        return Event(
            index,
            time,
            what,
            recipient=path[0].subject if path else "",
            organisation=organisations[-1] if organisations else "",
            person=person or (people[-1] if people else ""),
            device=device,
            credential=device,
            links=tuple(link.id for link in path),
            declared=any(link.networks for link in path),
        )

    def _keep(self, facts: TokenIssued, time: int) -> None:
        while self._tokens:
            oldest = next(iter(self._tokens))
            if self._tokens[oldest].issued + _KEPT >= time:
                break
            del self._tokens[oldest]
        self._tokens[facts.token] = facts
