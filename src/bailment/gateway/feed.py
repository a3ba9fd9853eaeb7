"""The enforcement feed: that every change of the register reaches this gateway, and how it knows.

    log writer ── beat ──► Feed ──► may anything begin?   no, once it is `stale`
                                └─► may anything go on?   no, once it has lapsed

A beat goes the way that a hold goes: through the writer's queue, behind whatever is being made
durable, and back. So a beat that comes says that a hold would have come, and silence may be a hold
that did not. Silence is measured by a clock that nobody can set, also by whoever asks, since a loop
that stood still runs no timers.

In one process a beat is a call. Where gateways are beside the writer it will be the signed
checkpoint, checked before `hear`; nothing else here changes.
"""

from __future__ import annotations

from bailment import clock
from bailment.access.reasons import Reason, Refused
from bailment.access.register import Register


class Feed:
    """What this gateway last heard. Written on the event loop; read from any thread.

    `lapses` counts the silences that were long enough for streams to be cut: what was open before
    the last one may not go on, although the feed is back.
    """

    def __init__(self, register: Register) -> None:
        self._register = register
        self._heard = clock.steady_ms()
        self._excused = 0.0
        self.lapses = 0

    @property
    def heartbeat_ms(self) -> int:
        """How often a beat is due."""
        return self._register.conditions.enforcement.heartbeat_ms

    @property
    def age(self) -> float:
        """How long nothing was heard, ms."""
        return clock.steady_ms() - self._heard

    @property
    def maintained(self) -> float:
        """How long silence is excused from now on, ms; 0 if it is not."""
        return max(0.0, self._excused - clock.steady_ms())

    def hear(self, epoch: int) -> None:
        """A beat of a writer whose register stands at `epoch`.

        One that is ahead of the register here says that records are missing: no sign of life.
        """
        if epoch > self._register.epoch:
            return
        if self.lapsed(self.lapses):
            self.lapses += 1
        self._heard = clock.steady_ms()

    def excuse(self, ms: float) -> None:
        """Let everything go on in silence for so long from now on; 0 ends it."""
        if self.lapsed(self.lapses):
            self.lapses += 1
        self._excused = clock.steady_ms() + ms

    def refused(self) -> Refused | None:
        """Why nothing new may begin, or None."""
        if self._silence() <= self._register.conditions.enforcement.stale_ms:
            return None
        return Refused(Reason.FEED_STALE)

    def lapsed(self, since: int) -> bool:
        """Whether what began when there had been `since` lapses may not go on."""
        if self.lapses != since:
            return True
        return self._silence() > self._register.conditions.enforcement.cut_ms

    def _silence(self) -> float:
        """What counts of the silence, ms."""
        now = clock.steady_ms()
        return 0.0 if now < self._excused else now - self._heard
