"""What is next, for whom: a heap of instants in place of polling."""

from __future__ import annotations

import heapq


class Schedule:
    """At most one instant for each name, which is when something is to be done for it."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []  # also holds what was replaced since

    def put(self, name: str, at: int | None) -> None:
        """The name's next instant, in place of what it had; None: nothing more."""
        if at is None:
            self._at.pop(name, None)
        elif self._at.get(name) != at:
            self._at[name] = at
            heapq.heappush(self._heap, (at, name))
            if len(self._heap) > 2 * len(self._at) + 16:
                self._heap = [(at, name) for name, at in self._at.items()]
                heapq.heapify(self._heap)

    def next(self) -> int | None:
        """The earliest instant; None if there is none."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: int) -> list[str]:
        """Take out every name whose instant is `now` or past: the earliest first, then by name."""
        names = []
        while (at := self.next()) is not None and at <= now:
            _, name = heapq.heappop(self._heap)
            del self._at[name]
            names.append(name)
        return names
