"""Where in the log and when things were, on tracks that any window of can be counted."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TypeVar

from bailment.access.chain import Link

#: The ways to present a token that prove who holds it.
BOUND = ("dpop-body", "mtls")
#: What is counted of requests: those of which it is true.
UNBOUND = "unbound_requests"
UNDELEGATED = "undelegated_requests"
UNENROLLED = "unenrolled_device_requests"
OFF_NETWORK = "off_network_requests"
UNDECLARED_PURPOSE = "undeclared_purpose_requests"
MARKS = (UNBOUND, UNDELEGATED, UNENROLLED, OFF_NETWORK, UNDECLARED_PURPOSE)

T = TypeVar("T")


class Track:
    """Where in the log, and when, something was."""

    __slots__ = ("indices", "times")

    def __init__(self) -> None:
        self.indices = array("Q")
        self.times = array("Q")

    def add(self, index: int, time: int) -> None:
        """Almost always the last."""
        indices = self.indices
        if indices and indices[-1] > index:
            at = bisect_left(indices, index)
            indices.insert(at, index)
            self.times.insert(at, time)
        else:
            indices.append(index)
            self.times.append(time)

    def span(self, since: int, stop: int) -> range:
        """Which are at the time `since` or later, and before the entry `stop`."""
        return range(bisect_left(self.times, since), bisect_left(self.indices, stop))

    def count(self, since: int, stop: int) -> int:
        """How many."""
        return len(self.span(since, stop))

    def forget(self, before: int) -> None:
        """Drop what is older."""
        at = bisect_left(self.times, before)
        del self.indices[:at], self.times[:at]


class Kept:
    """What is kept of one organisation: of all that passed through it, but of its own people only.

    `marks` are the requests of which something is true; `jobs` those of workloads, `signed_in`
    those of people who had signed in at the employer's provider, `resistant` those of them whom
    nobody could have phished; `people` whoever signed in or made a
    request, by random id; `strangers` the links named in chains that the register does not have;
    `lives` the tokens by how long they live (ms); `links` all that were granted below it;
    `collected` by kind and scope since which entry evidence was of which date, the newest so far.
    """

    def __init__(self) -> None:
        self.requests = Track()
        self.tokens = Track()
        self.marks = {mark: Track() for mark in MARKS}
        self.jobs = Track()
        self.signed_in = Track()
        self.resistant = Track()
        self.people: dict[str, Track] = {}
        self.strangers: dict[str, Track] = {}
        self.lives: dict[int, Track] = {}
        self.links: list[Link] = []
        self.collected: dict[tuple[str, str], list[tuple[int, int]]] = {}

    def forget(self, before: int) -> None:
        """Drop what is older."""
        ways = (self.jobs, self.signed_in, self.resistant)
        for track in (self.requests, self.tokens, *ways, *self.marks.values()):
            track.forget(before)
        _forget(self.people, before)
        _forget(self.strangers, before)
        _forget(self.lives, before)


def track_of(tracks: dict[T, Track], name: T) -> Track:
    """The track of this name, made where there is none."""
    found = tracks.get(name)
    if found is None:
        found = tracks[name] = Track()
    return found


def _forget(tracks: dict[T, Track], before: int) -> None:
    for name, track in list(tracks.items()):
        track.forget(before)
        if not track.indices:
            del tracks[name]
