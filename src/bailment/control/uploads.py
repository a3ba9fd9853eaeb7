"""How much evidence recipients may hand in, asked before a byte of it is read."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from bailment.access.reasons import Reason, Refused

#: A recipient may hand in so many files in so many ms: each is a record and an evaluation.
FILES, WITHIN = 120, 3_600_000
#: Files of all recipients that are held in memory at once. Whoever sends slowly keeps one place,
#: and only one, so that nobody alone keeps the others out.
PLACES = 4


class Uploads:
    """The uploads that are under way, and when those of the last hour began."""

    def __init__(self) -> None:
        self._began: dict[str, deque[int]] = defaultdict(deque)
        self._under_way: set[str] = set()

    def refusal(self, recipient: str, now: int) -> Refused | None:
        """Why a recipient may not begin an upload now, or None."""
        began = self._began[recipient]
        while began and began[0] <= now - WITHIN:
            began.popleft()
        if recipient in self._under_way:
            return Refused(Reason.TOO_OFTEN, "one file at a time: wait for the answer")
        if len(began) >= FILES:
            return Refused(Reason.TOO_OFTEN, f"at most {FILES} files in an hour")
        if len(self._under_way) >= PLACES:
            return Refused(Reason.TOO_OFTEN, "others are handing in evidence; try again shortly")
        return None

    @contextmanager
    def upload(self, recipient: str, now: int) -> Iterator[None]:
        """One upload, from before its body is read; it counts whatever comes of it."""
        self._began[recipient].append(now)
        self._under_way.add(recipient)
        try:
            yield
        finally:
            self._under_way.remove(recipient)
