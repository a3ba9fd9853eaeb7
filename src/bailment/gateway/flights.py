"""Accesses in flight: each is judged again whenever the register changes, and by the clock.

A cut reaches the coroutine that carries the access at once: its upstream call is aborted, and if
it is stuck writing to a slow client, that wait is cancelled. Nothing waits for the next chunk. What
one change of the register cut is a wave, so that whoever made the change can wait until all of it
has landed.

What a hold, an ended link or a revoked token covers is found by its subject, so that it takes no
longer for all the others that are open. Whatever else changes is a new judgement of everything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from bailment import clock
from bailment.access.decision import Request, standing
from bailment.access.holds import subjects_of
from bailment.access.reasons import Refused
from bailment.access.register import Register
from bailment.gateway.guard import Guard
from bailment.gateway.intake import Receive
from bailment.gateway.journal import Access
from bailment.gateway.upstream import UpstreamResponse
from bailment.ledger.detection_records import StepUpAsked, StepUpEnded
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import TokenRevoked
from bailment.ledger.records import DelegationEnded, HoldAdded, HoldLifted

#: Seconds that an access is carried before anybody looks whether its client is still there.
_MOMENT = 0.05
#: Accesses judged at once by the clock.
_AT_ONCE = 32
#: The subject of what any change may concern.
_ANY = ""
#: Waves that are remembered: those of the last changes that cut anything.
_WAVES = 256


@dataclass(slots=True)
class Wave:
    """What one change cut: how many accesses, how many are not closed yet, and when the last one
    was (by the steady clock, ms)."""

    cut: int = 0
    left: int = 0
    last: float = 0.0
    landed: asyncio.Event = field(default_factory=asyncio.Event)

    def land(self) -> None:
        self.left -= 1
        self.last = clock.steady_ms()
        if not self.left:
            self.landed.set()


@dataclass(slots=True, eq=False)
class Flight:
    """One access on its way.

    `refused` is set when it is cut, and says why; `gone` when its client went away; `waiting`
    while it waits for the head of the upstream's answer or for the client to read; `closed` once
    the record of its end has been handed to the log, and `ending` while an answer waits for that
    record, unless it was `released` from waiting. `landing` puts down the end of what was cut.
    `lapses` is how often the feed had lapsed when it began, `wave` what it was cut with, `subjects`
    what it is found by.
    """

    access: Access
    task: asyncio.Task[None]
    guard: Guard
    lapses: int
    subjects: tuple[str, ...]
    wave: Wave | None = None
    upstream: UpstreamResponse | None = None
    refused: Refused | None = None
    gone: bool = False
    waiting: bool = False
    closed: bool = False
    ending: bool = False
    released: bool = False
    landing: asyncio.Task[None] | None = None

    def cut(self, refused: Refused) -> None:
        """End the access now; the first reason stays."""
        if self.refused is not None:
            return
        self.refused = refused
        self._stop()

    def stopped(self) -> Refused | None:
        """Why it may not go on; asked before each part of the answer, whatever timers ran."""
        if self.refused is None and (why := self.guard.stopped(self.lapses)) is not None:
            self.cut(why)
        return self.refused

    def release(self) -> None:
        """Wait no longer for the record of the end, which may not come: the answer has none."""
        if self.ending and not self.released:
            self.released = True
            self.task.cancel()

    async def landed(self, landing: asyncio.Task[None]) -> None:
        """Wait for the record of the end, unless the guard lets nobody wait."""
        self.ending = True
        try:
            await asyncio.shield(landing)
        except asyncio.CancelledError:
            if not self.released:
                raise
            uncancel(self)
        finally:
            self.ending = False

    def leave(self) -> None:
        """The client went away: the model need not go on for nobody."""
        self.gone = True
        self._stop()

    def _stop(self) -> None:
        if self.upstream is not None:
            self.upstream.abort()
        if self.waiting:
            self.task.cancel()


class Flights:
    """All accesses in flight in this gateway."""

    def __init__(self, register: Register, guard: Guard) -> None:
        self._register = register
        self.guard = guard
        self._waves: OrderedDict[int, Wave] = OrderedDict()
        self._flights: set[Flight] = set()
        self._by: dict[str, set[Flight]] = {}
        self.draining = False
        self._landed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._flights)

    def take_off(self, access: Access, now: int) -> Flight:
        """Begin to carry an access, which is cut already if the register has changed since it was
        opened. The caller lands it in a `finally`."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        subjects = self._subjects(access.request)
        flight = Flight(access, task, self.guard, self.guard.feed.lapses, subjects)
        self._flights.add(flight)
        for subject in subjects:
            self._by.setdefault(subject, set()).add(flight)
        self._judge(flight, now)
        return flight

    def land(self, flight: Flight) -> None:
        """The access is closed."""
        if flight not in self._flights:
            return
        self._flights.discard(flight)
        for subject in flight.subjects:
            found = self._by[subject]
            found.discard(flight)
            if not found:
                del self._by[subject]
        if flight.wave is not None:
            flight.wave.land()
        self._landed.set()

    def follow(self, facts: Facts, now: int) -> int:
        """Cut what would not be allowed after this record; how many were cut."""
        match facts:
            case HoldAdded():
                subject = facts.subject
            case DelegationEnded():
                subject = f"link:{facts.link}"
            case TokenRevoked():
                subject = _token(facts.token)
            case StepUpAsked():
                subject = f"person:{facts.person}"
            case HoldLifted() | StepUpEnded():
                return 0  # it only gives back
            case _:
                return sum([self._judge(flight, now) for flight in self._flights])
        found = (*self._by.get(subject, ()), *self._by.get(_ANY, ()))
        return sum([self._judge(flight, now) for flight in found])

    async def sweep(self, now: Callable[[], int]) -> int:
        """Cut every access that would not be allowed any more, for what only the clock changes,
        without keeping others waiting; how many were cut."""
        cut = 0
        for number, flight in enumerate(tuple(self._flights)):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            if flight in self._flights:
                cut += self._judge(flight, now())
        return cut

    def _subjects(self, request: Request) -> tuple[str, ...]:
        """What a change must be about to change what is decided of this; `_ANY` if of others too,
        as for a workload, which depends on its owner."""
        token, register = request.token, self._register
        path = register.path(register.link_of.get(token.device, ""))
        if not path or path[-1].kind != "device":
            return (_ANY,)
        found = subjects_of(path, request.model, token.purpose, request.networks, token.thumbprint)
        return tuple(dict.fromkeys((*found, _token(token.token))))

    def _judge(self, flight: Flight, now: int) -> bool:
        """Cut it if it would not be allowed now; whether it was cut."""
        if flight.refused is not None or flight.stopped() is not None:
            return False
        verdict = standing(flight.access.request, self._register, now)
        if not isinstance(verdict, Refused):
            return False
        flight.wave = self._wave(self._register.epoch)
        flight.cut(verdict)
        return True

    def _wave(self, epoch: int) -> Wave:
        wave = self._waves.setdefault(epoch, Wave())
        wave.cut += 1
        wave.left += 1
        while len(self._waves) > _WAVES:
            self._waves.popitem(last=False)
        return wave

    async def enforced(self, epoch: int, seconds: float) -> tuple[int, int, float]:
        """Wait, for at most so long, until all that was cut at this position of the register is
        closed: how many were cut, how many are still open, and when the last one was closed (by the
        steady clock, ms)."""
        wave = self._waves.get(epoch) or Wave()
        if wave.left:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await wave.landed.wait()
        return wave.cut, wave.left, wave.last

    def stop(self) -> int:
        """Cut what the guard does not let go on, whatever it waits for; how many were cut."""
        flying = [flight for flight in self._flights if flight.refused is None]
        for flight in self._flights:
            if flight.stopped() is not None:
                flight.release()
        return sum(flight.refused is not None for flight in flying)

    async def drain(self, seconds: float, refused: Refused) -> None:
        """Take no more, let what flies land for so long, then cut the rest and see it land."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._empty()
        except TimeoutError:
            for flight in self._flights:
                flight.cut(refused)
            await self._empty()

    async def _empty(self) -> None:
        while self._flights:
            self._landed.clear()
            await self._landed.wait()


def _token(name: str) -> str:
    return f"token:{name}"


class Leaving:
    """Notices when the client goes away; not for an answer that is there in a moment."""

    def __init__(self, receive: Receive, flight: Flight) -> None:
        self._receive = receive
        self._flight = flight
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_MOMENT, self._begin)

    def cancel(self) -> None:
        """There is nothing left to give up."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._flight.leave()


def uncancel(flight: Flight) -> None:
    """A cut cancels only a wait; what follows (the record of the end) must not be cancelled."""
    task = asyncio.current_task()
    if (flight.refused or flight.gone) and task is not None and task.cancelling():
        task.uncancel()
