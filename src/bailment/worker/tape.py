"""Follows the entries of a log, wherever they are read from: keeps the register, makes events."""

from __future__ import annotations

from bailment.access.register import Register
from bailment.detect.event import Event, EventReader, Seen
from bailment.ledger.facts import Facts


class Tape:
    """`register` is as it is after the first `position` entries, `time` (ms) that of the last."""

    def __init__(
        self, register: Register | None = None, position: int = 0, seen: Seen | None = None
    ) -> None:
        self.register = register or Register()
        self.position = position
        self.time = 0
        self._reader = EventReader(seen)

    @property
    def seen(self) -> Seen:
        """What is remembered of the entries before."""
        return self._reader.seen

    def take(self, index: int, time: int, facts: Facts) -> Event | None:
        """The event of the next entry, if it is one; VerificationError if it cannot stand there."""
        event = self._reader.read(index, time, facts, self.register)
        self.register.apply(index, facts, time)
        self.position, self.time = index + 1, time
        return event
