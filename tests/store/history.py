"""Random histories of an issuer: everything that a fold must follow, in any order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from bailment.access.reasons import Refused
from bailment.ledger.records import (
    AccessRefused,
    Budget,
    DelegationEnded,
    HoldLifted,
    ModelRegistered,
    PersonErased,
    Policy,
    SpecApplied,
)
from bailment.store.log import Log
from bailment.store.sequencer import Draft, Sequenced

from .issuer import MODEL, START, Clock, Device, Issuer, Party, closing, hold, must, note


@dataclass
class History:
    """One life, drawn from `chance`; `live` goes on for so many steps in an open log."""

    issuer: Issuer
    clock: Clock
    chance: random.Random
    parties: list[Party] = field(default_factory=list)
    people: list[tuple[Party, str]] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    open: list[Draft] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    erased: set[str] = field(default_factory=set)
    admitted: int = 0
    refused: int = 0

    async def live(self, log: Log, steps: int) -> None:
        if not log.fold.size:
            await self.issuer.begin(log)
        acts = [self._token, self._open, self._open, self._open, self._close, self._close]
        acts += [self._recipient, self._person, self._device, self._hold, self._lift]
        acts += [self._wait, self._end, self._rule, self._erase, self._refusal]
        for _ in range(steps):
            self.clock.now += self.chance.randrange(2_000)
            await self.chance.choice(acts)(log)
        await must(log, log.sequencer.draft(note(0)))  # behind whatever `tick` let in

    async def _recipient(self, log: Log) -> None:
        await self._lift(log)
        if len(self.parties) < 3:
            self.parties.append(await self.issuer.recipient(log, self._budget()))

    async def _person(self, log: Log) -> None:
        await self._lift(log)  # nothing is granted under a hold
        parties = [party for party in self.parties if _alive(log, party.link)]
        if parties and len(self.people) < 8:
            party = self.chance.choice(parties)
            known = [log.fold.register.links[link].subject for p, link in self.people if p is party]
            known = [person for person in known if person not in self.erased]
            subject = self.chance.choice(["", *known])  # some people have several links
            link = await self.issuer.person(log, party, "ada", self._budget(), subject)
            self.people.append((party, link))

    async def _device(self, log: Log) -> None:
        await self._lift(log)
        people = [(party, link) for party, link in self.people if _alive(log, link)]
        if people and len(self.devices) < 12:
            device = await self.issuer.device(log, *self.chance.choice(people))
            await self.issuer.token(log, device, self._life())
            self.devices.append(device)

    async def _token(self, log: Log) -> None:
        if self.devices:
            await self.issuer.token(log, self.chance.choice(self.devices), self._life())

    async def _open(self, log: Log) -> None:
        if not self.devices:
            return
        device = self.chance.choice(self.devices)
        if device.token is not None and device.token.until <= self.clock.now:
            await self.issuer.token(log, device, self._life())
        draft = self.issuer.opening(log, device, self.chance.choice([0, 40, 400]))
        answer = draft if isinstance(draft, Refused) else await log.sequencer.append(draft)
        if isinstance(draft, Draft) and isinstance(answer, Sequenced):
            self.open.append(draft)
            self.admitted += 1
        else:
            self.refused += 1

    async def _close(self, log: Log) -> None:
        if self.open:
            opened = self.open.pop(self.chance.randrange(len(self.open)))
            await must(log, closing(log, opened, measured=self.chance.random() < 0.7))

    async def _hold(self, log: Log) -> None:
        subjects = ["everything", f"model:{MODEL}", "purpose:research"]
        subjects += [f"person:{device.person}" for device in self.devices]
        subjects += [f"link:{party.link}" for party in self.parties]
        subject = self.chance.choice(subjects[2:] if self.parties else subjects[:2])
        added = hold(subject)
        if log.fold.register.check(added, self.clock.now) is None:
            await must(log, log.sequencer.draft(added, urgent=True))
            self.holds.append(added.hold)

    async def _lift(self, log: Log) -> None:
        while self.holds:
            lifted = HoldLifted(self.holds.pop(), "over", "owner")
            await must(log, log.sequencer.draft(lifted))

    async def _wait(self, log: Log) -> None:
        self.clock.now += self.chance.choice([5_000, 60_000, 400_000])
        log.sequencer.tick()

    async def _end(self, log: Log) -> None:
        people = [(party, link) for party, link in self.people if _alive(log, link)]
        if len(people) > 2:
            party, link = self.chance.choice(people)
            ended = DelegationEnded(link, "owner", "left")
            await must(log, log.sequencer.draft(ended, party.pseudonym, urgent=True))

    async def _rule(self, log: Log) -> None:
        policy = Policy(heads_ms=self.chance.choice([30_000, 60_000]))
        await must(log, log.sequencer.draft(SpecApplied(policy, "owner")))
        model = ModelRegistered(MODEL, 4096, self.chance.choice([512, 1024]), START, "owner")
        await must(log, log.sequencer.draft(model))

    async def _erase(self, log: Log) -> None:
        if self.devices:
            device = self.chance.choice(self.devices)
            erased = PersonErased(device.person, "owner", "asked")
            if device.person not in self.erased:
                await must(log, log.sequencer.draft(erased, device.recipient))
            self.erased.add(device.person)

    async def _refusal(self, log: Log) -> None:
        if self.devices:
            device = self.chance.choice(self.devices)
            refused = AccessRefused(device.id, "held", 1, self.clock.now, self.clock.now)
            await must(log, log.sequencer.draft(refused, device.recipient))
        await must(log, log.sequencer.draft(note(self.chance.randrange(1000))))

    def _budget(self) -> Budget | None:
        return self.chance.choice([None, Budget(1_000, 60), Budget(5_000, 3_600)])

    def _life(self) -> int:
        return self.chance.choice([10_000, 120_000, 300_000])


def history(issuer: Issuer, seed: int) -> History:
    assert isinstance(issuer.clock, Clock)
    return History(issuer, issuer.clock, random.Random(seed))


def _alive(log: Log, link: str) -> bool:
    register = log.fold.register
    return not any(register.state.links[one.id].ended for one in register.path(link))
