"""`This was not us`: what a recipient's admin says of its own people, as a finding.

A signed request names a person, a device or a workload of the organisation's, a time, or one access
in it, and says in words what is wrong. It becomes a finding of the kind `reported`; what follows is
the spec's. The words are in the personal part, under the key of the person whom it is about.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.access.register import Register
from bailment.control.actions import Actions, Denied
from bailment.control.pace import Pace
from bailment.control.requests import Proven, Typed, answer, refusal
from bailment.control.sources import asked
from bailment.detect.citing import named_by
from bailment.detect.grouping import MOST_RECORDS, response_of
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.records import AccessOpened, TokenIssued
from bailment.spec.detection import REPORTED
from bailment.spec.policy import MAX_TOKEN_MS

#: An organisation may report so often in an hour: somebody has to read each.
REPORTS = 20
#: So many entries of the log are looked through for what is reported.
MOST_ENTRIES = 50_000
#: So many reports are remembered, so that one that is sent again is one.
_MOST = 1_000

_HexId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
_Time = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class Report(Typed, frozen=True):
    """`POST /misuse`. `since` and `until` are in ms, 0 for now; `access` is the `x-request-id` of
    one answer in that time, empty for all. `salt` is random, so that the proof's digest tells
    nobody the words.
    """

    subject: Annotated[str, msgspec.Meta(pattern=r"^(person|device|workload):[0-9a-f]{32}\Z")]
    since: _Time
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
    salt: _HexId
    until: _Time = 0
    access: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?\Z")] = ""


_Read = tuple[int, Facts]


class _Found(msgspec.Struct, frozen=True):
    """The accesses in the time that was said: entries, how many, and whether all was looked at."""

    records: tuple[int, ...]
    count: int
    all: bool


@dataclass(slots=True)
class Misuse:
    """The handler; each call is proven by the organisation's admin key."""

    actions: Actions
    nonces: Nonces
    _pace: Pace = field(default_factory=lambda: Pace(REPORTS))
    _known: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, request: Request) -> Response:
        """Put on record what an organisation says of its own people."""
        sent = await asked(request, self.actions, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        try:
            # One after the other: each looks through the log.
            async with self._one:
                return await self._take(sent[0].subject, sent[1])
        except msgspec.DecodeError as error:
            return self._refusal(Refused(Reason.BODY_MALFORMED, str(error)))
        except Denied as denied:
            return self._refusal(denied.refused)

    async def _take(self, organisation: str, sent: Proven) -> Response:
        report = msgspec.json.decode(sent.body, type=Report)
        log, name = self.actions.log, _name(organisation, sent.body)
        if name in self._known:
            return answer({"finding": name, "accesses": self._known[name]}, 201)
        now = log.sequencer.time
        person = _person(log.fold.register, organisation, report.subject)
        if not person:
            raise Denied(Refused(Reason.LINK_UNKNOWN, f"you have no `{report.subject}`"))
        report = msgspec.structs.replace(report, until=min(report.until or now, now))
        if not report.since <= report.until:
            raise Denied(Refused(Reason.BODY_MALFORMED, "the time ends before it begins"))
        if refused := self._pace.refusal(organisation, now):
            raise Denied(refused)
        found = await self._seek(report)
        if report.access and not found.count:
            why = (
                f"there is no access `{report.access}` of `{report.subject}` in the first "
                f"{MOST_ENTRIES} entries of that time: name a shorter one, or none"
            )
            raise Denied(Refused(Reason.BODY_MALFORMED, why))
        facts = self._facts(organisation, name, report, found, sent.proof.compact)
        personal = {"request": sent.body.decode()}
        await self.actions.append(lambda now: facts, person=person, personal=personal)
        self._known[name] = found.count
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return answer({"finding": name, "accesses": found.count}, 201)

    async def _seek(self, report: Report) -> _Found:
        """The accesses of the subject's in that time, the last of those looked at."""
        fold = self.actions.log.fold
        slot = _slot(fold.register, report.subject)
        read, all_ = await asyncio.to_thread(self._read, slot, report)
        tokens = {facts.token: facts for _, facts in read if isinstance(facts, TokenIssued)}
        found = [
            index
            for index, facts in read
            if isinstance(facts, AccessOpened)
            and report.access in ("", facts.access)
            and report.subject in named_by(facts, fold.register, tokens.get)
        ]
        return _Found(tuple(found[-MOST_RECORDS:]), len(found), all_)

    def _read(self, slot: str, report: Report) -> tuple[list[_Read], bool]:
        """Tokens and accesses of a recipient's up to a time, and whether that is all."""
        reader, found, last = self.actions.log.reader, list[_Read](), -1
        start = reader.first_since(max(0, report.since - 2 * MAX_TOKEN_MS))
        size = self.actions.log.fold.size
        for stored in islice(reader.stored(start, size), MOST_ENTRIES):
            leaf, last = decode_leaf(stored.entry), stored.index
            if leaf.time > report.until:
                return found, True
            opened = leaf.type == AccessOpened.TYPE and leaf.time >= report.since
            if leaf.recipient == slot and (opened or leaf.type == TokenIssued.TYPE):
                found.append((stored.index, reader.open(stored).facts))
        return found, last + 1 >= size or start >= size

    def _facts(
        self, organisation: str, name: str, report: Report, found: _Found, proof: str
    ) -> FindingRaised:
        register = self.actions.log.fold.register
        said = response_of(REPORTED, register.conditions.detection)
        handle = register.organisations[organisation].handle
        what = f"the access `{report.access}`" if report.access else "what was done in that time"
        least = "" if found.all else "at least "
        sentence = (
            f"{handle} says that {what} was not done by `{report.subject}`: the log has {least}"
            f"{found.count} of its accesses there; read what they say, ring them up, and open an "
            "incident if it was misuse"
        )
        return FindingRaised(
            name,
            REPORTED,
            sentence,
            report.since,
            report.until,
            subject=report.subject,
            severity="high",
            records=found.records,
            count=max(1, found.count),
            response="record" if said == "off" else said,
            proof=proof,
        )

    def _refusal(self, why: Refused) -> Response:
        return refusal(why, self.actions.log.fold.register.policy.contact)


def _name(organisation: str, body: bytes) -> str:
    """The id of the finding of a report: the same one once more is the same finding."""
    return sha256(organisation.encode() + b"\0" + body).hexdigest()[:32]


def _slot(register: Register, subject: str) -> str:
    return register.recipient_of(register.link_of.get(subject.partition(":")[2], ""))


def _person(register: Register, organisation: str, subject: str) -> str:
    """Who is concerned, of a subject below an organisation; empty where it has no such subject."""
    kind, _, name = subject.partition(":")
    path = register.path(register.link_of.get(name, ""))
    if not path or path[-1].kind != kind:
        return ""
    if organisation not in (link.subject for link in path):
        return ""
    people = [link.subject for link in path if link.kind == "person"]
    person = people[-1] if people else path[-1].owner
    return "" if person in register.state.erased else person
