"""How often an organisation may put something on record that people read."""

from __future__ import annotations

from collections import defaultdict, deque

from bailment.access.reasons import Reason, Refused

HOUR_MS = 3_600_000


class Pace:
    """At most so many within an hour, of each organisation."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: dict[str, deque[int]] = defaultdict(deque)

    def refusal(self, organisation: str, now: int) -> Refused | None:
        """Why one more is too many; else it counts, whatever comes of it."""
        times = self._times[organisation]
        while times and times[0] <= now - HOUR_MS:
            times.popleft()
        if len(times) >= self._most:
            return Refused(Reason.TOO_OFTEN, f"at most {self._most} in an hour: call us")
        times.append(now)
        return None
