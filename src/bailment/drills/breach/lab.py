"""The lab form, SIMULATED: a log of its own, a canned upstream, a clock that is moved, and weeks of
requests by a fleet of recipients that was made up.

The gate is real (`gate.py`): what strangers do is tried at it with real proofs. What it let in and
what it refused then goes through the detectors between everything that the fleet asks: once as
this deployment sees it, and once as one with shared static keys, which lets in whoever has one.
"""

from __future__ import annotations

import asyncio
import heapq
import secrets
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec

from bailment import clock
from bailment.clock import now_ms
from bailment.detect.catalogue import INLINE, STREAM
from bailment.detect.engine import Engine
from bailment.detect.event import Event
from bailment.drills.breach.begun import NAME
from bailment.drills.breach.gate import SETTINGS, Gate, Serve, Verdict, canned
from bailment.drills.breach.result import Background, Outcome, Result, Signal
from bailment.drills.breach.variants import Variant
from bailment.drills.fleet import DAY, EPOCH, SCENARIOS, Ask, Fleet, Person, Scenario, events
from bailment.drills.fleet.asks import hashed
from bailment.drills.fleet.breaches import asks_of
from bailment.ledger.detection_records import FindingRaised
from bailment.spec.detection import DetectionTerms
from bailment.store.folder import Folder

#: What each variant's group is like.
_LIKE = {
    "bearer": ("A", "bearer"),
    "capability": ("A", "bearer"),
    "copied-key": ("A", "copied-key"),
    "vpn": ("V", "copied-key"),
    "same-country": ("C", "copied-key"),
    "relay-10": ("D", "relay"),
    "relay-4": ("G", "relay"),
    "relay-2": ("E", "relay"),
}
NOTES = (
    "SIMULATED: the fleet and its habits are assumptions, and the clock is moved from one request "
    "to the next; the gate, the proofs, the log and the detectors are the real ones",
    "the background goes to the detectors as events and not through the gate, so that nothing here "
    "says whether the gate would refuse any of it",
    "false alerts are all findings about the background, of every kind; nobody judged them, and in "
    "the first week the detectors know nobody yet",
)
#: The breach is in the last of the weeks.
_WEEK = 7
_SETTLED = 14
#: Told of a stage and its share.
Progress = Callable[[str, float], None]


@dataclass(slots=True)
class _Breach:
    """One variant's: whose access, what the group asks, and what the gate said."""

    variant: Variant
    victim: Person
    asks: list[Ask]
    verdict: Verdict = field(default_factory=Verdict)


@dataclass(slots=True)
class _Seen:
    """What detectors made of a breach; requests are numbered from 1."""

    first: FindingRaised | None = None
    request: int = 0
    time: int = 0
    cut: Signal | None = None
    answers: int = 0
    tokens: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Lab:
    """The same drill for the same numbers. `progress` is told of a stage and its share."""

    serve: Serve
    progress: Progress
    seed: int = 1
    recipients: int = 50
    weeks: float = 3

    def run(self, variants: Sequence[Variant]) -> Result:
        """Hold the drill."""
        started, days = now_ms(), max(2, round(self.weeks * 7))
        fleet = Fleet(self.seed, self.recipients, days)
        breaches = self._breaches(fleet, variants, days)
        asyncio.run(self._gate(fleet, breaches))
        bound, background = self._detect(fleet, breaches, days, bound=True)
        static, _ = self._detect(fleet, breaches, days, bound=False)
        outcomes = [_outcome(*three) for three in zip(breaches, bound, static, strict=True)]
        return Result(
            drill=secrets.token_hex(16),
            name=NAME,
            form="lab",
            simulated=True,
            started=started,
            ended=now_ms(),
            geography=f"a fleet of {self.recipients} recipients over {days} days, seed {self.seed}",
            background=background,
            variants=tuple(outcomes),
            notes=(*_unseen(breaches, static), *NOTES),
        )

    def _breaches(self, fleet: Fleet, variants: Sequence[Variant], days: int) -> list[_Breach]:
        """Each variant with a victim of its own."""
        start = max(1, days - _WEEK)
        about = [
            person
            for group in fleet.staff
            for person in group
            if person.first <= max(0, start - _SETTLED) and person.last >= days - 1
        ]
        victims = Random(f"{self.seed}/victims").sample(about, len(variants))  # noqa: S311 - a simulation
        found = []
        for number, (variant, victim) in enumerate(zip(variants, victims, strict=True)):
            like, means = _LIKE[variant.name]
            scenario = msgspec.structs.replace(SCENARIOS[like], means=means)
            asks = self._asks(scenario, victim, start, number, days)
            found.append(_Breach(variant, victim, asks))
        return found

    def _asks(
        self, scenario: Scenario, victim: Person, start: int, number: int, days: int
    ) -> list[Ask]:
        last = max(1, days - start)
        for attempt in range(20):  # of a week-end's start, or of somebody who does not come, none
            seed = self.seed * 1000 + number * 20 + attempt
            asks = list(asks_of(scenario, victim, self.seed, start, seed, last))
            asks = [ask for ask in asks if ask.time < EPOCH + days * DAY]
            if asks:
                return asks
        return []

    async def _gate(self, fleet: Fleet, breaches: Sequence[_Breach]) -> None:
        """Try what each group does, with what its holder does meanwhile."""
        with (
            tempfile.TemporaryDirectory(prefix="bailment-lab-") as folder,
            clock.simulated() as move,
            socket.create_server(("127.0.0.1", 0)) as probe,
        ):
            port = probe.getsockname()[1]
            probe.close()
            root, url = Path(folder), f"http://127.0.0.1:{port}"
            settings = SETTINGS.format(url=url, port=port, socket=root / "model.sock")
            async with (
                canned(root / "model.sock"),
                self.serve(Folder(root / "issuer"), settings) as issuer,
            ):
                gate = Gate(issuer, url, move, root)
                done = 0

                def tell(name: str) -> None:
                    nonlocal done
                    self.progress(f"at the gate: {name}", done / len(breaches))
                    done += 1

                played = [(one.variant, one.asks, _own(fleet, one)) for one in breaches]
                for breach, verdict in zip(breaches, await gate.try_all(played, tell), strict=True):
                    breach.verdict = verdict

    def _detect(
        self, fleet: Fleet, breaches: Sequence[_Breach], days: int, *, bound: bool
    ) -> tuple[list[_Seen], Background]:
        """Run the detectors over all of it, in order."""
        engine = Engine((*INLINE, *STREAM), DetectionTerms())
        tally = _Tally(breaches, bound)
        stage = "as it is" if bound else "with shared static keys"
        every, begun = max(1, days // 50) * DAY, EPOCH
        for index, (ask, breach, number) in enumerate(_mixed(fleet, breaches)):
            if ask.time >= begun:
                self.progress(stage, (begun - EPOCH) / (days * DAY))
                begun += every
            event = tally.event(index, ask, breach, number)
            for recorded in engine.take(event):
                if isinstance(recorded, FindingRaised):
                    tally.found(recorded, event.time)
        for recorded in engine.end():
            if isinstance(recorded, FindingRaised):
                tally.found(recorded, recorded.until)
        return tally.seen, tally.background(self.recipients, days)


def _own(fleet: Fleet, breach: _Breach) -> list[Ask]:
    """What the holder asks from the beginning of the breach on."""
    if not breach.asks:
        return []
    day = (breach.asks[0].time - EPOCH) // DAY
    asks = fleet.background(day, day + 3, {breach.victim.recipient})
    since = breach.asks[0].time
    return [one for one in asks if one.person == breach.victim.number and one.time >= since]


def _mixed(fleet: Fleet, breaches: Sequence[_Breach]) -> Iterator[tuple[Ask, int, int]]:
    """All requests in order, with whose breach each is (-1: nobody's), and the number in it."""

    def group(which: int, asks: Sequence[Ask]) -> Iterator[tuple[Ask, int, int]]:
        for number, ask in enumerate(asks):
            yield ask, which, number

    groups = [group(which, one.asks) for which, one in enumerate(breaches)]
    calm = ((ask, -1, 0) for ask in fleet.background())
    return heapq.merge(calm, *groups, key=lambda one: one[0].time)


class _Tally:
    """What the detectors find, and of whom."""

    def __init__(self, breaches: Sequence[_Breach], bound: bool) -> None:
        self.seen = [_Seen() for _ in breaches]
        self._breaches, self._bound = breaches, bound
        self._of: dict[int, tuple[int, int]] = {}  # entries of the breaches
        self._false: Counter[str] = Counter()
        self._weekly: Counter[int] = Counter()
        self._requests = 0
        self._asked = [0] * len(breaches)

    def event(self, index: int, ask: Ask, breach: int, number: int) -> Event:
        """The event of a request, by what the gate said to it."""
        event = next(events((ask,), bound=self._bound, start=index))
        if breach < 0:
            self._requests += 1
            return event
        self._of[index] = breach, number + 1
        self._asked[breach] = number + 1
        seen, reason = self.seen[breach], ""
        if self._bound:
            reason = (
                "held" if seen.cut is not None else self._breaches[breach].verdict.reasons[number]
            )
        if not reason:
            seen.answers += 1
            seen.tokens += ask.input + ask.output
            return msgspec.structs.replace(event, what="opened", reason="")
        return msgspec.structs.replace(event, what="refused", reason=reason, access="")

    def found(self, finding: FindingRaised, time: int) -> None:
        """Of the breach whose requests it names, or a false alert."""
        whose = {self._of[record][0] for record in finding.records if record in self._of}
        if not whose:
            self._false[finding.kind] += 1
            self._weekly[(time - EPOCH) // (_WEEK * DAY)] += 1
        for number in whose:
            seen, breach = self.seen[number], self._breaches[number]
            seen.kinds[finding.kind] += 1
            if seen.first is None:
                seen.first, seen.request, seen.time = finding, self._asked[number], time
            stops = finding.response == "hold" or (
                finding.response == "step-up" and breach.variant.loot != "relay"
            )
            if seen.cut is None and stops:
                how = "on hold" if finding.response == "hold" else "has to sign in again"
                after = time - breach.asks[0].time
                seen.cut = Signal(how, self._asked[number], max(0, after))

    def background(self, recipients: int, days: int) -> Background:
        weekly = tuple(self._weekly[week] for week in range(-(-days // _WEEK)))
        return Background(
            recipients, self._requests, 0, dict(self._false), days / _WEEK, weekly=weekly
        )


def _outcome(breach: _Breach, seen: _Seen, static: _Seen) -> Outcome:
    """What came of a variant: at the gate, and by the detectors."""
    variant, verdict, asks = breach.variant, breach.verdict, breach.asks
    refused = next((n for n, why in enumerate(verdict.reasons) if why), None)
    told = [_signal(kind_of, at, asks) for at, kind_of in _told(verdict, seen)]
    cuts = [_signal(what, at, asks) for at, what in verdict.cut]
    if seen.cut is not None:
        cuts.append(seen.cut)
    kinds = Counter(one.kind for _, one in verdict.found) + seen.kinds
    noticed = min(told, default=None, key=_after)
    if noticed is not None and seen.first is not None and noticed.name == seen.first.kind:
        noticed = msgspec.structs.replace(noticed, sentence=seen.first.sentence)
    contained = min(cuts, default=None, key=_after)
    return Outcome(
        variant=variant.name,
        title=variant.title,
        recipient=hashed("recipient", breach.victim.recipient),
        people=variant.people,
        expected=variant.expected,
        requests=len(asks),
        answers=seen.answers,
        tokens=seen.tokens,
        refused=_signal(verdict.reasons[refused], refused + 1, asks)
        if refused is not None
        else None,
        noticed=noticed,
        contained=contained,
        reasons=dict(Counter(why for why in verdict.reasons if why).most_common()),
        findings=dict(kinds.most_common()),
        protection="",
        unseen="" if told or cuts else variant.unseen,
        static=_static(static, asks),
        static_answers=static.request if static.first is not None else static.answers,
    )


def _unseen(breaches: Sequence[_Breach], static: Sequence[_Seen]) -> Iterator[str]:
    """What nobody sees with shared static keys, where it can be said why."""
    for breach, seen in zip(breaches, static, strict=True):
        variant = breach.variant
        if seen.first is None and (why := variant.static_unseen or variant.unseen):
            yield f"{variant.name}, with shared static keys: {why}"


def _told(verdict: Verdict, seen: _Seen) -> Iterator[tuple[int, str]]:
    for at, finding in verdict.found:
        yield at, finding.kind
    if seen.first is not None:
        yield seen.request, seen.first.kind


def _static(seen: _Seen, asks: Sequence[Ask]) -> Signal | None:
    if seen.first is None:
        return None
    after = max(0, seen.time - asks[0].time)
    return Signal(seen.first.kind, seen.request, after, seen.first.sentence)


def _signal(name: str, request: int, asks: Sequence[Ask]) -> Signal:
    """At this request of the group's (from 1 on); the holder's own may come before the first."""
    at = asks[min(max(request, 1), len(asks)) - 1].time
    return Signal(name, max(1, request), at - asks[0].time)


def _after(signal: Signal) -> int:
    return signal.after
