"""What an act did to access, and when: it is *effective* only once it is enforced.

That is: its record is durable, every decision refuses, and every stream that it covers is cut and
closed on the record. Where that cannot be said within a few seconds, it is not said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from bailment.clock import now_ms, steady_ms
from bailment.store.sequencer import Sequenced

#: Waits until what was cut at a position of the register is closed, for at most so many seconds:
#: how many were cut, how many are open still, and when the last was closed (steady clock, ms).
Enforced = Callable[[int, float], Awaitable[tuple[int, int, float]]]
#: Longer than any stream takes that can be cut.
_PATIENCE = 5.0


class Effect(msgspec.Struct, frozen=True):
    """`accepted` is when the act arrived (ms since the epoch); the rest counts from then, ms.

    refused_after   when the record was durable and every decision refused
    cut, cut_after  how many streams were cut, and when the last of them was closed
    left            how many of them are still open, which makes it not `effective`
    """

    accepted: int
    refused_after: float
    cut: int
    cut_after: float | None
    left: int
    effective: bool


@dataclass(frozen=True, slots=True)
class Effects:
    """Acts whose effect is waited for; `enforced` is the gateway's."""

    enforced: Enforced

    async def of(self, appending: Awaitable[Sequenced]) -> Effect:
        """Append a record that changes the register, and wait for its effect."""
        accepted, began = now_ms(), steady_ms()
        appended = await appending
        refused = steady_ms() - began
        cut, left, last = await self.enforced(appended.index + 1, _PATIENCE)
        after = round(last - began, 1) if last else None
        return Effect(accepted, round(refused, 1), cut, after, left, not left)
