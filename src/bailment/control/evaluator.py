"""The evaluator: derives standing anew whenever it may be another, and tells recipients ahead.

It never looks around for what may have changed. Records wake it, and a heap of the instants at
which a standing, a notice or an observation is due. All that it needs to know is in the register,
so it may end at any moment and begin again; and while it stands still nobody keeps a tier for
longer, for the gateway goes by the schedule of the last standing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple, Protocol

import structlog
from msgspec.structs import replace

from bailment.access.assured import began, evaluated, standing_record, unmet
from bailment.access.chain import read_link
from bailment.access.held_expiry import released
from bailment.access.register import Register
from bailment.assurance.adapters import observation
from bailment.assurance.item import Item
from bailment.assurance.mass_change import Change, graced, hold_mass_change
from bailment.assurance.schedule import Schedule
from bailment.assurance.standing import Standing
from bailment.control.actions import Actions, Denied
from bailment.control.assurance import Assurance
from bailment.control.mass_hold import MassHold
from bailment.control.observations import AFRESH
from bailment.ledger.evidence_records import (
    EnclaveDeclared,
    EvidenceReceived,
    EvidenceStaled,
    ExceptionGranted,
    StandingNoticed,
)
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.records import (
    DelegationGranted,
    RecipientRegistered,
    SpecApplied,
)
from bailment.spec.compiled import CompiledSpec
from bailment.store.log import Log
from bailment.store.reader import Stored
from bailment.store.sequencer import News

logger = structlog.get_logger("bailment.evaluator")

#: The longest sleep in one piece (seconds): the wall clock may be set while it lasts.
_NAP = 60.0
#: When to try again what the log did not take, ms.
_PAUSE = 1000


class Observer(Protocol):
    """What the gateway saw of recipients. It calls `notify` when `changed` has something to say."""

    notify: Callable[[], None]

    def changed(self) -> set[str]:
        """Of whom there is something new to observe since this was last asked."""

    def observe(self, recipient: str, now: int) -> list[Item]:
        """New items about a recipient's use up to `now`; empty where there is nothing to tell."""


class _Found(NamedTuple):
    """What evaluating a recipient gives, before it is decided whether it is held."""

    change: Change
    unmet: dict[str, dict[str, str]]


class Evaluator:
    """One for each process that owns a log."""

    def __init__(
        self, actions: Actions, assurance: Assurance, observer: Observer | None = None
    ) -> None:
        self._actions = actions
        self._assurance = assurance
        self._observer = observer
        self._mass = MassHold(actions)
        self._due = Schedule()
        self._observing = Schedule()
        #: Those whose evidence, exceptions, enclave or spec is another than when last evaluated,
        self._changed: set[str] = set()
        #: and those of whom nobody knows, since the process before may have ended in between.
        self._doubtful: set[str] = set()
        #: Those of whom the log did not take what there was to say.
        self._refused: set[str] = set()
        #: When a recipient was last told of a step, by recipient, step and tier.
        self._told: dict[tuple[str, int, int], int] = {}
        self._wake = asyncio.Event()
        #: One turn, or one release: neither may decide by what the other is about to change.
        self._lock = asyncio.Lock()
        #: Who waits for the end of the next turn to begin.
        self._waiting: list[asyncio.Future[None]] = []
        self._log.sequencer.listeners.append(self._notice)
        if observer is not None:
            observer.notify = self._wake.set

    @property
    def _log(self) -> Log:
        return self._actions.log

    @property
    def _register(self) -> Register:
        return self._log.fold.register

    async def run(self) -> None:
        """Evaluate until cancelled; a malfunction ends the process, not just the task."""
        try:
            await self._begin()
            while True:
                waiting, self._waiting = self._waiting, []
                async with self._lock:
                    await self._turn()
                for one in waiting:
                    if not one.done():
                        one.set_result(None)
                await self._rest()
        except Exception as error:
            self._log.sequencer.fail(error)
            raise

    async def settled(self) -> None:
        """Return once what was appended by now was evaluated, or the log has failed."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake.set()
        ends = (turn, self._log.sequencer.failed)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    async def release(self, reason: str, author: str) -> tuple[str, ...]:
        """Let take effect what expired and is held: a person found that the outage is not ours."""
        async with self._lock:
            held = await self._mass.release(reason, author)
            self._changed.update(held)
        return held

    # What wakes it

    def _notice(self, news: News) -> None:
        for _, _, facts in news:
            match facts:
                case SpecApplied():
                    self._changed.update(self._register.organisations)
                    for name in self._register.state.proven:
                        self._observing.put(name, 0)
                case (
                    RecipientRegistered()
                    | ExceptionGranted()
                    | EvidenceReceived()
                    | EvidenceStaled()
                ):
                    self._changed.add(facts.recipient)
                case DelegationGranted():
                    link = read_link(facts.link)
                    if link.kind == "subcontractor":
                        self._changed.add(link.subject)
                case EnclaveDeclared():
                    self._changed.add(facts.recipient)
                    self._observing.put(facts.recipient, 0)
        if any(facts.REGISTERS for _, _, facts in news):
            self._wake.set()

    async def _rest(self) -> None:
        """Sleep until a record comes, or something is due."""
        if self._wake.is_set():
            self._wake.clear()
            return
        dues = [at for at in (self._due.next(), self._observing.next()) if at is not None]
        seconds = (min(dues) - self._log.sequencer.time) / 1000 if dues else _NAP
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(seconds, _NAP))):
                await self._wake.wait()
        self._wake.clear()

    # What it does

    async def _begin(self) -> None:
        """What the register says is due; whether anything changed unseen, evaluating tells."""
        state = self._register.state
        self._doubtful = set(self._register.organisations)
        for name, proven in state.proven.items():
            if proven.scopes:
                self._observing.put(name, self._next_observation(name))
        now = self._log.sequencer.time
        past = [n.at for _, standing in self._standings() for n in standing.notices if n.at <= now]
        if past:
            for stored in await asyncio.to_thread(_notices_since, self._log, min(past)):
                record = self._log.reader.open(stored)
                if isinstance(record.facts, StandingNoticed):
                    key = record.facts.recipient, record.facts.step, record.facts.tier
                    self._told[key] = record.leaf.time

    async def _turn(self) -> None:
        """All that is due now."""
        now, spec = self._log.sequencer.time, self._register.spec
        if spec is None:
            self._changed.clear()
            return
        await self._observe(now)
        due = set(self._due.due(now))
        changed = self._changed | {name for name in due if self._is_over(name, now)}
        self._changed = set()
        changed |= await self._mass.ended(spec, now)
        doubtful, self._doubtful = self._doubtful, set()
        await self._evaluate(spec, changed, doubtful - changed, now)
        for name in due | changed | doubtful:
            try:
                await self._tell(name, now)
            except Denied as denied:
                logger.warning("a notice was not accepted", why=str(denied))
                self._refused.add(name)
            self._plan_ahead(name, now)
        for name in self._refused:
            self._due.put(name, now + _PAUSE)
        self._refused.clear()

    async def _observe(self, now: int) -> None:
        if self._observer is None:
            return
        for name in self._observer.changed():
            if self._register.proven(name).scopes:
                self._observing.put(name, 0)
        for name in self._observing.due(now):
            for item in self._observer.observe(name, now):
                try:
                    await self._assurance.record(name, item, "gateway")
                except Denied as denied:  # its enclave changed, for example
                    logger.warning("an observation was not accepted", why=str(denied))
            afresh = self._afresh()
            self._observing.put(name, now + afresh if afresh else None)

    async def _evaluate(
        self, spec: CompiledSpec, changed: set[str], doubtful: set[str], now: int
    ) -> None:
        """Evaluate, hold what falls together, and put on record what is new."""
        found: dict[str, _Found] = {}
        falling = set(self._falling(spec, now))
        for name in sorted(changed | doubtful | falling):
            one = self._look(name, spec, now)
            if name not in doubtful or self._differs(name, one):
                found[name] = one
            await asyncio.sleep(0)  # accesses go first
        changes = {
            name: one.change
            for name, one in found.items()
            if not released(self._register.proven(name), spec, now)
        }
        held = hold_mass_change(changes, len(self._register.organisations), spec.lapse)
        try:
            await self._mass.begin(n for n in held if self._register.proven(n).hold != "held")
        except Denied as denied:  # other evidence came
            self._put_back(denied, *found)
            return
        for name, one in found.items():
            after = one._replace(change=one.change._replace(after=held.get(name, one.change.after)))
            if name in changed or self._differs(name, after):
                await self._record(name, held=name in held)

    def _look(self, name: str, spec: CompiledSpec, now: int) -> _Found:
        after = evaluated(self._register, name, spec, now)
        proven = self._register.proven(name)
        change = Change(proven.standing, after.standing, began(proven, spec, now))
        return _Found(change, unmet(after.evaluation))

    def _differs(self, name: str, found: _Found) -> bool:
        """Whether what was found says anything else than what is on record."""
        before, after, _ = found.change
        proven = self._register.proven(name)
        return before is None or proven.unmet != found.unmet or _told_by(before) != _told_by(after)

    async def _record(self, name: str, *, held: bool) -> None:
        register = self._register
        try:
            await self._actions.append(lambda now: standing_record(register, name, now, held=held))
        except Denied as denied:
            self._put_back(denied, name)

    def _put_back(self, denied: Denied, *names: str) -> None:
        """To be done again, after a pause."""
        logger.warning("a standing was not accepted", why=str(denied), recipients=len(names))
        self._changed.update(names)
        self._refused.update(names)

    async def _append(self, facts: Facts) -> int:
        """Append a record; its time."""
        return (await self._actions.append(lambda now: facts)).time

    async def _tell(self, name: str, now: int) -> None:
        """Put on record what the recipient is told now; one notice for each step."""
        standing = self._register.proven(name).standing
        if standing is None:
            return
        due: dict[tuple[str, int, int], int] = {}
        for notice in standing.notices:
            if notice.at <= now:
                due[name, notice.step, notice.tier] = notice.at  # the latest: they are in order
        contact = self._register.organisations[name].contact
        for key, at in due.items():
            if self._told.get(key, -1) < at:
                self._told[key] = await self._append(StandingNoticed(*key, contact))

    # What it knows

    def _standings(self) -> Iterator[tuple[str, Standing]]:
        for name, proven in self._register.state.proven.items():
            if proven.standing is not None:
                yield name, proven.standing

    def _falling(self, spec: CompiledSpec, now: int) -> Iterator[str]:
        """Those who are held or in grace: who falls now is held against all who are falling."""
        for name, standing in list(self._standings()):
            if self._register.proven(name).hold == "held" or graced(standing, spec.lapse, now):
                yield name

    def _is_over(self, name: str, now: int) -> bool:
        """Whether the last evaluation holds no longer."""
        standing = self._register.proven(name).standing
        return standing is None or (standing.until is not None and standing.until <= now)

    def _plan_ahead(self, name: str, now: int) -> None:
        standing = self._register.proven(name).standing
        self._due.put(name, standing.due(now) if standing else None)

    def _afresh(self) -> int:
        """How often the gateway's own observations are made, ms; 0 if nobody asks for any."""
        spec = self._register.spec
        kinds = spec.kinds.values() if spec else ()
        ages = [kind.max_age for kind in kinds if kind.adapter == observation.ADAPTER]
        return max(1, min(ages) // AFRESH) if ages else 0

    def _next_observation(self, name: str) -> int:
        """When a recipient was last observed, and as much later; 0 if it never was."""
        items = self._register.proven(name).items
        seen = [one.received for one in items if one.adapter == observation.ADAPTER]
        return max(seen) + self._afresh() if seen else 0


def _told_by(standing: Standing) -> tuple[object, ...]:
    """What a standing says, whenever it was derived: its first step is when that was."""
    last = standing.steps[-1]
    if len(standing.steps) == 1:
        last = replace(last, at=0)
    return standing.footings, standing.contradictions, standing.until, last


def _notices_since(log: Log, time: int) -> list[Stored]:
    """The notices on record since then."""
    found = []
    for stored in log.reader.stored(log.reader.first_since(time)):
        leaf = decode_leaf(stored.entry)
        if leaf.type == StandingNoticed.TYPE and leaf.time >= time:
            found.append(stored)
    return found
