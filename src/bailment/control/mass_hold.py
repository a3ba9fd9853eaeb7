"""A hold of what expired for many at once, as records: its beginning, its release, its end.

A person is paged at each of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial

import structlog

from bailment.access.held_expiry import MOST_NAMES, over
from bailment.access.register import Register
from bailment.control.actions import Actions
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.evidence_records import StandingHeld, StandingReleased
from bailment.ledger.facts import Facts
from bailment.spec.compiled import CompiledSpec

logger = structlog.get_logger("bailment.evaluator")


class MassHold:
    """Over one log. The rules of the records have the last word: see `access.held_expiry`."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        #: Those of whom a person was told that they are held no longer.
        self._told: set[str] = set()

    @property
    def _register(self) -> Register:
        return self._actions.log.fold.register

    async def begin(self, names: Iterable[str]) -> None:
        """Hold what expired of these, of whom it was not held before."""
        new, total = tuple(sorted(names)), len(self._register.organisations)
        for some in _chunks(new):
            await self._actions.append(partial(_held_at, some))
        if new:
            sentence = (
                f"{len(new)} of {total} recipients would have begun to lose standing at once, so "
                "that what expired is held; find out whether our own collectors failed"
            )
            await self._find("standing-held", sentence, recipients=len(new), total=total)

    async def release(self, reason: str, author: str) -> tuple[str, ...]:
        """Let take effect what is held; of whom."""
        held = tuple(sorted(self._held()))
        for some in _chunks(held):
            await self._append(StandingReleased(some, reason, author))
        if held:
            sentence = f"{author} let what had expired take effect: {reason}"
            await self._find("standing-released", sentence, recipients=len(held))
        return held

    async def ended(self, spec: CompiledSpec, now: int) -> set[str]:
        """Those who were held for as long as the spec lets, of whom it takes effect when they are
        evaluated. A person is told before, if need be twice."""
        proven = self._register.proven
        gone = {name for name in self._held() if over(proven(name), spec, now)}
        if gone - self._told:
            total = len(self._register.organisations)
            sentence = (
                f"what expired was held for {len(gone)} of {total} recipients as long as the spec "
                "lets, and takes effect; find out whether our own collectors failed"
            )
            await self._find("standing-hold-over", sentence, recipients=len(gone), total=total)
        self._told = gone
        return gone

    def _held(self) -> Iterator[str]:
        proven = self._register.state.proven
        return (name for name, one in proven.items() if one.hold == "held")

    async def _find(self, kind: str, sentence: str, **numbers: int) -> None:
        now = self._actions.log.sequencer.time
        logger.warning("finding", kind=kind, sentence=sentence)
        told = (os.urandom(16).hex(), kind, sentence, now, now, numbers)
        await self._append(FindingRaised(*told, severity="high", response="person"))

    async def _append(self, facts: Facts) -> None:
        await self._actions.append(lambda now: facts)


def _held_at(names: tuple[str, ...], now: int) -> StandingHeld:
    return StandingHeld(now, names)


def _chunks(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """In as many as one record names."""
    return (names[at : at + MOST_NAMES] for at in range(0, len(names), MOST_NAMES))
