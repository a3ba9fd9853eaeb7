"""Accesses in flight: each is judged again whenever the register changes, and by the clock.

A cut reaches the coroutine that carries the access at once: its upstream call is aborted, and if
it is stuck writing to a slow client, that wait is cancelled. Nothing waits for the next chunk.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from bailment.access.decision import standing
from bailment.access.reasons import Refused
from bailment.access.register import Register
from bailment.gateway.journal import Access
from bailment.gateway.upstream import UpstreamResponse


@dataclass(slots=True, eq=False)
class Flight:
    """One access on its way.

    `refused` is set when it is cut, and says why; `gone` when its client went away; `waiting`
    while it waits for the head of the upstream's answer or for the client to read; `closed` once
    the record of its end has been handed to the log.
    """

    access: Access
    task: asyncio.Task[None]
    upstream: UpstreamResponse | None = None
    refused: Refused | None = None
    gone: bool = False
    waiting: bool = False
    closed: bool = False

    def cut(self, refused: Refused) -> None:
        """End the access now; the first reason stays."""
        if self.refused is not None:
            return
        self.refused = refused
        self._stop()

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

    def __init__(self, register: Register) -> None:
        self._register = register
        self._flights: set[Flight] = set()
        self.draining = False
        self._landed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._flights)

    def take_off(self, access: Access, now: int) -> Flight:
        """Begin to carry an access, which is cut already if the register has changed since it was
        opened. The caller lands it in a `finally`."""
        flight = Flight(access, cast("asyncio.Task[None]", asyncio.current_task()))
        self._flights.add(flight)
        self._judge(flight, now)
        return flight

    def land(self, flight: Flight) -> None:
        """The access is closed."""
        self._flights.discard(flight)
        self._landed.set()

    def judge(self, now: int) -> int:
        """Cut every access that would not be allowed now; how many were cut."""
        return sum([self._judge(flight, now) for flight in self._flights])

    def _judge(self, flight: Flight, now: int) -> bool:
        """Cut it if it would not be allowed now; whether it was cut."""
        verdict = standing(flight.access.request, self._register, now)
        if isinstance(verdict, Refused) and flight.refused is None:
            flight.cut(verdict)
            return True
        return False

    async def drain(self, seconds: float, refused: Refused) -> None:
        """Take no more, let what flies land for so long, then cut the rest and see it land."""
        self.draining = True
        try:
            await asyncio.wait_for(self._empty(), seconds)
        except TimeoutError:
            for flight in self._flights:
                flight.cut(refused)
            await self._empty()

    async def _empty(self) -> None:
        while self._flights:
            self._landed.clear()
            await self._landed.wait()
