"""What a detector is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from bailment.detect.event import Event, Finding
from bailment.spec.detection import RuleTerms

S = TypeVar("S")


class Detector(Protocol[S]):
    """One way to notice misuse: a module with these three, or an object.

    `step` is given the state that it returned last and may change it in place: nobody else has it.
    It reads no clock, draws no entropy and keeps within the memory that `begin` promises, whatever
    comes: what is forgotten first is what was seen longest ago.
    """

    #: Its name, which is the kind of its findings and that of its rule in the spec.
    KIND: str

    def begin(self, terms: RuleTerms) -> S:
        """The state before the first event."""
        ...

    def step(
        self, state: S, event: Event, now: int, terms: RuleTerms
    ) -> tuple[S, Sequence[Finding]]:
        """What is known after an event, and what is to be told. `now` is the event's time in the
        log, or later."""
        ...
