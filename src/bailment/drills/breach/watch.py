"""What an issuer's log says of a drill's recipients, read beside the process that writes it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator

from bailment.ledger.detection_records import FindingRaised, StepUpAsked
from bailment.ledger.records import DelegationEnded, HoldAdded
from bailment.store.folder import Folder
from bailment.store.reader import Record
from bailment.store.view import open_view


class Watch:
    """The records since it was made; for several threads."""

    def __init__(self, folder: Folder) -> None:
        view = open_view(folder)
        self._reader = view.reader
        self._next = view.checkpoint.size
        self._seen: list[Record] = []
        self._lock = threading.Lock()

    def records(self) -> list[Record]:
        """All of them, up to now."""
        with self._lock:
            for record in self._reader.records(self._next):
                self._seen.append(record)
                self._next = record.index + 1
            return list(self._seen)

    def findings(self, ids: Collection[str]) -> Iterator[tuple[int, FindingRaised]]:
        """The findings about any of these subjects, and when each was on record (ms)."""
        for record in self.records():
            facts = record.facts
            if isinstance(facts, FindingRaised):
                named = (facts.subject or "", *facts.others)
                if record.leaf.recipient in ids or _names(named, ids):
                    yield record.leaf.time, facts

    def contained(self, ids: Collection[str]) -> Iterator[tuple[int, str]]:
        """What was cut, or asked of them, and when (ms)."""
        for record in self.records():
            match record.facts:
                case HoldAdded() as hold if _names((hold.subject,), ids):
                    yield record.leaf.time, f"{hold.subject.partition(':')[0]} on hold"
                case StepUpAsked() as asked if asked.person in ids:
                    yield record.leaf.time, "has to sign in again"
                case DelegationEnded() if record.leaf.recipient in ids:
                    yield record.leaf.time, "link ended"


def _names(subjects: Collection[str], ids: Collection[str]) -> bool:
    return any(subject.partition(":")[2] in ids for subject in subjects)
