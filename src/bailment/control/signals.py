"""What a recipient's own systems say of its people and devices, carried out.

Whom they mean is looked for among the people that this organisation itself named, and nobody
else's, by exactly what it named them by. What follows is on the record at once: a hold, the lifting
of a hold that the same source set, or the end of somebody's sign-ins. Nothing here gives anything.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from bailment.access.reasons import Reason, Refused
from bailment.access.security_event import Name
from bailment.access.signalling import HELD, author_of, employs, older, set_by
from bailment.access.signing_in import provider_of
from bailment.assurance.adapters.report import Account
from bailment.assurance.matching import match
from bailment.control.actions import Actions, Denied
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import (
    SignalReceived,
    SignalSource,
    SignInsEnded,
    SourceSilent,
)
from bailment.ledger.records import HoldAdded, HoldLifted

NOBODY, AGAIN, NO_HOLD, OLDER = "nobody", "again", "no-hold-of-its-own", "older"
NOTHING = "nothing"

Act = Literal["", "hold", "lift", "sign-out"]


class Said(NamedTuple):
    """What a source said. `event` is its URI or operation, `subject` whom it is about as for a
    hold, or empty; `why` a few words of ours; `effect` why nothing is to follow, where no `act`."""

    event: str
    subject: str
    digest: str
    act: Act
    why: str
    jti: str = ""
    effect: str = NOTHING
    issued: int = 0


@dataclass(slots=True)
class Signals:
    """Carries out what sources say, one after the other for each source. Raises Denied."""

    actions: Actions
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    #: By organisation: what its people are known by, and of how many links that was read.
    _known: dict[str, tuple[tuple[int, int], dict[str, tuple[str, ...]]]] = field(
        default_factory=dict
    )

    async def tell(self, source: SignalSource, said: Said) -> str:
        """Do what follows and put it on the record; what followed.

        What takes access away comes first. If the process ends in between, whoever sent this
        sends it again, and then finds it done.
        """
        async with self._locks[source.source]:
            state = self.actions.log.fold.register.state
            if said.jti and said.jti in state.events:
                return AGAIN
            effect = said.effect
            if said.act:
                effect = await self._carry_out(source, said) if said.subject else NOBODY
            facts = SignalReceived(
                source.organisation,
                source.source,
                said.event,
                said.subject,
                said.digest,
                effect,
                said.jti,
                said.issued,
            )
            await self.actions.append(lambda now: facts)
            if source.source in state.silent:
                heard = SourceSilent(source.source, silent=False, since=state.heard[source.source])
                with suppress(Denied):  # `hearing` has seen it meanwhile
                    await self.actions.append(lambda now: heard)
            return effect

    async def _carry_out(self, source: SignalSource, said: Said) -> str:
        register = self.actions.log.fold.register
        facts: Facts
        if said.act == "hold":
            if set_by(register, source.source, said.subject):
                return HELD
            author = author_of(source.source)
            facts = HoldAdded(os.urandom(16).hex(), said.subject, said.why, author)
            return await self._append(facts, urgent=True)
        if said.act == "sign-out":
            person = said.subject.removeprefix("person:")
            return await self._append(SignInsEnded(person, source.source, said.why), urgent=True)
        if older(register, source.source, said.subject, said.issued):
            return OLDER
        effect = NO_HOLD
        for found in set_by(register, source.source, said.subject):
            facts = HoldLifted(found.hold, said.why, author_of(source.source))
            effect = await self._append(facts)
        return effect

    async def _append(self, facts: Facts, *, urgent: bool = False) -> str:
        await self.actions.append(lambda now: facts, urgent=urgent)
        return facts.TYPE

    # Who is meant

    async def person(self, organisation: str, account: Account) -> str:
        """The one person of this organisation who has the account; empty if there is none, or if
        it may be several people's."""
        account = Account(account.id, account.user_name, account.emails, active=True)
        people = match([account], await self._people(organisation)).people
        return people[0] if people else ""

    async def named(self, organisation: str, name: Name | None) -> str:
        """The same for a subject of RFC 9493."""
        if name is None:
            return ""
        if name.format == "iss_sub" and name.issuer not in self._issuers(organisation):
            return ""
        value = name.value
        if name.format == "email":
            return await self.person(organisation, Account("", "", (value,), True))
        if name.format == "account":
            return await self.person(organisation, Account("", value, (), True))
        return await self.person(organisation, Account(value, "", (), True))

    def device(self, organisation: str, name: Name | None) -> str:
        """The device of this organisation's that is named by its id here; empty if none is."""
        register = self.actions.log.fold.register
        ours = name is not None and (
            name.format == "opaque"
            or (name.format == "iss_sub" and name.issuer == register.state.url)
        )
        if name is None or not ours or name.value not in register.state.devices:
            return ""
        path = register.path(register.link_of.get(name.value, ""))
        theirs = len(path) > 1 and employs(register, organisation, path[-2].subject)
        return name.value if theirs else ""

    def _issuers(self, organisation: str) -> set[str]:
        """Whose `sub` is a name for this organisation's people: its own provider's, and the
        transmitters' that it has, which are of the same directory."""
        register = self.actions.log.fold.register
        found = {
            one.issuer
            for one in register.state.sources.values()
            if one.kind == "ssf" and one.organisation == organisation
        }
        provider = provider_of(register, register.link_of.get(organisation, ""))
        return found | ({provider.issuer} if provider is not None else set())

    async def _people(self, organisation: str) -> dict[str, tuple[str, ...]]:
        """The people whom this very organisation named, and by what: email address, subject at
        the provider, and the id by which it knows them here."""
        register, people = self.actions.log.fold.register, self.actions.people
        mark = (len(register.links), len(register.state.erased))
        read, known = self._known.get(organisation, ((0, 0), {}))
        if read == mark:
            return known
        theirs = {
            link.subject
            for link in register.links.values()
            if link.kind == "person" and link.subject not in register.state.erased
        }
        theirs = {one for one in theirs if employs(register, organisation, one)}
        await people.load(theirs)
        known = {}
        for person in theirs:
            names = {person}
            for link in register.links_of(person):
                told = people.of_link(link.id)
                names |= {told.get("email", ""), told.get("subject", "")} - {""}
            known[person] = tuple(sorted(names))
        self._known[organisation] = (mark, known)
        return known


def unavailable(denied: Denied) -> bool:
    """Whether it is worth saying the same again later."""
    return denied.refused.reason in (Reason.LOG_UNAVAILABLE, Reason.DISK_RESERVE)


def refused(why: str) -> Refused:
    """What an admin of sources is told."""
    return Refused(Reason.SIGNALS_FAILED, why)
